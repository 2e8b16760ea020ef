"""Revenue in the books: lines by source, told again as often as one likes, counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from tollbook import clock
from tollbook.books.documents import DOCUMENT_NAME, Draft, Subject, documents_at, put_documents
from tollbook.books.events import current_user
from tollbook.books.tables_revenues import revenues
from tollbook.chargeback.margin.model import (
    Body,
    Customers,
    RevenueError,
    RevenueLine,
    check_body,
)
from tollbook.prices.billable import BillingError, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tollbook.books.documents import Document
    from tollbook.books.store import Books

_PAGE: Final = 400
_decoder: Final[msgspec.json.Decoder[Body]] = msgspec.json.Decoder(Body)


class Kept(NamedTuple):
    """What became of imported lines."""

    new: int
    revised: int
    """Told before with other content: the new one counts."""
    same: int


def keep_revenue(books: Books, lines: Sequence[RevenueLine], author: str | None = None) -> Kept:
    """Keep lines; those that are there with the same content are left as they are.

    All of them, or none. The order of imports does not matter to what is counted of different
    lines; of one line the last that was told counts.

    Raises:
        RevenueError: the same line is told twice with other content.
        BooksError: the books cannot be written.
    """
    by_id: dict[tuple[str, str], RevenueLine] = {}
    for one in lines:
        before = by_id.setdefault((one.source, one.line_id), one)
        if before != one:
            raise RevenueError(one.source, f"line {one.line_id[:80]} is there twice, and differs")
    now_ns, who = clock.unix_ns(), author or current_user()
    counts = [0, 0, 0]
    with books.write() as connection:
        held = _held(connection, list(by_id))
        rows: list[dict[str, Any]] = []
        for key, one in by_id.items():
            revision, content = held.get(key, (0, ""))
            if content == one.content_sha256:
                counts[2] += 1
                continue
            counts[1 if revision else 0] += 1
            rows.append(
                {name: getattr(one, name) for name in RevenueLine.__struct_fields__}
                | {"amount": str(one.amount), "revision": revision + 1, "author": who,
                   "content_sha256": one.content_sha256, "imported_at_ns": now_ns}
            )  # fmt: skip
        if rows:
            connection.execute(revenues.insert(), rows)
    return Kept(*counts)


def _held(
    connection: sa.Connection, keys: list[tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, str]]:
    held: dict[tuple[str, str], tuple[int, str]] = {}
    for source in {source for source, _ in keys}:
        ids = [line_id for one, line_id in keys if one == source]
        for at in range(0, len(ids), _PAGE):
            found = connection.execute(
                sa.select(revenues.c.line_id, revenues.c.revision, revenues.c.content_sha256)
                .where(revenues.c.source == source, revenues.c.line_id.in_(ids[at : at + _PAGE]))
                .order_by(revenues.c.revision)
            )
            held |= {(source, line_id): (revision, content) for line_id, revision, content in found}
    return held


def revenue_lines(
    books: Books, since_ns: int, until_ns: int, *, known_before_ns: int | None = None
) -> list[RevenueLine]:
    """Return the lines that pay for some of ``[since, until)``, of each the newest revision.

    Args:
        books: where they are kept.
        since_ns: the first moment, since the epoch.
        until_ns: the first moment that is left out.
        known_before_ns: only what had been imported before; None is all that is known now.

    Raises:
        BooksError: the books cannot be read.
    """
    last = sa.select(
        revenues.c.source, revenues.c.line_id, sa.func.max(revenues.c.revision).label("revision")
    ).group_by(revenues.c.source, revenues.c.line_id)
    if known_before_ns is not None:
        last = last.where(revenues.c.imported_at_ns < known_before_ns)
    newest = last.subquery()
    columns = [revenues.c[name] for name in RevenueLine.__struct_fields__]
    starts_within = (revenues.c.start_ns >= since_ns) & (revenues.c.start_ns < until_ns)
    reaches_in = (revenues.c.start_ns < since_ns) & (revenues.c.end_ns > since_ns)
    query = (
        sa.select(*columns)
        .join(
            newest,
            (revenues.c.source == newest.c.source)
            & (revenues.c.line_id == newest.c.line_id)
            & (revenues.c.revision == newest.c.revision),
        )
        .where(starts_within | reaches_in)
        .order_by(revenues.c.source, revenues.c.line_id)
    )
    with books.read() as connection:
        return [_line(row._asdict()) for row in connection.execute(query)]


def invoice_lines(books: Books, source: str) -> dict[str, RevenueLine]:
    """Return all lines of a source that are known, by id: what credit notes refer to.

    Raises:
        BooksError: the books cannot be read.
    """
    columns = [revenues.c[name] for name in RevenueLine.__struct_fields__]
    query = sa.select(*columns).where(revenues.c.source == source).order_by(revenues.c.revision)
    with books.read() as connection:
        return {row.line_id: _line(row._asdict()) for row in connection.execute(query)}


def _line(row: Mapping[Any, Any]) -> RevenueLine:
    fields = {name: row[name] for name in RevenueLine.__struct_fields__}
    return RevenueLine(**(fields | {"amount": int(row["amount"])}))


def decided(books: Books, at_ns: int) -> list[tuple[Document, Body]]:
    """Return the targets, customers and sources that hold at a time, by name; none withdrawn.

    Raises:
        RevenueError: one of them cannot be read.
        BooksError: the books cannot be read.
    """
    held = documents_at(books, Subject.MARGIN_TARGET, at_ns)
    read = [(held[name], read_body(held[name])) for name in sorted(held)]
    return [(one, body) for one, body in read if not isinstance(body, Withdrawn)]


def read_body(one: Document) -> Body:
    """Return what a document says.

    Raises:
        RevenueError: it cannot be read.
    """
    try:
        return _decoder.decode(one.body)
    except msgspec.DecodeError as error:
        raise RevenueError(one.document_id, f"cannot be read: {error}") from error


class Entry(NamedTuple):
    """A decision as it was written, checked."""

    name: str
    body: Body
    effective_from_ns: int
    effective_until_ns: int | None


def checked(
    name: str, given: Mapping[str, Any], effective_from_ns: int, effective_until_ns: int | None,
    where: str,
) -> Entry:  # fmt: skip
    """Check a target, customers or a source.

    Raises:
        RevenueError: naming it, the field and what was expected.
    """
    if not DOCUMENT_NAME.fullmatch(name):
        raise RevenueError(where or "name", "expected a name of letters, digits, . _ : @ * -")
    if effective_until_ns is not None and effective_until_ns <= effective_from_ns:
        raise RevenueError(where, "effective_until is not after effective_from")
    try:
        body: Body = msgspec.convert(dict(given), Body)
        check_body(body)
    except (msgspec.ValidationError, BillingError) as error:
        text, _, path = str(error).partition(" - at `$")
        raise RevenueError(where, f"{path.rstrip('`').lstrip('.')} {text}".strip()) from error
    return Entry(name, body, effective_from_ns, effective_until_ns)


def decide(
    books: Books, entries: Sequence[Entry], reason: str, author: str | None
) -> list[tuple[Document, bool]]:
    """Keep checked decisions, all of them or none; each with whether it is new.

    Raises:
        RevenueError: the reason is missing.
        BooksError: the books cannot be written.
    """
    if not reason.strip():  # before the first is kept
        raise RevenueError("--reason", "expected why; it is kept with them")
    drafts = [
        Draft(
            subject=Subject.MARGIN_TARGET, name=one.name,
            body=msgspec.json.encode(one.body, order="deterministic").decode(),
            effective_from_ns=one.effective_from_ns, effective_until_ns=one.effective_until_ns,
            reason=reason,
        )
        for one in entries
    ]  # fmt: skip
    return put_documents(books, drafts, author=author)


def tenants_of(bodies: Iterable[tuple[Document, Body]], source: str) -> dict[str, str]:
    """Return the tenants of the customers of a source, by the customer's id."""
    found: dict[str, str] = {}
    for _, body in bodies:
        if isinstance(body, Customers) and body.source == source:
            found |= body.customers
    return found

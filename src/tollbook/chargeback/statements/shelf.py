"""The shelf: statements as received, each content once, and which of their lines count now."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from tollbook import clock, ids
from tollbook.books.tables_statements import (
    statement_lines,
    statement_marks,
    statement_sightings,
)
from tollbook.books.tables_statements import statements as table
from tollbook.chargeback.statements.choose import DEFAULT_PREFERENCE, HAVE_QUANTITIES, choose
from tollbook.chargeback.statements.errors import NoStatementError, StatementError
from tollbook.chargeback.statements.leftovers import loading
from tollbook.chargeback.statements.marks import FINAL, WITHDRAWN
from tollbook.chargeback.statements.model import Basis, Finality
from tollbook.chargeback.statements.raws import keep_raw
from tollbook.chargeback.statements.rows import line_of, line_row, statement_of, statement_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tollbook.books.store import Books
    from tollbook.chargeback.statements.choose import Shadowed
    from tollbook.chargeback.statements.model import Statement, StatementLine
    from tollbook.chargeback.statements.spans import Span


class _Load(NamedTuple):
    """A statement and where its lines are."""

    statement: Statement
    load_id: str
    first_ns: int | None
    last_ns: int | None

    def may_have(self, since_ns: int, until_ns: int) -> bool:
        """Whether any of its lines may begin in a time."""
        if self.first_ns is None or self.last_ns is None:
            return False
        return self.first_ns < until_ns and self.last_ns >= since_ns


LOAD_LINES: Final = 5_000
"""Lines written in one transaction: others may write to the books in between."""


def statement_id_of(
    *, provider: str, account: str | None, source: str, scope: str | None,
    start_ns: int, end_ns: int, raw_sha256: str,
) -> str:  # fmt: skip
    """Return the id of a statement: the same content for the same time again has the same."""
    told = (provider, account or "", source, scope or "", str(start_ns), str(end_ns), raw_sha256)
    return "st-" + hashlib.sha256("\0".join(told).encode()).hexdigest()[:24]


def keep_statement(
    books: Books, statement: Statement, lines: Iterable[StatementLine], raw: bytes | Path
) -> bool:
    """Keep a statement, its lines and the bytes it came in; once, however often it comes.

    The same content fetched again is noted as the provider's word of that later time.

    Args:
        books: where it is kept.
        statement: of which ``lines`` is counted here.
        lines: read once, in the order received; numbered from 1 in that order.
        raw: the bytes as received, or the file that holds them.

    Returns:
        False where the same content was there.

    Raises:
        StatementError: it covers no time, or its id is that of other content.
        BooksError: the books cannot be written.
    """
    if statement.start_ns >= statement.end_ns:
        raise StatementError(statement.statement_id, "covers no time")
    if _seen_again(books, statement):
        return False
    keep_raw(books, statement.raw_sha256, raw)
    with loading(books):
        is_new = _loaded(books, statement, lines)
    return is_new or not _seen_again(books, statement)


def _loaded(books: Books, statement: Statement, lines: Iterable[StatementLine]) -> bool:
    """Load lines and then their statement; False where another process kept the same meanwhile."""
    load_id = ids.to_text(ids.new_id())
    try:
        count, first_ns, last_ns = _load(books, load_id, statement, lines)
        row = statement_row(statement) | {
            "load_id": load_id, "lines": count, "first_line_ns": first_ns, "last_line_ns": last_ns,
        }  # fmt: skip
        with books.write() as connection:
            if _exists(connection, statement) is None:
                connection.execute(table.insert().values(row))
                _add_sighting(connection, statement)
                return True
    except BaseException:
        _drop(books, load_id)
        raise
    _drop(books, load_id)
    return False


def _load(
    books: Books, load_id: str, statement: Statement, lines: Iterable[StatementLine]
) -> tuple[int, int | None, int | None]:
    count = 0
    first: int | None = None
    last: int | None = None
    span = (statement.start_ns, statement.end_ns)
    numbered = enumerate(lines, 1)
    for some in _batched(numbered):
        with books.write() as connection:
            connection.execute(
                statement_lines.insert(),
                [line_row(load_id, number, line, span) for number, line in some],
            )
        starts = [line.start_ns for _, line in some]
        count += len(some)
        first = min(starts) if first is None else min(first, *starts)
        last = max(starts) if last is None else max(last, *starts)
    return count, first, last


def _batched(
    numbered: Iterator[tuple[int, StatementLine]],
) -> Iterator[list[tuple[int, StatementLine]]]:
    while some := list(islice(numbered, LOAD_LINES)):
        yield some


def _exists(connection: sa.Connection, statement: Statement) -> bool | None:
    """Return None where the id is new, True where it is there with the same content."""
    found = connection.execute(
        sa.select(table.c.raw_sha256).where(table.c.statement_id == statement.statement_id)
    ).scalar()
    if found is not None and found != statement.raw_sha256:
        raise StatementError(statement.statement_id, "is kept already with other content")
    return None if found is None else True


def _seen_again(books: Books, statement: Statement) -> bool:
    with books.write() as connection:
        if _exists(connection, statement) is None:
            return False
        _add_sighting(connection, statement)
        return True


def _add_sighting(connection: sa.Connection, statement: Statement) -> None:
    known = statement.received_at_ns
    connection.execute(
        sa.insert(statement_sightings).prefix_with("OR IGNORE").values(
            statement_id=statement.statement_id, fetched_at_ns=statement.fetched_at_ns,
            received_at_ns=clock.unix_ns() if known is None else known,
        )
    )  # fmt: skip


def _drop(books: Books, load_id: str) -> None:
    with books.write() as connection:
        connection.execute(statement_lines.delete().where(statement_lines.c.load_id == load_id))


def statements(
    books: Books,
    *,
    provider: str | None = None,
    basis: Basis | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    known_before_ns: int | None = None,
    withdrawn: bool = False,
) -> list[Statement]:
    """Return statements, by provider and time, with the newest that was said of each.

    Args:
        books: where they are kept.
        provider: only its own.
        basis: only these.
        since_ns: only those that cover something from here on.
        until_ns: only those that cover something before.
        known_before_ns: as of what Tollbook had then; None is all that it has now.
        withdrawn: also those that were withdrawn.

    Raises:
        BooksError: the books cannot be read.
    """
    return [
        one
        for one, *_ in _loads(
            books, provider=provider, basis=basis, known_before_ns=known_before_ns,
            withdrawn=withdrawn,
        )
        if (since_ns is None or one.end_ns > since_ns)
        and (until_ns is None or one.start_ns < until_ns)
    ]  # fmt: skip


def providers_of(books: Books, since_ns: int, until_ns: int) -> set[str]:
    """Return the providers with a line in a time; one that only covers it says nothing there.

    Invoices count by what they cover: their lines may be late usage of the month before.

    Raises:
        BooksError: the books cannot be read.
    """
    return {
        load.statement.provider
        for load in _loads(
            books, provider=None, basis=None, known_before_ns=None, withdrawn=False
        )
        if load.may_have(since_ns, until_ns)
        or (
            load.statement.basis is Basis.INVOICE and load.first_ns is not None
            and load.statement.start_ns < until_ns and load.statement.end_ns > since_ns
        )
    }  # fmt: skip


def statement(books: Books, statement_id: str) -> Statement:
    """Return a statement by its id or the beginning of it, also a withdrawn one.

    Raises:
        NoStatementError: none, or several, begin so.
    """
    found = [
        one for one in statements(books, withdrawn=True)
        if one.statement_id == statement_id or one.statement_id.startswith(statement_id)
    ]  # fmt: skip
    exact = [one for one in found if one.statement_id == statement_id] or found
    if len(exact) != 1 or not statement_id:
        raise NoStatementError(statement_id)
    return exact[0]


def _loads(
    books: Books, *, provider: str | None, basis: Basis | None, known_before_ns: int | None,
    withdrawn: bool,
) -> list[_Load]:  # fmt: skip
    seen, marks = statement_sightings, statement_marks
    sightings = sa.select(
        seen.c.statement_id, sa.func.max(seen.c.fetched_at_ns).label("fetched"),
        sa.func.min(seen.c.received_at_ns).label("received"),
    ).group_by(seen.c.statement_id)  # fmt: skip
    marked = sa.select(marks.c.statement_id, marks.c.mark)
    if known_before_ns is not None:
        sightings = sightings.where(seen.c.received_at_ns < known_before_ns)
        marked = marked.where(marks.c.at_ns < known_before_ns)
    told = sightings.subquery()
    query = sa.select(table, told.c.fetched, told.c.received).join(
        told, told.c.statement_id == table.c.statement_id
    )
    if provider is not None:
        query = query.where(table.c.provider == provider)
    if basis is not None:
        query = query.where(table.c.basis == basis.value)
    query = query.order_by(table.c.provider, table.c.start_ns, table.c.statement_id)
    with books.read() as connection:
        said = {(row.statement_id, row.mark) for row in connection.execute(marked)}
        return [
            _Load(
                statement_of(
                    row, fetched_at_ns=row.fetched, received_at_ns=row.received,
                    is_final=row.finality == Finality.FINAL.value
                    or (row.statement_id, FINAL) in said,
                ),
                row.load_id, row.first_line_ns, row.last_line_ns,
            )
            for row in connection.execute(query)
            if withdrawn or (row.statement_id, WITHDRAWN) not in said
        ]  # fmt: skip


def current_lines(
    books: Books,
    basis: Basis,
    since_ns: int,
    until_ns: int,
    provider: str | None = None,
    account: str | None = None,
    known_before_ns: int | None = None,
    *,
    prefer: Sequence[str] = DEFAULT_PREFERENCE,
    by_bill: bool = False,
) -> list[StatementLine]:
    """Return the lines that count, by provider and time; see :mod:`.choose` for which do.

    Where no statement of usage speaks of a time, quantities of a cost export stand in for it.

    Args:
        books: where they are kept.
        basis: which kind of statements.
        since_ns: lines that begin from here on.
        until_ns: lines that begin before.
        provider: only its own.
        account: only of statements of this account, and of those that name none.
        known_before_ns: as of what Tollbook had then; None is all that it has now.
        prefer: sources, the preferred first (``[statements] prefer``).
        by_bill: the two times are of what the statement covers, not of the usage: a month's
            statement then comes with the late usage of the month before that it bills.

    Raises:
        BooksError: the books cannot be read.
    """
    loads = _speaking_of(books, basis, provider, known_before_ns)
    by_id = {one.statement.statement_id: one for one in loads}
    found: list[StatementLine] = []
    with books.read() as connection:
        for one, spans in choose((one.statement for one in loads), prefer).chosen:
            if account is not None and one.account not in {account, None}:
                continue
            load = by_id[one.statement_id]
            if not by_bill and not load.may_have(since_ns, until_ns):
                continue
            for span in spans:
                lines = _lines(connection, load, span, (since_ns, until_ns), by_bill=by_bill)
                found.extend(lines if one.basis is basis else _quantities(lines))
    found.sort(key=lambda line: (line.provider, line.start_ns, line.statement_id, line.line))
    return found


def _speaking_of(
    books: Books, basis: Basis, provider: str | None, known_before_ns: int | None
) -> list[_Load]:
    """Return the statements of a basis; of usage also those of cost that have quantities."""
    wanted = basis if basis is not Basis.USAGE else None
    return [
        load
        for load in _loads(
            books, provider=provider, basis=wanted, known_before_ns=known_before_ns,
            withdrawn=False,
        )
        if load.statement.basis is basis
        or (load.statement.basis is Basis.COST and load.statement.source in HAVE_QUANTITIES)
    ]  # fmt: skip


def _quantities(lines: Iterable[StatementLine]) -> Iterator[StatementLine]:
    """Yield what lines of cost say of usage, without the money."""
    for one in lines:
        if one.kind is not None and one.quantity is not None:
            yield msgspec.structs.replace(one, amount=None, amount_in_currency=None)


def _lines(
    connection: sa.Connection, load: _Load, span: Span, wanted: tuple[int, int], *, by_bill: bool
) -> Iterator[StatementLine]:  # fmt: skip
    row = statement_lines.c
    query = sa.select(statement_lines).where(
        row.load_id == load.load_id, row.anchor_ns >= span.start_ns, row.anchor_ns < span.end_ns
    )
    at = row.anchor_ns if by_bill else row.start_ns
    query = query.where(at >= wanted[0], at < wanted[1])
    return (line_of(load.statement, found) for found in connection.execute(query))


def shadowed(
    books: Books, basis: Basis, since_ns: int, until_ns: int, *,
    prefer: Sequence[str] = DEFAULT_PREFERENCE, known_before_ns: int | None = None,
) -> list[Shadowed]:  # fmt: skip
    """Return what statements say of times for which another source is preferred."""
    loads = _speaking_of(books, basis, None, known_before_ns)
    return [
        one
        for one in choose((one.statement for one in loads), prefer).shadowed
        if one.span.start_ns < until_ns and one.span.end_ns > since_ns
    ]


def lines_of(
    books: Books, statement_id: str, first: int = 1, limit: int | None = None
) -> list[StatementLine]:
    """Return lines of one statement, in the order received.

    Raises:
        NoStatementError: no statement has that id.
    """
    one = statement(books, statement_id)
    row = statement_lines.c
    query = (
        sa.select(statement_lines)
        .join(table, table.c.load_id == row.load_id)
        .where(table.c.statement_id == one.statement_id, row.line >= first)
        .order_by(row.line)
        .limit(limit)
    )
    with books.read() as connection:
        return [line_of(one, found) for found in connection.execute(query)]

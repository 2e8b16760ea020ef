"""What the API offers of statements: list them and their lines, add invoices and small files."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from tollbook import clock
from tollbook.books.events import current_user
from tollbook.chargeback.statements.answers import iso, line_row, statement_row
from tollbook.chargeback.statements.choose import DEFAULT_PREFERENCE
from tollbook.chargeback.statements.errors import StatementError
from tollbook.chargeback.statements.importer import How, import_file
from tollbook.chargeback.statements.invoices import Invoice, keep_invoice
from tollbook.chargeback.statements.marks import mark_statement, marks_of
from tollbook.chargeback.statements.model import Basis
from tollbook.chargeback.statements.moments import ns_of
from tollbook.chargeback.statements.shelf import (
    current_lines,
    lines_of,
    shadowed,
    statement,
    statements,
)
from tollbook.desk import Operation
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from tollbook.config import Config
    from tollbook.desk import Desk

LINES_MAX: Final = 10_000
BasisName = Literal["usage", "cost", "invoice"]


class ListRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which statements."""

    provider: str | None = None
    basis: BasisName | None = None
    since: str | None = None
    until: str | None = None
    withdrawn: bool = False


class ShowRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One statement."""

    statement_id: str


class LinesRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Lines of one statement, or those that count in a stretch of time."""

    statement_id: str | None = None
    basis: BasisName = "cost"
    provider: str | None = None
    account: str | None = None
    period: str | None = None
    by_bill: bool = False
    first: Annotated[int, Meta(ge=1)] = 1
    limit: Annotated[int, Meta(ge=1, le=LINES_MAX)] = 1000


class ShadowedRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is not counted because another source is preferred."""

    basis: BasisName = "cost"
    period: str | None = None


class ImportRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A file, as text or in base64."""

    file_name: Annotated[str, Meta(min_length=1, max_length=200)]
    content: str | None = None
    content_base64: str | None = None
    form: str | None = None
    provider: str | None = None
    account: str | None = None
    final: bool = False


class FetchRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whose statements, and of which days."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    """A provider, or a ``[statements.fetch.NAME]``."""
    since: str | None = None
    until: str | None = None
    """Unset: what is new, and what may have been revised."""


class MarkRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is said of a statement."""

    statement_id: str
    mark: Literal["final", "withdrawn"]
    reason: str


def preference(config: Config) -> tuple[str, ...]:
    """Return sources in the order in which they are preferred."""
    own = tuple(config.statements.prefer)
    return (*own, *(one for one in DEFAULT_PREFERENCE if one not in own))


def span_of(text: str, option: str) -> tuple[int, int]:
    """Return the span that a time expression names, UTC.

    Raises:
        QueryError: it is not understood.
    """
    found = parse_period(text, zone_of("UTC"), clock.utc_now(), option)
    return ns_of(found.start), ns_of(found.end)


def list_statements(desk: Desk, request: ListRequest) -> dict[str, Any]:
    """Return statements without their lines."""
    found = statements(
        desk.books, provider=request.provider, withdrawn=request.withdrawn,
        basis=None if request.basis is None else Basis(request.basis),
        since_ns=None if request.since is None else span_of(request.since, "--since")[0],
        until_ns=None if request.until is None else span_of(request.until, "--until")[0],
    )  # fmt: skip
    return {"rows": [statement_row(one) for one in found]}


def show_statement(desk: Desk, request: ShowRequest) -> dict[str, Any]:
    """Return one statement, its problems and what was said of it."""
    one = statement(desk.books, request.statement_id)
    return {
        "statement": statement_row(one), "problems": list(one.problems),
        "rows": [
            {"at": iso(said.at_ns), "mark": said.mark, "author": said.author,
             "reason": said.reason}
            for said in marks_of(desk.books, one.statement_id)
        ],
    }  # fmt: skip


def list_lines(desk: Desk, request: LinesRequest) -> dict[str, Any]:
    """Return lines, and how many there are."""
    if request.statement_id is not None:
        whole = statement(desk.books, request.statement_id)
        some = lines_of(desk.books, whole.statement_id, request.first, request.limit)
        return {"rows": [line_row(one) for one in some], "total_lines": whole.lines}
    since_ns, until_ns = span_of(request.period or "month", "--period")
    found = current_lines(
        desk.books, Basis(request.basis), since_ns, until_ns, request.provider, request.account,
        prefer=preference(desk.config), by_bill=request.by_bill,
    )  # fmt: skip
    some = found[request.first - 1 : request.first - 1 + request.limit]
    return {"rows": [line_row(one) for one in some], "total_lines": len(found)}


def list_shadowed(desk: Desk, request: ShadowedRequest) -> dict[str, Any]:
    """Return statements, and the times for which they do not count."""
    since_ns, until_ns = span_of(request.period or "all", "--period")
    found = shadowed(
        desk.books, Basis(request.basis), since_ns, until_ns, prefer=preference(desk.config)
    )
    return {
        "rows": [
            {"statement_id": one.statement.statement_id, "provider": one.statement.provider,
             "source": one.statement.source, "since": iso(one.span.start_ns),
             "until": iso(one.span.end_ns), "by": ", ".join(one.by_sources)}
            for one in found
        ]
    }  # fmt: skip


def add_invoice(desk: Desk, request: Invoice) -> dict[str, Any]:
    """Keep an invoice that was typed in."""
    one, is_new = keep_invoice(desk.books, request, author=desk.author)
    return {"rows": [statement_row(one) | {"new": is_new}], "problems": list(one.problems)}


def import_content(desk: Desk, request: ImportRequest) -> dict[str, Any]:
    """Keep what a small file states."""
    data = _content(request)
    how = How(
        provider=request.provider, account=request.account, form=request.form,
        is_final=request.final, fetched_at_ns=clock.unix_ns(), received_by=desk.author,
        file_name=Path(request.file_name).name,
    )  # fmt: skip
    with TemporaryDirectory(prefix="tollbook-upload-") as directory:
        path = Path(directory) / "upload"
        path.write_bytes(data)
        imported = import_file(desk.books, path, how)
    return {
        "rows": [statement_row(one.statement) | {"new": one.is_new} for one in imported],
        "problems": list(imported[0].statement.problems),
    }


def _content(request: ImportRequest) -> bytes:
    if (request.content is None) == (request.content_base64 is None):
        raise StatementError(request.file_name, "expected one of content and content_base64")
    if request.content is not None:
        return request.content.encode()
    try:
        return base64.b64decode(request.content_base64 or "", validate=True)
    except binascii.Error as error:
        raise StatementError(request.file_name, "content_base64 is no base64") from error


def fetch(desk: Desk, request: FetchRequest) -> dict[str, Any]:
    """Fetch from a provider's API, with the key in the environment of who carries this out."""
    # An HTTP client is loaded by who fetches, not by who asks for what is there.
    from tollbook.chargeback.statements.fetch.run import (  # noqa: PLC0415 -- see above
        Wanted,
        fetch_statements,
    )

    wanted = Wanted(
        None if request.since is None else span_of(request.since, "--since")[0],
        None if request.until is None else span_of(request.until, "--until")[0],
    )
    found = fetch_statements(
        desk.books, request.name, desk.config.statements, desk.environ, wanted=wanted,
        author=desk.author,
    )  # fmt: skip
    kept = []
    for one in found:
        kept.append(one)
        desk.progress(len(kept), None)
    return {
        "rows": [statement_row(one) for one in kept],
        "problems": [problem for one in kept for problem in one.problems],
    }


def mark(desk: Desk, request: MarkRequest) -> dict[str, Any]:
    """Say that a statement is final or withdrawn."""
    one = statement(desk.books, request.statement_id)
    mark_statement(
        desk.books, one.statement_id, request.mark, author=desk.author or current_user(),
        reason=request.reason,
    )  # fmt: skip
    return {"rows": [statement_row(statement(desk.books, one.statement_id))]}


LIST: Final = Operation(
    name="statements.list", method="GET", path="/statements", request=ListRequest,
    run=list_statements, summary="List providers' statements.",
)  # fmt: skip
SHOW: Final = Operation(
    name="statements.show", method="GET", path="/statements/show", request=ShowRequest,
    run=show_statement, summary="Show one statement of a provider.",
)  # fmt: skip
LINES: Final = Operation(
    name="statements.lines", method="GET", path="/statements/lines", request=LinesRequest,
    run=list_lines, summary="List lines of statements.",
)  # fmt: skip
SHADOWED: Final = Operation(
    name="statements.shadowed", method="GET", path="/statements/shadowed",
    request=ShadowedRequest, run=list_shadowed,
    summary="List what another source is preferred to.",
)  # fmt: skip
INVOICE: Final = Operation(
    name="statements.invoice", method="POST", path="/statements/invoices", request=Invoice,
    run=add_invoice, summary="Keep an invoice that was typed in.",
)  # fmt: skip
IMPORT: Final = Operation(
    name="statements.import", method="POST", path="/statements/imports", request=ImportRequest,
    run=import_content, summary="Keep what a provider's file states.",
)  # fmt: skip
FETCH: Final = Operation(
    name="statements.fetch", method="POST", path="/statements/fetch", request=FetchRequest,
    run=fetch, summary="Fetch statements from a provider's API.",
)  # fmt: skip
MARK: Final = Operation(
    name="statements.mark", method="POST", path="/statements/marks", request=MarkRequest,
    run=mark, summary="Say that a statement is final or withdrawn.",
)  # fmt: skip
OPERATIONS: Final = (LIST, SHOW, LINES, SHADOWED, INVOICE, IMPORT, FETCH, MARK)

"""Exports over the API: make one, list them, fetch a file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from tollbook import clock
from tollbook.books.exports import ExportRecord, find_export, list_exports
from tollbook.chargeback.focus.layout import (
    MANIFEST,
    FileFormat,
    Perspective,
    Version,
    digest_of,
    directory_of,
    time_text,
)
from tollbook.chargeback.periods import the_period
from tollbook.desk import Desk, FileAnswer, Operation
from tollbook.errors import CheckFailedError, TollbookError
from tollbook.reports.errors import QueryError
from tollbook.reports.params import parse_filter, parse_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.chargeback.focus.scope import Scope
    from tollbook.reports.query import Filter

_MEDIA: Final = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
}
_OTHER_MEDIA: Final = "application/octet-stream"


class NoExportError(TollbookError):
    """An export or a file of it that is asked for does not exist."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no export {what[:128]!r}; see tollbook export list")


class ExportChangedError(CheckFailedError):
    """A file is not what was written."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not what was exported: its SHA-256 differs; export it again")


class FocusRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What to export: a billing period, or a range of days."""

    period: str | None = None
    """``2026-10``."""
    view: Literal["billed", "known"] = "billed"
    """Of a period: as billed, or the calls of that month as known now."""
    since: str | None = None
    until: str | None = None
    """A range, as known now; in UTC."""
    version: Version = "1.4"
    files: FileFormat = "csv"
    perspective: Perspective = "cost"
    """``cost``: what providers bill; ``billable``: what tenants are charged."""
    where: list[str] = []
    """Filters as in reports, such as ``tenant=acme``."""


class ListRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which exports to list."""

    kind: str | None = None
    period: str | None = None
    limit: int = 100


class ShowRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which export to show."""

    export_id: str


class FileRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which file to send."""

    export_id: str
    name: str = MANIFEST


def export_focus(desk: Desk, request: FocusRequest) -> dict[str, Any]:
    """Make an export and return its manifest, files as rows.

    Raises:
        QueryError: a range and a period, or neither, or a filter that is none.
        NothingToExportError: the ledger has no entry of it.
    """
    # Engine and file formats are loaded by who exports, not by who asks.
    from tollbook.chargeback.focus.export import (  # noqa: PLC0415 -- see above
        NothingToExportError,
        Wanted,
        make_export,
    )

    scope, what = _scope(desk, request)
    if not scope.parts:
        raise NothingToExportError(what)
    wanted = Wanted(scope, request.version, request.files, request.perspective, what)
    return _answer(desk, make_export(desk, wanted))


def _scope(desk: Desk, request: FocusRequest) -> tuple[Scope, str]:
    from tollbook.chargeback.focus.scope import (  # noqa: PLC0415 -- as above
        billed_scope,
        known_scope,
    )

    where = tuple(_filter(text) for text in request.where)
    if request.period is None:
        if request.since is None:
            raise QueryError("--period", "expected a period, or --since and --until")
        named = {"since": request.since, "until": request.until or "now", "tz": "UTC"}
        period = parse_range(named, clock.utc_now())
        return known_scope(desk, period.start, period.end, where), _range(period.start, period.end)
    if request.since is not None or request.until is not None:
        raise QueryError("--period", "goes without --since and --until")
    if request.view == "billed":
        return billed_scope(desk, request.period, where), request.period
    month = the_period(desk.books, desk.config, request.period)
    return known_scope(desk, month.start, month.end, where), request.period


def _range(since: datetime, until: datetime) -> str:
    return f"{time_text(since)} to {time_text(until)}"


def _filter(text: str) -> Filter:
    item = parse_filter(text)
    if item.dimension == "kind":
        raise QueryError("--where", "kind tells entries apart within an export; filter by others")
    return item


def _answer(desk: Desk, record: ExportRecord) -> dict[str, Any]:
    directory = directory_of(desk.data_dir, record.export_id)
    rows = [
        {
            "dataset": file.dataset, "name": file.name, "rows": file.rows,
            "size_bytes": file.size_bytes, "sha256": file.sha256,
        }
        for file in record.files
    ]  # fmt: skip
    return {"rows": rows, "directory": str(directory), **record.manifest}


def exports_listed(desk: Desk, request: ListRequest) -> dict[str, Any]:
    """Return exports, the newest first."""
    found = list_exports(
        desk.books, kind=request.kind, billing_period=request.period,
        limit=max(1, min(request.limit, 1000)),
    )  # fmt: skip
    return {"rows": [_listed(one) for one in found]}


def _listed(one: ExportRecord) -> dict[str, Any]:
    at = datetime.fromtimestamp(one.created_at_ns // clock.NS_PER_S, tz=UTC)
    return {
        "export_id": one.export_id, "kind": one.kind, "period": one.billing_period,
        "view": one.view, "version": one.manifest.get("focus_version"),
        "perspective": one.manifest.get("perspective"), "created_at": time_text(at),
        "author": one.author, "files": len(one.files), "rows": sum(f.rows for f in one.files),
        "size_bytes": sum(file.size_bytes for file in one.files),
        "names": [file.name for file in one.files], "owner": one.manifest.get("owner"),
        "by": one.manifest.get("by"), "price": one.manifest.get("price"),
        "incomplete": incomplete_words(one.manifest),
    }  # fmt: skip


def incomplete_words(manifest: Mapping[str, Any]) -> list[str]:
    """Return why the figures of an export may still change or are too low; nothing: they are not.

    Args:
        manifest: of any kind of export.
    """
    words = []
    state = manifest.get("period_state")
    if state is not None and state != "closed":
        words.append(f"the month was {state} when it was made")
    completeness = manifest.get("completeness") or {}
    for name, what in (("unpriced", "without a price"), ("interrupted", "cut off")):
        calls = (completeness.get(name) or {}).get("calls")
        if calls:
            words.append(f"{calls} calls {what}")
    if completeness.get("incidents"):
        words.append(f"{completeness['incidents']} losses or damages on record")
    return words


def export_shown(desk: Desk, request: FileRequest) -> dict[str, Any]:
    """Return where a file of an export is.

    Raises:
        NoExportError: there is no such export or file.
        ExportChangedError: the file was changed since.
    """
    found = sent_file(desk, request)
    return {"rows": [{"path": str(found.path), "media_type": found.media_type}]}


def export_told(desk: Desk, request: ShowRequest) -> dict[str, Any]:
    """Return an export's manifest, and of each file whether it is what was written.

    Raises:
        NoExportError: there is no such export.
    """
    record = find_export(desk.books, request.export_id)
    if record is None:
        raise NoExportError(request.export_id)
    answer = _answer(desk, record) | {"incomplete": incomplete_words(record.manifest)}
    for row in answer["rows"]:
        path = directory_of(desk.data_dir, record.export_id) / row["name"]
        is_there = path.is_file()
        row["state"] = (
            "missing" if not is_there
            else "unchanged" if digest_of(path) == row["sha256"]
            else "changed"
        )  # fmt: skip
    return answer


def sent_file(desk: Desk, request: FileRequest) -> FileAnswer:
    """Find a file of an export; only names that the export has are looked at.

    Raises:
        NoExportError: there is no such export or file.
        ExportChangedError: the file was changed since.
    """
    record = find_export(desk.books, request.export_id)
    if record is None:
        raise NoExportError(request.export_id)
    digests: dict[str, str | None] = {file.name: file.sha256 for file in record.files}
    digests[MANIFEST] = None
    if request.name not in digests:
        raise NoExportError(f"{request.export_id}/{request.name}")
    path = directory_of(desk.data_dir, record.export_id) / request.name
    if not path.is_file():
        raise NoExportError(f"{request.export_id}/{request.name}")
    digest = digests[request.name]
    if digest is not None and digest_of(path) != digest:
        raise ExportChangedError(request.name)
    return FileAnswer(path, _MEDIA.get(path.suffix, _OTHER_MEDIA))


OPERATIONS: Final = (
    Operation(
        "exports.focus", "POST", "/exports", FocusRequest, export_focus,
        "Export FOCUS datasets of a billing period or a range.",
    ),
    Operation(
        "exports.list", "GET", "/exports", ListRequest, exports_listed,
        "List exports, the newest first.",
    ),
    Operation(
        "exports.show", "GET", "/exports/show", ShowRequest, export_told,
        "Show an export's manifest, and whether its files are what was written.",
    ),
    Operation(
        "exports.file", "GET", "/exports/file", FileRequest, export_shown,
        "Fetch a file of an export.", file=sent_file,
    ),
)  # fmt: skip

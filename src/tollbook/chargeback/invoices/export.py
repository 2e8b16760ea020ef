"""Statements of all owners, or of one, as files of an export with an index."""

from __future__ import annotations

import hashlib
import re
import zipfile
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from msgspec.structs import replace

from tollbook.chargeback.cents import PICO_PER_CENT, cents_text
from tollbook.chargeback.filing import Written, file_export, fixed_query, stamp
from tollbook.chargeback.invoices.content import content_of, read_sources
from tollbook.chargeback.invoices.csvfile import write_csv, write_rows
from tollbook.chargeback.invoices.pdf import write_pdf
from tollbook.chargeback.invoices.workbook import write_workbook
from tollbook.errors import TollbookError
from tollbook.money import usd_text
from tollbook.reports.query import Filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tollbook.books.exports import ExportRecord
    from tollbook.chargeback.invoices.content import Content, Price, Sources
    from tollbook.chargeback.invoices.lines import By
    from tollbook.chargeback.periods import Period
    from tollbook.desk import Desk

FileFormat = Literal["xlsx", "pdf", "csv"]
KIND: Final = "statements"
INDEX: Final = "index.csv"
_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_MAX: Final = 60
_HASH_CHARS: Final = 8
_WRITERS: Final[dict[str, Callable[[Path, Content], int]]] = {
    "xlsx": write_workbook,
    "pdf": write_pdf,
    "csv": write_csv,
}
_INDEX: Final = (
    "owner", "file", "lines", "calls", "calls_without_price", "calls_estimated", "total_usd",
    "exact_usd", "previous_usd",
)  # fmt: skip


class NobodyError(TollbookError):
    """A period, or an owner in it, without anything to state."""

    def __init__(self, what: str, period: str) -> None:
        super().__init__(f"nothing to state: the ledger has nothing of {what} in {period}")


class Wanted(NamedTuple):
    """Which statements, and as what."""

    period: Period
    by: By
    owner: str | None
    """None: of everybody."""
    price: Price
    file_format: FileFormat
    zipped: bool = False


def sources_of(
    desk: Desk, period: Period, by: By, owner: str | None, price: Price
) -> Sources:  # fmt: skip
    """Read what statements of a period are made of.

    Raises:
        NobodyError: there is nothing.
        QueryTimeoutError: it took too long.
    """
    query = fixed_query(desk, period)
    if owner is not None:
        value = None if owner == "unknown" else owner
        query = replace(query, where=(Filter(by, (value,)),))
    found = read_sources(desk, period, query, by, price, stamp(desk, period, query))
    if not found.lines:
        raise NobodyError(owner or "anybody", period.name)
    return found


def export_statements(desk: Desk, wanted: Wanted) -> tuple[ExportRecord, Path]:
    """Write statements, an index and a manifest, and note the export in the books.

    Raises:
        NobodyError: there is nothing to state.
        MissingPackageError: a package for such files is not installed.
    """
    sources = sources_of(desk, wanted.period, wanted.by, wanted.owner, wanted.price)
    index: list[dict[str, Any]] = []
    manifest = sources.stamp | {
        "by": wanted.by, "owner": wanted.owner, "price": wanted.price,
    }  # fmt: skip

    def write(directory: Path) -> list[Written]:
        written = _write_all(desk, wanted, sources, directory, index)
        rows = write_rows(directory / INDEX, _INDEX, index)
        written.append(Written(INDEX, "index", rows))
        # The manifest is written after the files.
        manifest["totals"] = _totals(index)
        return _zipped(directory, wanted, written) if wanted.zipped else written

    return file_export(desk, KIND, wanted.period, manifest, write)


def _totals(index: list[dict[str, Any]]) -> dict[str, Any]:
    exact = sum(row["exact_pico"] for row in index)
    cents = sum(row["cents"] for row in index)
    return {
        "statements": len(index), "total_usd": cents_text(cents), "exact_usd": usd_text(exact),
        "rounding_usd": usd_text(cents * PICO_PER_CENT - exact),
    }  # fmt: skip


def _write_all(
    desk: Desk, wanted: Wanted, sources: Sources, directory: Path, index: list[dict[str, Any]]
) -> list[Written]:
    written: list[Written] = []
    taken: set[str] = set()
    owners = sources.owners
    for done, owner in enumerate(owners):
        desk.progress(done, len(owners))
        content = content_of(sources, owner)
        name = file_name(owner, wanted.period.name, wanted.file_format, taken)
        lines = _WRITERS[wanted.file_format](directory / name, content)
        written.append(Written(name, "statement", lines))
        index.append(_indexed(content, name))
    desk.progress(len(owners), len(owners))
    return written


def _indexed(content: Content, name: str) -> dict[str, Any]:
    return {
        "owner": content.owner, "file": name, "lines": len(content.lines),
        "calls": sum(one.line.calls for one in content.lines),
        "calls_without_price": content.trust.calls_without_price,
        "calls_estimated": content.trust.calls_estimated,
        "total_usd": cents_text(content.total), "exact_usd": usd_text(content.exact),
        "previous_usd": None if content.previous is None else cents_text(content.previous),
        "cents": content.total, "exact_pico": content.exact,
    }  # fmt: skip


def file_name(owner: str, period: str, suffix: str, taken: set[str]) -> str:
    """Return a name of plain characters for an owner's file, different from those taken.

    What has to be changed, or is taken in another case, gets a digest of the owner's name.
    """
    plain = _NAME.sub("_", owner).strip("._")[:_NAME_MAX]
    if plain != owner or plain.lower() in taken:
        plain = f"{plain or 'x'}-{hashlib.sha256(owner.encode()).hexdigest()[:_HASH_CHARS]}"
    taken.add(plain.lower())
    return f"{plain}-{period}.{suffix}"


def _zipped(directory: Path, wanted: Wanted, written: list[Written]) -> list[Written]:
    name = f"statements-{wanted.period.name}.zip"
    with zipfile.ZipFile(directory / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in written:
            archive.write(directory / one.name, one.name)
            (directory / one.name).unlink()
    return [Written(name, "statements", sum(one.rows for one in written))]

"""Exports of a billing period that are made of files: written aside, moved there whole, noted.

What is listed in the books is complete on disk. The last entry is fixed before anything is read,
so that all files of an export speak of the same entries.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from tollbook import __version__, clock, ids
from tollbook.books.events import current_user
from tollbook.books.exports import ExportFile, ExportRecord, record_export
from tollbook.chargeback.periods import period_state
from tollbook.chargeback.periods.sums import period_query
from tollbook.reports.params import to_pairs
from tollbook.reports.spend import CURRENCY, run_spend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery

DIRECTORY: Final = "exports"
MANIFEST: Final = "manifest.json"
VIEW: Final = "billed"
_CHUNK: Final = 1 << 20


class Written(NamedTuple):
    """A file that was written into the directory it was asked for."""

    name: str
    dataset: str
    rows: int


def fixed_query(desk: Desk, period: Period) -> SpendQuery:
    """Return what belongs to a period as billed, without entries that are booked from now on."""
    query = period_query(desk, period)
    window = query.entry_window
    assert window is not None, "of a period it was looked up"
    if window.upto_entry is not None:
        return query
    ((last,),) = desk.reader.fetch("SELECT coalesce(max(entry_id), 0) FROM entries")
    return replace(query, entry_window=replace(window, upto_entry=int(last)))


def original_month(query: SpendQuery, month: str) -> str:
    """Return the month that an entry of a billing period is of: its own, or a closed one.

    Args:
        query: of the billing period.
        month: of the call, or that an adjustment is dated to; such as ``2026-09``.
    """
    window = query.entry_window
    assert window is not None, "of a period it was looked up"
    # Before any month was closed nothing is a correction, and what names the period is its own.
    is_correction = window.after_entry is not None and month < window.period
    return month if is_correction else window.period


def stamp(desk: Desk, period: Period, query: SpendQuery) -> dict[str, Any]:
    """Return what says how far the figures of a period can be trusted, as JSON has it."""
    window = query.entry_window
    assert window is not None, "of a period it was looked up"
    completeness = run_spend(desk.reader, query).completeness
    return {
        "billing_period": period.name,
        "period_state": period_state(desk.books, period.name).value,
        "timezone": period.timezone,
        "view": VIEW,
        "query": dict(to_pairs(query)),
        "last_entry_id": window.upto_entry,
        "created_at": f"{clock.utc_now():%Y-%m-%dT%H:%M:%SZ}",
        "tollbook_version": __version__,
        "completeness": msgspec.to_builtins(completeness),
        "currency": CURRENCY,
    }


def file_export(
    desk: Desk, kind: str, period: Period, manifest: dict[str, Any],
    write: Callable[[Path], Iterable[Written]],
) -> tuple[ExportRecord, Path]:  # fmt: skip
    """Let files be written, add them to the manifest, and note the export in the books.

    Args:
        desk: what is open.
        kind: such as ``journal``.
        period: which month.
        manifest: without ``export_id``, ``kind`` and ``files``; ``write`` may add to it.
        write: writes into the directory it is given; what it raises leaves nothing behind.

    Returns:
        The record, and the directory of the files.

    Raises:
        BooksError: the books cannot be written.
    """
    export_id = ids.to_text(ids.new_id())
    final = desk.data_dir / DIRECTORY / export_id
    draft = final.with_name(f".{export_id}")
    draft.mkdir(parents=True, mode=0o700)
    try:
        files = [_file(draft, one) for one in write(draft)]
        whole = {"export_id": export_id, "kind": kind, **manifest}
        whole["files"] = [msgspec.to_builtins(one) for one in files]
        (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(whole)))
        draft.rename(final)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    record = ExportRecord(
        export_id=export_id, kind=kind, billing_period=period.name, view=VIEW,
        created_at_ns=clock.unix_ns(), author=desk.author or current_user(), manifest=whole,
    )  # fmt: skip
    record_export(desk.books, record)
    return record, final


def _file(directory: Path, one: Written) -> ExportFile:
    path = directory / one.name
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return ExportFile(
        name=one.name, dataset=one.dataset, rows=one.rows, size_bytes=path.stat().st_size,
        sha256=digest.hexdigest(),
    )  # fmt: skip


def filed_answer(record: ExportRecord, directory: Path) -> dict[str, Any]:
    """Return the answer of an operation that made an export: its manifest, files as rows."""
    rows = [msgspec.to_builtins(one) for one in record.files]
    whole = {name: value for name, value in record.manifest.items() if name != "files"}
    return {"rows": rows, "directory": str(directory), **whole}

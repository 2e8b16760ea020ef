"""How far the ledger is, what it reads, and what it has found wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook import __version__, clock
from tollbook.ledger.schema import SCHEMA_VERSION
from tollbook.reports.calls import plain
from tollbook.reports.freshness import read_freshness
from tollbook.reports.stitching import stitching_counts

if TYPE_CHECKING:
    from tollbook.reports.reader import Reader

_SHOWN_MAX: Final = 100
_US_PER_S: Final = 1_000_000


def read_status(reader: Reader, problems: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the ledger's state as JSON has it; lag is the watermark's distance from now."""
    fresh = read_freshness(reader)
    lag_s = None
    if fresh.complete_until is not None:
        lag_us = clock.unix_ns() // 1000 - _us(fresh.complete_until)
        lag_s = max(0, lag_us // _US_PER_S)
    entries, batches = reader.fetch(
        "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM batches)"
    )[0]
    stitching = stitching_counts(reader, clock.utc_now())
    open_calls = reader.fetch("SELECT count(*) FROM open_calls")[0][0]
    return {
        "version": __version__,
        "schema_version": SCHEMA_VERSION,
        "complete_until": _text(fresh.complete_until),
        "updated_at": _text(fresh.updated_at),
        "lag_s": lag_s,
        "entries": entries,
        "batches": batches,
        "open_calls": open_calls,
        "stitching": stitching,
        "problems": list(problems),
        "incidents": fresh.incidents,
        "latest_incidents": incidents(reader),
        "writers": writers(reader),
    }


def writers(reader: Reader) -> list[dict[str, Any]]:
    """Return the spool writers, the most recently read first."""
    names = ("writer", "state", "segment", "offset", "version", "last_frame_at", "updated_at")
    columns = ", ".join(f'"{name}"' for name in names)
    rows = reader.fetch(
        f"SELECT {columns} FROM spool_positions ORDER BY updated_at DESC LIMIT {_SHOWN_MAX}"  # noqa: S608 -- constants
    )
    return [{name: plain(value) for name, value in zip(names, row, strict=True)} for row in rows]


def incidents(reader: Reader) -> list[dict[str, Any]]:
    """Return the latest losses and damages, newest first."""
    rows = reader.fetch(
        f'SELECT "at", kind, writer, detail FROM incidents ORDER BY "at" DESC LIMIT {_SHOWN_MAX}'  # noqa: S608 -- a constant
    )
    return [
        {"at": plain(at), "kind": kind, "writer": writer, "detail": msgspec.json.decode(detail)}
        for at, kind, writer, detail in rows
    ]


def _us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // datetime.resolution


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")

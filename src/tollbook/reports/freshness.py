"""How far the ledger has come, and what it knows to be missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tollbook.reports.reader import Reader


class Freshness(NamedTuple):
    """The ledger's watermark and recorded incidents."""

    complete_until: datetime | None
    updated_at: datetime | None
    incidents: int


def read_freshness(reader: Reader) -> Freshness:
    """Read the watermark; None before anything was ingested."""
    rows = reader.fetch(
        "SELECT max(complete_until), max(updated_at), (SELECT count(*) FROM incidents) "
        "FROM progress"
    )
    complete_until, updated_at, incidents = rows[0]
    return Freshness(_utc(complete_until), _utc(updated_at), int(incidents))


def _utc(naive: datetime | None) -> datetime | None:
    return None if naive is None else naive.replace(tzinfo=UTC)

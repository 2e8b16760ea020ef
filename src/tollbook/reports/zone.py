"""Local calendar buckets, exact in every zone and on every engine.

Engines disagree on zones (some need ICU data, some carry old tables), so none is asked: Python's
zoneinfo gives the moments at which the UTC offset changes, and SQL only adds a constant within
each piece and truncates.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tollbook.reports.errors import QueryError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(hours=6)
"""No zone changes its offset twice within six hours."""


class Piece(NamedTuple):
    """A stretch of time, from ``start`` to the next piece's, with one UTC offset."""

    start: datetime
    offset_s: int


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Return an IANA zone.

    Raises:
        QueryError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise QueryError(
            "--tz", f"{name[:64]!r} is not an IANA time zone such as Europe/Berlin"
        ) from error


def offset_s(zone: ZoneInfo, moment: datetime) -> int:
    """Return the zone's UTC offset at a moment, in seconds."""
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None, "an aware datetime has an offset"
    return int(offset.total_seconds())


@lru_cache(maxsize=256)
def pieces(zone: ZoneInfo, since: datetime, until: datetime) -> tuple[Piece, ...]:
    """Cut ``[since, until)`` where the zone's offset changes; the first piece starts at since."""
    found = [Piece(since, offset_s(zone, since))]
    at = since
    while at < until:
        after = min(at + _STEP, until)
        if offset_s(zone, after) != found[-1].offset_s:
            change = _change(zone, at, after)
            if change < until:
                found.append(Piece(change, offset_s(zone, change)))
        at = after
    return tuple(found)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first second of the new offset (changes fall on whole seconds)."""
    old = offset_s(zone, before)
    low, high = 0, int((after - before).total_seconds()) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if offset_s(zone, before + timedelta(seconds=middle)) == old:
            low = middle
        else:
            high = middle
    return (before + timedelta(seconds=high)).replace(microsecond=0)


def hour_label(zone: ZoneInfo, start: datetime) -> str:
    """Name a local hour by its first moment, with its offset.

    The hour that the end of daylight saving time repeats has two names, one per offset. Where a
    change of half an hour cuts an hour (Lord Howe), the second part starts at the change.
    """
    local = start.astimezone(zone)
    if (local.minute, local.second) != (0, 0):
        changes = pieces(zone, start, start + timedelta(hours=1))
        if len(changes) > 1:
            local = changes[1].start.astimezone(zone)
    return local.isoformat(timespec="minutes")

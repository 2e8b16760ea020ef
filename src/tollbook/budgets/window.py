"""Calendar windows in a named zone: from which moment until which a limit counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from tollbook.config.budgets import Window

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DECEMBER: Final = 12


class Span(NamedTuple):
    """``start_s <= t < end_s``, seconds since the epoch."""

    start_s: int
    end_s: int


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def span_at(window: Window, zone: str, at_s: int) -> Span:
    """Return the window that a moment lies in.

    A day is from midnight to midnight on the zone's clock, be it 23 or 25 hours long.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    tz = _zone(zone)
    local = (_EPOCH + timedelta(seconds=at_s)).astimezone(tz)
    if window == "hour":
        start_s = at_s - local.minute * 60 - local.second
        return Span(start_s, start_s + 3600)
    day = local.date()
    if window == "day":
        first, following = day, day + timedelta(days=1)
    elif window == "week":
        first = day - timedelta(days=day.weekday())
        following = first + timedelta(days=7)
    else:
        first = day.replace(day=1)
        following = (
            date(day.year + 1, 1, 1) if day.month == _DECEMBER else date(day.year, day.month + 1, 1)
        )
    return Span(_midnight_s(first, tz), _midnight_s(following, tz))


def _midnight_s(day: date, tz: ZoneInfo) -> int:
    moment = datetime(day.year, day.month, day.day, tzinfo=tz)
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)

"""From which moment until which a limit counts: a calendar's window, or the last so long."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from tollbook.config.budgets import Budget, Window

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DECEMBER: Final = 12
BUCKETS: Final = 60
"""A rolling window is counted in so many parts, and the part that is under way."""
ROLLING_S: Final[dict[str, int]] = {
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_592_000,
}
"""Length of rolling windows."""


class Span(NamedTuple):
    """``start_s <= t < end_s``, seconds since the epoch."""

    start_s: int
    end_s: int


def bucket_s(budget: Budget) -> int:
    """Return the seconds of a part of a budget's rolling window, 0 where it is a calendar's."""
    if budget.limit_concurrent is not None or not (budget.rolling or budget.window == "minute"):
        return 0
    return ROLLING_S[budget.window] // BUCKETS


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def span_at(window: Window, zone: str, at_s: int) -> Span:
    """Return the calendar's window that a moment lies in.

    A day is from midnight to midnight on the zone's clock, be it 23 or 25 hours long.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    tz = _zone(zone)
    local = (_EPOCH + timedelta(seconds=at_s)).astimezone(tz)
    if window == "minute":
        return Span(at_s - local.second, at_s - local.second + 60)
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


def shown_at(at_s: int, zone: str) -> str:
    """Return a moment as ISO 8601 on a zone's clock."""
    return (_EPOCH + timedelta(seconds=at_s)).astimezone(_zone(zone)).isoformat()


def _midnight_s(day: date, tz: ZoneInfo) -> int:
    moment = datetime(day.year, day.month, day.day, tzinfo=tz)
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)

"""Time expressions of people: dates, moments, ``today``, ``7d``, ``2026-11``, ``last-month``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from tollbook.reports.errors import QueryError
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

_MONTH = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})")
_AGO = re.compile(r"(?P<count>\d{1,6})(?P<unit>[mhdw])")
_LENGTH_MAX = 64
EXPECTED = (
    "expected a date (2026-11-01), a month (2026-11), a date and time (2026-11-01T08:00+01:00), "
    "now, today, yesterday, week, last-week, month, last-month, all, or so long ago: 30m, 24h, "
    "7d, 4w"
)


class Period(NamedTuple):
    """From the first moment to the first that is no longer in it, in UTC."""

    start: datetime
    end: datetime


def parse_period(text: str, zone: ZoneInfo, now: datetime, option: str = "--since") -> Period:
    """Read a time expression.

    Hours and minutes ago are elapsed time; days and weeks ago are calendar days, so that ``7d`` is
    the same time of day a week earlier also across a change of daylight saving time. A moment is a
    period without length.

    Raises:
        QueryError: the expression is not understood.
    """
    text = text.strip()
    named = _named(text.lower(), zone, now)
    if named is not None:
        return named
    try:
        if _MONTH.fullmatch(text):
            return _days(date.fromisoformat(f"{text}-01"), _month_after, zone)
        if len(text) <= len("2026-11-01"):
            return _days(date.fromisoformat(text), lambda day: day + timedelta(days=1), zone)
        if len(text) <= _LENGTH_MAX:
            moment = datetime.fromisoformat(text)
            at = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
            if at >= EPOCH:
                return Period(at, at)
    except (ValueError, OverflowError) as error:
        raise QueryError(option, f"{text[:_LENGTH_MAX]!r} is not a time; {EXPECTED}") from error
    raise QueryError(option, f"{text[:_LENGTH_MAX]!r} is not a time; {EXPECTED}")


def _named(text: str, zone: ZoneInfo, now: datetime) -> Period | None:
    today = now.astimezone(zone).date()
    this_week = today - timedelta(days=today.weekday())
    this_month = today.replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    day_spans = {
        "today": (today, today + timedelta(days=1)),
        "yesterday": (today - timedelta(days=1), today),
        "week": (this_week, this_week + timedelta(days=7)),
        "last-week": (this_week - timedelta(days=7), this_week),
        "month": (this_month, _month_after(this_month)),
        "last-month": (last_month, this_month),
    }
    if text in day_spans:
        first, after = day_spans[text]
        return Period(start_of_day(first, zone), start_of_day(after, zone))
    if text == "now":
        return Period(now, now)
    if text == "all":
        return Period(EPOCH, now)
    ago = _AGO.fullmatch(text)
    if ago is None:
        return None
    count, unit = int(ago["count"]), ago["unit"]
    if unit in "mh":
        start = now - timedelta(**{"minutes" if unit == "m" else "hours": count})
    else:
        local = now.astimezone(zone)
        try:
            start = (local - timedelta(days=count * (7 if unit == "w" else 1))).astimezone(UTC)
        except OverflowError:
            start = EPOCH
    return Period(max(start, EPOCH), now)


def _month_after(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _days(first: date, after: Callable[[date], date], zone: ZoneInfo) -> Period:
    end = after(first)
    start = start_of_day(first, zone)
    if start < EPOCH:
        raise ValueError(first)
    return Period(start, start_of_day(end, zone))


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a local day, in UTC.

    Where midnight is skipped (daylight saving time that starts at 00:00), the offset before the
    change gives the moment of the change itself, which is the day's first; where midnight comes
    twice, the first one counts (PEP 495, fold=0).
    """
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)

"""What an hour usually costs: median and MAD of the same hours of the weeks before, in integers.

Estimates, all of them; but of exact amounts, so that no rounding stands between a threshold and
the numbers it is held against. Median and MAD are robust: a bad day among thirty moves them little
(Rousseeuw and Croux 1993; 1.4826 makes the MAD a standard deviation for normal noise).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isqrt
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.alerts.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

WEEK_H: Final = 168
DAY_H: Final = 24
HISTORY_MIN_H: Final = 72
"""A series that began later has no baseline: it is a new spender."""
WEEKDAYS_FROM_H: Final = 3 * WEEK_H
"""From so long a history on, hours of the same weekday are compared."""
LEVEL_MAX: Final = 4
"""How much higher than its own past a series may have become and still be as usual."""
_SPARSE_PERCENT: Final = 70
_MAD_TO_SIGMA: Final = 14_826
_TEN_THOUSAND: Final = 10_000
_SATURDAY: Final = 5


class Baseline(NamedTuple):
    """What is expected of an hour."""

    expected: int
    threshold: int
    """More than that is unusual."""
    samples: int
    method: str
    """Which hours were compared, in words."""


def hour_of(moment: datetime) -> int:
    """Return the number of a moment's clock hour since the epoch."""
    return int(moment.timestamp()) // 3600


def moment_of(hour: int) -> datetime:
    """Return the first moment of a clock hour."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


def median(values: Sequence[int]) -> int:
    """Return the median, of two middle values their mean rounded down; 0 of none."""
    if not values:
        return 0
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) // 2


def sigma(values: Sequence[int]) -> int:
    """Return 1.4826 times the median absolute deviation."""
    centre = median(values)
    return median([abs(one - centre) for one in values]) * _MAD_TO_SIGMA // _TEN_THOUSAND


def quantile(values: Sequence[int], percent: int) -> int:
    """Return the nearest-rank quantile; 0 of none."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def same_hours(at: int, first: int, zone: ZoneInfo) -> tuple[list[int], str]:
    """Return the hours before ``at`` that it is compared with, and which these are in words.

    Args:
        at: number of the hour.
        first: first hour of the series.
        zone: of hours of the day and weekdays.
    """
    here = moment_of(at).astimezone(zone)
    if at - first >= WEEKDAYS_FROM_H:
        found = []
        for week in range(1, (at - first) // WEEK_H + 1):
            there = _local(at, here, 7 * week, zone)
            found += [one for one in (there - 1, there, there + 1) if first <= one < at]
        return found, f"{here:%A}s {here:%H}:00, and an hour either side"
    is_weekend = here.weekday() >= _SATURDAY
    kind = "weekends" if is_weekend else "working days"
    days = range(1, (at - first) // DAY_H + 1)
    found = [
        _local(at, here, day, zone)
        for day in days
        if ((here - timedelta(days=day)).weekday() >= _SATURDAY) == is_weekend
    ]
    kept = [near for one in found for near in (one - 1, one, one + 1) if first <= near < at]
    if kept:
        return kept, f"{kind} {here:%H}:00, and an hour either side"
    return [at - DAY_H * day for day in days], f"every day {here:%H}:00"


def _local(at: int, here: datetime, days: int, zone: ZoneInfo) -> int:
    """Return the hour with the same local time some days before: clocks may have changed."""
    there = hour_of((here - timedelta(days=days)).replace(tzinfo=zone))
    return min(there, at - 1)


def baseline(
    series: Mapping[int, Sums], at: int, first: int, zone: ZoneInfo, *,
    ratio_percent: int, deviations: int, value: Callable[[Sums], int] = lambda one: one.cost,
) -> Baseline | None:  # fmt: skip
    """Return what is expected of an hour; None where there is too little history.

    Args:
        series: sums by hour; hours without calls may be missing.
        at: the hour; only hours before it are looked at.
        first: first hour that was looked at, or of the series if that is later.
        zone: of hours of the day and weekdays.
        ratio_percent: least of the median that is unusual.
        deviations: least distance from the median in standard deviations.
        value: of the sums.
    """
    if at - first < HISTORY_MIN_H:
        return None
    hours, method = same_hours(at, first, zone)
    found = [series.get(hour, _NONE) for hour in hours]
    values = [value(one) for one in found]
    middle = median(values)
    up, down = _level(series, at, first, value)
    expected = middle * up // down
    calls = median([one.calls for one in found])
    # Whoever makes few calls varies by the luck of the hour: like the root of their number.
    noise = 2 * expected // max(1, isqrt(max(calls, 0)))
    scale = max(sigma(values) * up // down, expected // 10, noise if calls else 0)
    threshold = max(expected * ratio_percent // 100, expected + deviations * scale)
    active = [value(one) for hour, one in series.items() if first <= hour < at and one.calls]
    if len([one for one in values if one]) * 100 < _SPARSE_PERCENT * max(1, len(values)):
        # Comes in bursts: unusual is what is well above its usual burst.
        threshold = max(threshold, quantile(active, 90) * 3 // 2)
    return Baseline(expected, threshold, len(values), method)


_NONE: Final = Sums()


def _level(
    series: Mapping[int, Sums], at: int, first: int, value: Callable[[Sums], int]
) -> tuple[int, int]:
    """Return how the hours of the last week stand to all, as a fraction from 1 to LEVEL_MAX.

    A change of level is told once, by the rule of 7 days; it is no news each hour. Whole weeks are
    compared, for their weekends.
    """
    weeks = (at - first) // WEEK_H
    if weeks < 2:  # noqa: PLR2004 -- one week has nothing to be compared with
        return 1, 1
    hours = [value(series.get(at - back, _NONE)) for back in range(1, weeks * WEEK_H + 1)]
    usual, late = median(hours), median(hours[:WEEK_H])
    if usual <= 0 or late <= usual:
        return 1, 1
    return min(late, usual * LEVEL_MAX), usual

"""Calendar windows: they tile time on any clock, and days may have 23 or 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.budgets.window import Span, span_at

if TYPE_CHECKING:
    from tollbook.config.budgets import Window

HOUR_S = 3600
WINDOWS: list[Window] = ["hour", "day", "week", "month"]
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia",
    "Pacific/Chatham", "America/Santiago", "America/Havana", "Africa/Casablanca",
]  # fmt: skip
"""Half-hour offsets, clocks that change at midnight, a change in the middle of Ramadan."""
moments = st.integers(1_700_000_000, 2_000_000_000)


def at(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


@given(st.sampled_from(WINDOWS), st.sampled_from(ZONES), moments)
def test_windows_tile_time(window: Window, zone: str, at_s: int) -> None:
    span = span_at(window, zone, at_s)
    assert span.start_s <= at_s < span.end_s
    assert span_at(window, zone, span.start_s) == span
    assert span_at(window, zone, span.end_s - 1) == span
    assert span_at(window, zone, span.end_s).start_s == span.end_s


@given(st.sampled_from(ZONES), moments)
def test_windows_begin_where_the_calendar_says(zone: str, at_s: int) -> None:
    def local(moment_s: int) -> datetime:
        return datetime.fromtimestamp(moment_s, ZoneInfo(zone))

    hour, day, week, month = (span_at(window, zone, at_s) for window in WINDOWS)
    assert hour.end_s - hour.start_s == HOUR_S
    assert local(hour.start_s).minute == 0
    assert local(day.start_s).date() == local(at_s).date() == local(day.end_s - 1).date()
    assert local(day.start_s - 1).date() == local(at_s).date() - timedelta(days=1)
    assert local(week.start_s).weekday() == 0
    assert local(month.start_s).day == 1
    assert local(month.start_s).month == local(at_s).month
    for outer in (week, month):
        assert outer.start_s <= day.start_s < day.end_s <= outer.end_s


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-06-01", 24),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/Santiago", "2026-09-06", 23),  # its midnight does not exist
        ("America/Havana", "2026-11-01", 25),  # its midnight is there twice
        ("UTC", "2026-03-29", 24),
    ],
)
def test_a_day_is_as_long_as_the_clock_makes_it(zone: str, day: str, hours: int) -> None:
    span = span_at("day", zone, at(f"{day}T12:00", zone))
    assert span.end_s - span.start_s == hours * HOUR_S


def test_the_repeated_hour_is_two_windows() -> None:
    first = at("2026-10-25T00:30")
    one, two = (span_at("hour", "Europe/Berlin", first + n * HOUR_S) for n in (0, 1))
    assert one == Span(first - 1800, first + 1800)
    assert two == Span(first + 1800, first + 5400)


def test_a_month_ends_with_the_year_and_with_leap_years() -> None:
    assert span_at("month", "UTC", at("2026-12-31T23:59:59")) == Span(
        at("2026-12-01T00:00"), at("2027-01-01T00:00")
    )
    leap = span_at("month", "UTC", at("2028-02-10T00:00"))
    assert leap.end_s - leap.start_s == 29 * 24 * HOUR_S

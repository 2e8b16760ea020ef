from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.alerts.baseline import (
    HISTORY_MIN_H,
    baseline,
    hour_of,
    median,
    moment_of,
    quantile,
    same_hours,
    sigma,
)
from tollbook.alerts.sums import Sums

AT = hour_of(datetime(2026, 3, 12, 15, tzinfo=UTC))
MONTH = 30 * 24
DAILY = ZoneInfo("UTC")


def flat(value: int, hours: int = MONTH, calls: int = 100) -> dict[int, Sums]:
    return {AT - back: Sums(cost=value, calls=calls) for back in range(1, hours + 1)}


def expected(series: dict[int, Sums], first: int = AT - MONTH, ratio: int = 200) -> int | None:
    found = baseline(series, AT, first, DAILY, ratio_percent=ratio, deviations=6)
    return None if found is None else found.threshold


values = st.lists(st.integers(0, 10**15), min_size=1, max_size=60)


@given(values)
def test_median_and_quantile_are_of_the_values_and_in_order(some: list[int]) -> None:
    assert min(some) <= median(some) <= max(some)
    assert quantile(some, 99) in some
    assert median(some) <= quantile(some, 90) or quantile(some, 90) in some
    assert sigma(some) >= 0
    assert sigma([some[0]] * 5) == 0


@given(st.integers(1, 10**12), st.integers(1, 1000))
def test_a_steady_series_expects_what_it_is(value: int, calls: int) -> None:
    found = baseline(flat(value, calls=calls), AT, AT - MONTH, DAILY, ratio_percent=200,
                     deviations=6)  # fmt: skip
    assert found is not None
    assert found.expected == value
    assert found.threshold >= 2 * value


@given(st.integers(1, 10**12), st.lists(st.integers(1, MONTH), max_size=6, unique=True))
def test_a_few_wild_hours_move_it_little(value: int, wild: list[int]) -> None:
    series = flat(value)
    for back in wild:
        series[AT - back] = Sums(cost=value * 1000, calls=100)
    found = baseline(series, AT, AT - MONTH, DAILY, ratio_percent=200, deviations=6)
    assert found is not None
    assert found.expected <= value * 2
    assert found.threshold <= value * 10


@given(st.integers(1, 10**9), st.integers(2, 50))
def test_it_scales_with_money(value: int, factor: int) -> None:
    one, other = expected(flat(value * 100)), expected(flat(value * 100 * factor))
    assert one is not None
    assert other is not None
    # Only roundings down are between them.
    assert abs(other - one * factor) <= 20 * factor


@given(st.integers(0, 10**6))
def test_what_comes_later_plays_no_part(later: int) -> None:
    series = flat(1000)
    assert expected(series) == expected(series | {AT + later: Sums(cost=10**15, calls=9)})


def test_a_young_series_has_no_baseline() -> None:
    assert expected(flat(1000), AT - HISTORY_MIN_H + 1) is None
    assert expected(flat(1000), AT - HISTORY_MIN_H) is not None


def test_hours_of_the_same_weekday_are_compared_after_three_weeks() -> None:
    hours, words = same_hours(AT, AT - MONTH, DAILY)
    assert len(hours) == 12
    assert {moment_of(hour).weekday() for hour in hours} == {3}
    assert {moment_of(hour).hour for hour in hours} == {14, 15, 16}
    assert words == "Thursdays 15:00, and an hour either side"


def test_a_younger_series_compares_working_days() -> None:
    hours, words = same_hours(AT, AT - 10 * 24, DAILY)
    assert {moment_of(hour).weekday() for hour in hours} == {0, 1, 2, 3, 4}
    assert words.startswith("working days")


def test_hours_are_local_across_a_change_of_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    at = hour_of(datetime(2026, 4, 6, 9, tzinfo=berlin).astimezone(UTC))
    hours, _ = same_hours(at, at - MONTH, berlin)
    local = {moment_of(hour).astimezone(berlin).hour for hour in hours}
    assert local == {8, 9, 10}


def test_a_busy_monday_is_expected_on_mondays_only() -> None:
    series = flat(1000)
    monday = hour_of(datetime(2026, 3, 9, 10, tzinfo=UTC))
    for week in range(5):
        for hour in (9, 10, 11):
            series[monday - 168 * week + hour - 10] = Sums(cost=9000, calls=100)
    found = {
        at: baseline(series, at, AT - MONTH, DAILY, ratio_percent=200, deviations=6)
        for at in (monday, monday + 24)
    }
    assert [one.expected for one in found.values() if one is not None] == [9000, 1000]


def test_bursts_are_held_against_bursts() -> None:
    # Once a day at changing hours, ten dollars: another such hour is nothing unusual.
    series = {AT - 24 * day - day % 5: Sums(cost=10_000, calls=50) for day in range(1, 30)}
    found = baseline(series, AT, AT - MONTH, DAILY, ratio_percent=200, deviations=6)
    assert found is not None
    assert found.threshold >= 15_000


@pytest.mark.parametrize(("late", "expected_now"), [(1000, 1000), (3000, 3000), (50_000, 4000)])
def test_a_change_of_level_is_followed_up_to_four_times(late: int, expected_now: int) -> None:
    series = flat(1000)
    for back in range(1, 169):
        series[AT - back] = Sums(cost=late, calls=100)
    found = baseline(series, AT, AT - MONTH, DAILY, ratio_percent=200, deviations=6)
    assert found is not None
    assert found.expected == expected_now


def test_hours_are_numbered_from_the_epoch() -> None:
    assert moment_of(AT) == datetime(2026, 3, 12, 15, tzinfo=UTC)
    assert hour_of(moment_of(AT) + timedelta(minutes=59)) == AT

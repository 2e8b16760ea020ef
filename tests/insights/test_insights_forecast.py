"""Forecasts: what is known is not forecast, days are local days, errors are its own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.insights.insights_kit import NOW

from tollbook.insights.asked import Asked, query_of
from tollbook.insights.forecast import month_outlook
from tollbook.insights.forecast_model import (
    DAYS_MIN,
    TREND_NAME,
    Forecast,
    TooShort,
    forecast,
)
from tollbook.money import pico_from_usd

if TYPE_CHECKING:
    from tests.insights.insights_kit import World

USD = 10**12
WEEK = (10, 11, 12, 11, 10, 3, 2)


def _weeks(count: int) -> list[int]:
    return [amount * USD for amount in WEEK] * count


def test_a_steady_week_is_forecast_exactly() -> None:
    found = forecast(_weeks(12), 0, 14)
    assert isinstance(found, Forecast)
    assert [round(band.expected / USD, 6) for band in found.days] == [*WEEK, *WEEK]
    assert found.backtest.error_percent < 8  # it learns the week in its first three
    assert found.sum_band(5, [USD]).expected == 5 + USD


def test_the_first_weekday_counts() -> None:
    turned = [*WEEK[3:], *WEEK[:3]]
    found = forecast([amount * USD for amount in turned] * 10, 3, 7)
    assert isinstance(found, Forecast)
    assert [round(band.expected / USD, 6) for band in found.days] == turned


def test_growth_is_followed_and_damped() -> None:
    history = [(100 + at) * USD for at in range(120)]
    found = forecast(history, 0, 28)
    assert isinstance(found, Forecast)
    assert found.backtest.method == TREND_NAME
    assert 215 * USD < found.days[0].expected < 230 * USD
    assert found.days[0].expected < found.days[-1].expected < 260 * USD
    assert found.backtest.error_percent < found.backtest.naive_error_percent


def test_one_wild_day_does_not_move_the_level() -> None:
    history = _weeks(12)
    history[-3] *= 40
    found = forecast(history, 0, 7)
    assert isinstance(found, Forecast)
    assert sum(band.expected for band in found.days) < sum(_weeks(1)) * 3 // 2


def test_too_short_is_said() -> None:
    found = forecast(_weeks(3), 0, 7)
    assert isinstance(found, TooShort)
    assert "21 complete days" in found.reason
    assert str(DAYS_MIN) in found.reason


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 10**15), min_size=DAYS_MIN, max_size=90), st.integers(0, 6),
    st.integers(1, 40),
)  # fmt: skip
def test_bands_hold_what_is_expected(history: list[int], weekday: int, horizon: int) -> None:
    found = forecast(history, weekday, horizon)
    assert isinstance(found, Forecast)
    assert len(found.days) == horizon
    for band in found.days:
        assert 0 <= band.low <= band.expected <= band.high
    whole = found.sum_band(7, [band.expected for band in found.days])
    assert 7 <= whole.low <= whole.expected <= whole.high
    coverage = found.backtest.coverage_percent
    assert coverage is None or 0 <= coverage <= 100


def test_the_interval_holds_what_it_says_on_noise() -> None:
    # A fixed sequence without a pattern: 0.5 to 1.5 of ten dollars.
    history = [5 * USD + (at * 7919 % 1000) * USD // 100 for at in range(150)]
    found = forecast(history, 0, 14)
    assert isinstance(found, Forecast)
    coverage = found.backtest.coverage_percent
    assert coverage is not None
    assert 60 <= coverage <= 95


ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 50 * 24 * 60 - 1), st.integers(1, 10**13),
                  st.sampled_from(["a", "b", None])),
        min_size=1, max_size=40,
    ),
    st.sampled_from(ZONES),
)  # fmt: skip
def test_days_add_up_to_what_was_spent_in_any_zone(
    shared_world: World, calls: list[tuple[int, int, str | None]], tz: str
) -> None:
    shared_world.clear()
    start = NOW - timedelta(days=50)
    shared_world.add(
        *(
            shared_world.entry(
                start + timedelta(minutes=at), cost_usd=Decimal(amount).scaleb(-12), tenant_id=who
            )
            for at, amount, who in calls
        )
    )
    given_range = {"since": "2026-09-01T00:00:00Z", "until": NOW.isoformat(), "tz": tz}
    answer = shared_world.ask("forecast", by="tenant", **given_range)
    days = [day for day in answer["days"] if day["actual_usd"] is not None]
    total = sum(amount for _, amount, _ in calls)
    assert sum(pico_from_usd(day["actual_usd"]) for day in days) == total
    month = sum(pico_from_usd(day["actual_usd"]) for day in days if day["day"][:7] == "2026-11")
    assert pico_from_usd(answer["totals"]["month_known_usd"]) == month
    assert sum(pico_from_usd(row["month_known_usd"]) for row in answer["rows"]) == month
    # The parts of a partition have the same days as the whole.
    parts = [
        shared_world.ask("forecast", where=[text], **given_range)
        for text in ("tenant=a", "tenant!=a")
    ]
    assert sum(pico_from_usd(one["totals"]["month_known_usd"]) for one in parts) == month


def _fill(world: World, first: date, days: int) -> None:
    world.add(
        *(
            world.entry(
                datetime.combine(first, datetime.min.time(), UTC)
                + timedelta(days=at, hours=hour),
                cost_usd=Decimal(WEEK[at % 7]) / 4, tenant_id="acme",
            )
            for at in range(days) for hour in (1, 7, 13, 19)
        )
    )  # fmt: skip


def test_of_the_running_month_only_the_rest_is_forecast(world: World) -> None:
    monday = date(2026, 8, 31)
    _fill(world, monday, 82)  # up to and with Friday, 20 November
    world.add(
        world.entry(NOW.replace(hour=1), cost_usd=Decimal(2), tenant_id="acme"),
        world.entry(NOW.replace(hour=7), cost_usd=Decimal(2), tenant_id="acme"),
    )
    answer = world.ask("forecast", since="2026-08-31", until=NOW.isoformat(), days=9)
    totals = answer["totals"]
    of_days = sum(WEEK[(date(2026, 11, day) - monday).days % 7] for day in range(1, 21))
    assert pico_from_usd(totals["month_known_usd"]) == (of_days + 4) * USD
    # At 12:30 half of a Saturday's spend is still to come; then Sunday and a week.
    rest = WEEK[5] / 2 + sum(WEEK[at % 7] for at in range(6, 15))
    expected = pico_from_usd(totals["month_expected_usd"])
    assert expected == pytest.approx((of_days + 4 + rest) * USD, rel=0.02)
    assert pico_from_usd(totals["month_low_usd"]) >= (of_days + 4) * USD
    states = [day["state"] for day in answer["days"]]
    assert states == ["known"] * 82 + ["running"] + ["forecast"] * 9
    assert answer["backtest"]["origins"] == 48
    groups = world.ask("forecast", since="2026-08-31", until=NOW.isoformat(), by="tenant")
    assert groups["rows"][0]["tenant"] == "acme"
    assert groups["rows"][0]["month_known_usd"] == totals["month_known_usd"]


def test_alerts_and_budgets_can_ask_for_the_month(world: World) -> None:
    _fill(world, date(2026, 8, 31), 82)
    query = query_of(Asked(since="2026-08-31", until=NOW.isoformat()))
    found = month_outlook(world.reader, query, "tenant")
    assert found.total.month is not None
    assert found.groups["acme"].known == found.total.known
    assert found.total.month.expected > found.total.known


def test_without_history_nothing_is_guessed(world: World) -> None:
    world.add(world.entry(NOW - timedelta(days=2), cost_usd=Decimal(5), tenant_id="acme"))
    answer = world.ask("forecast", by="tenant")
    assert answer["totals"]["month_expected_usd"] is None
    assert "2 complete days of history" in answer["totals"]["reason"]
    assert answer["backtest"] is None
    assert answer["at_stake_usd"] is None
    assert "No forecast" in answer["headline"]
    assert answer["rows"][0]["model"].startswith("2 complete days")

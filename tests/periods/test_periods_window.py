"""Which month an entry belongs to: its own until that is closed, then the one that is open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.periods.finance_kit import World, finance_world, usd

from tollbook.chargeback.periods.cutoffs import (
    Close,
    as_billed,
    period_among,
    window_among,
    with_periods,
)
from tollbook.chargeback.periods.period import Period, PeriodNameError
from tollbook.console.answers import Answers
from tollbook.reports.errors import QueryError
from tollbook.reports.query import SpendQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tollbook.prices.card import RateCard

MONTHS = ("2026-07", "2026-08", "2026-09", "2026-10", "2026-11", "2026-12")


def close(period: str, cutoff: int, timezone: str = "UTC") -> Close:
    return Close(
        period=period, seal="s", cutoff_entry_id=cutoff, timezone=timezone, mode="showback",
        closed_by="ada", closed_at_ns=0,
    )  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(MONTHS[:5]), st.integers(0, 4)),
    st.lists(st.tuples(st.sampled_from(MONTHS), st.integers(1, 20)), max_size=40),
)
def test_every_entry_belongs_to_exactly_one_period(
    closed: dict[str, int], entries: list[tuple[str, int]]
) -> None:
    cutoff, closes = 0, []
    for name in sorted(closed):
        cutoff += closed[name]
        closes.append(close(name, cutoff))
    for home, entry_id in entries:
        holders = []
        for name in MONTHS:
            window = window_among(Period(name), closes)
            is_in = window.upto_entry is None or entry_id <= window.upto_entry
            is_late = (
                home < name and window.after_entry is not None and entry_id > window.after_entry
            )
            if is_in and (home == name or is_late):
                holders.append(name)
        assert holders == [period_among(entry_id, Period(home), closes)]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Santiago", "Pacific/Apia"])
def test_months_follow_one_another_without_a_gap(zone: str) -> None:
    period = Period("2009-12", zone)
    for _ in range(40):
        assert period.end == period.following.start
        assert period.following.previous == period
        assert Period.of(period.start, zone) == period
        assert Period.of(period.end - timedelta(microseconds=1), zone) == period
        assert timedelta(days=27) < period.end - period.start < timedelta(days=32)
        period = period.following


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-1", "26-10", "october", "2200-05", "1970-01", ""]
)
def test_no_month(text: str) -> None:
    with pytest.raises(PeriodNameError, match="is not a month such as 2026-10"):
        Period.parse(text)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with finance_world(tmp_path, timezone="America/New_York") as made:
        yield made


def test_a_report_by_billing_period_has_the_zone_of_months(world: World) -> None:
    world.charge(datetime(2026, 11, 1, 3, 59, tzinfo=UTC), usd("1"), tenant="acme")
    world.charge(datetime(2026, 11, 1, 4, 0, tzinfo=UTC), usd("2"), tenant="acme")
    assert world.total(period="2026-10") == {(): usd("1")}
    answers = _answers(world)
    report = answers.spend([("billing_period", "2026-11"), ("by", "tenant")])
    assert report.totals["cost_usd"] == "2.000000000000"
    assert report.query.entry_window is not None
    pairs = [("billing_period", "2026-10")]
    assert answers.rollup(pairs).totals["cost_usd"] == "1.000000000000"
    assert answers.layers(pairs).totals["cost_usd"] == "1.000000000000"
    per = answers.per("operation", [("billing_period", "2026-10")])
    assert per.totals["cost_usd"] == "1.000000000000"


def test_a_period_and_a_range_narrow_one_another(world: World) -> None:
    for day in (3, 4, 5):
        world.charge(datetime(2026, 10, day, 12, tzinfo=UTC), usd("1"))
    answers = _answers(world)
    pairs = [("billing_period", "2026-10"), ("since", "2026-10-04"), ("until", "2026-10-05")]
    assert answers.spend(pairs).totals["cost_usd"] == "1.000000000000"


def test_what_is_no_month_is_refused() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(QueryError, match="--billing-period: '2026-13' is not a month"):
        SpendQuery(since=now, until=now + timedelta(1), billing_period="2026-13")


class _NoCards:
    def remember(self, new: Sequence[RateCard]) -> None:
        raise AssertionError(new)

    def find(self, card_ids: Iterable[str]) -> dict[str, RateCard]:
        raise AssertionError(card_ids)


def _answers(world: World) -> Answers:
    return Answers(
        world.reader, _NoCards(), as_billed=partial(as_billed, world.books, world.config),
        with_periods=partial(with_periods, world.books, world.config),
    )  # fmt: skip

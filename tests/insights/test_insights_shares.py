"""Lorenz curve, Gini and top shares against what their definitions say, and through the ledger."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.insights.insights_kit import NOW

from tollbook.insights.shares import gini, lorenz, top_amount, top_count
from tollbook.money import pico_from_usd

if TYPE_CHECKING:
    from tests.insights.insights_kit import World

AMOUNTS = st.lists(st.integers(0, 10**18), max_size=60)


@given(AMOUNTS)
def test_gini_is_half_the_relative_mean_difference(amounts: list[int]) -> None:
    total = sum(amounts)
    if not total:
        assert gini(amounts) is None
        return
    differences = sum(abs(one - two) for one in amounts for two in amounts)
    assert gini(amounts) == Fraction(differences, 2 * len(amounts) * total)


@given(AMOUNTS)
def test_gini_is_twice_the_area_above_the_lorenz_curve(amounts: list[int]) -> None:
    found, total = lorenz(amounts, points=len(amounts) + 1), sum(amounts)
    if not total:
        return
    area = sum(
        Fraction((two.owners - one.owners) * (one.amount + two.amount), 2)
        for one, two in itertools.pairwise(found)
    )
    assert gini(amounts) == 1 - 2 * area / (len(amounts) * total)


@given(AMOUNTS, st.integers(2, 40))
def test_points_of_the_curve_are_sums_of_the_smallest(amounts: list[int], points: int) -> None:
    found = lorenz(amounts, points)
    assert len(found) <= points
    assert found[0] == (0, 0)
    assert found[-1] == (len(amounts), sum(amounts))
    for owners, amount in found:
        assert amount == sum(sorted(amounts)[:owners])


@given(AMOUNTS, st.integers(1, 100))
def test_the_top_percent_are_rounded_up(amounts: list[int], percent: int) -> None:
    count = top_count(len(amounts), percent)
    assert count - 1 < Fraction(len(amounts) * percent, 100) <= count
    ranked = sorted(amounts)
    assert top_amount(amounts, percent) == sum(ranked[len(ranked) - count :])


def test_skew_of_a_ledger(world: World) -> None:
    at = NOW - timedelta(days=1)
    amounts = {"a": "90", "b": "5", "c": "3", "d": "2", None: "50"}
    world.add(
        *(world.entry(at, tenant_id=name, cost_usd=Decimal(usd)) for name, usd in amounts.items())
    )
    answer = world.ask("skew", limit=2)
    assert [row["tenant"] for row in answer["rows"]] == ["a", "b"]
    assert answer["rows"][1]["cumulative_percent"] == "95.0"
    assert answer["totals"]["gini"] == "0.6650"
    assert answer["totals"]["unknown_usd"] == "50.000000000000"
    assert answer["tops"][1] == {
        "top_percent": 5, "owners": 1, "cost_usd": "90.000000000000", "cost_percent": "90.0",
    }  # fmt: skip
    assert answer["lorenz"][-1]["cost_percent"] == "100.0"
    assert pico_from_usd(answer["at_stake_usd"]) == 90 * 10**12
    assert answer["calls"].startswith("/calls?since=")


def test_skew_of_nothing(world: World) -> None:
    answer = world.ask("skew")
    assert answer["rows"] == []
    assert answer["totals"]["gini"] is None

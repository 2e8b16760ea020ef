"""Spreading and fitting are exact: parts sum to the whole, and no weights fit better."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.chargeback.allocate.backtest import Backtest, rows_of, spread_pools, summary_of
from tollbook.chargeback.allocate.backtest_fit import fit
from tollbook.chargeback.allocate.backtest_suggest import significant
from tollbook.chargeback.allocate.models import Pooled
from tollbook.money import usd_text

tenants = st.sampled_from(["acme", "globex", "initech", "umbrella"])
quantities = st.dictionaries(tenants, st.fractions(0, 10**9))
pools = st.dictionaries(
    st.tuples(st.text("abc", max_size=2)),
    st.builds(Pooled, st.integers(-(10**9), 10**15), quantities),
)


@given(pools)
def test_parts_and_what_nobody_has_are_the_whole(
    given_: dict[tuple[str | None, ...], Pooled],
) -> None:
    parts, unassigned = spread_pools(given_)
    assert sum(parts.values()) + unassigned == sum(one.cost for one in given_.values())


@given(st.dictionaries(tenants, st.integers(0, 10**15)))
def test_a_model_that_says_the_truth_is_off_by_nothing(direct: dict[str, int]) -> None:
    one = Backtest("truth", direct, dict(direct), 0)
    assert {row["divergence_usd"] for row in rows_of(one)} <= {usd_text(0)}
    summary = summary_of(one)
    assert summary["total_variation"] in {None, "0.000000"}
    assert (summary["rank_changes"], summary["overcharged"]) == (0, [])


columns = st.integers(1, 3)


def _residual(rows: list[list[int]], wanted: list[int], weights: list[Fraction]) -> Fraction | int:
    return sum((
        (sum(a * w for a, w in zip(row, weights, strict=True)) - value) ** 2
        for row, value in zip(rows, wanted, strict=True)
    ), Fraction(0))  # fmt: skip


@given(columns.flatmap(lambda width: st.lists(
    st.tuples(st.lists(st.integers(0, 20), min_size=width, max_size=width), st.integers(0, 99)),
    min_size=1, max_size=6)))  # fmt: skip
@settings(deadline=None)
def test_no_weights_nearby_fit_better(given_: list[tuple[list[int], int]]) -> None:
    rows, wanted = [row for row, _ in given_], [value for _, value in given_]
    found = fit(rows, wanted)
    assert min(found) >= 0
    best = _residual(rows, wanted, found)
    # The sum of squares is convex, so a minimum among neighbours is the minimum.
    for change in itertools.product((-1, 0, 1), repeat=len(found)):
        near = [max(w + Fraction(c, 1000), Fraction(0)) for w, c in zip(found, change, strict=True)]
        assert _residual(rows, wanted, near) >= best


@given(
    st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=3, max_size=6),
    st.lists(st.integers(0, 50), min_size=3, max_size=3),
)  # fmt: skip
@settings(deadline=None)
def test_what_can_be_explained_wholly_is(rows: list[list[int]], rates: list[int]) -> None:
    wanted = [sum(a * rate for a, rate in zip(row, rates, strict=True)) for row in rows]
    assert _residual(rows, wanted, fit(rows, wanted)) == 0


def test_columns_that_depend_on_each_other_do_no_harm() -> None:
    assert _residual([[1, 2], [2, 4]], [3, 6], fit([[1, 2], [2, 4]], [3, 6])) == 0
    assert fit([[0, 0]], [5]) == [0, 0]
    assert fit([], []) == []


@given(st.fractions(min_value=Fraction(1, 10**9), max_value=10**9))
def test_rounded_weights_keep_six_digits(value: Fraction) -> None:
    assert abs(Fraction(significant(value)) / value - 1) <= Fraction(1, 2 * 10**5)


def test_rounded_weights_read_like_prices() -> None:
    shown = [significant(Fraction(one)) for one in ("0", "2.5", "0.0001234567", "1234567", "10")]
    assert shown == ["0", "2.5", "0.000123457", "1234570", "10"]

"""Shares are exact: whatever the quantities, parts sum to the whole and ratios to one."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.chargeback.allocate.methods import band_weight
from tollbook.chargeback.allocate.policy import Band
from tollbook.chargeback.allocate.shares import (
    integer_weights,
    normalised,
    raised_to,
    ratio_texts,
)

QUANTITIES = st.lists(
    st.fractions(min_value=-5, max_value=10**9, max_denominator=10**6), min_size=1, max_size=40
)


@given(QUANTITIES, st.fractions(0, 1, max_denominator=1000))
def test_least_shares_leave_the_sum_at_one(quantities: list[Fraction], least: Fraction) -> None:
    shares = normalised(quantities)
    if shares is None:
        assert all(one <= 0 for one in quantities)
        return
    assert sum(shares) == 1
    raised = raised_to(shares, least)
    assert sum(raised) == 1
    floor = min(least, Fraction(1, len(shares)))
    assert min(raised) >= floor
    order = sorted(range(len(shares)), key=lambda at: shares[at])
    assert [raised[at] for at in order] == sorted(raised)


@given(QUANTITIES)
def test_ratios_of_twelve_digits_sum_to_one(quantities: list[Fraction]) -> None:
    shares = normalised(quantities)
    if shares is None:
        return
    texts = ratio_texts(integer_weights(shares))
    assert sum(Decimal(text) for text in texts) == 1
    assert all(len(text.partition(".")[2]) == 12 for text in texts)
    for text, share in zip(texts, shares, strict=True):
        assert abs(Fraction(Decimal(text)) - share) < Fraction(1, 10**12)


def test_who_falls_below_by_giving_way_is_raised_too() -> None:
    shares = [Fraction(n, 100) for n in (1, 21, 78)]
    assert raised_to(shares, Fraction(1, 5)) == [
        Fraction(1, 5), Fraction(1, 5), Fraction(3, 5),
    ]  # fmt: skip


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.lists(st.integers(0, 9), min_size=7),
    st.integers(0, 400),
)
def test_graduated_bands_weigh_each_unit_by_its_own_band(
    lengths: list[int], weights: list[int], quantity: int
) -> None:
    bands, upto = [], 0
    for length, weight in zip(lengths, weights, strict=False):
        upto += length
        bands.append(Band(str(weight), str(upto)))
    bands.append(Band(str(weights[len(lengths)])))

    def of(unit: int) -> int:
        return next(
            int(band.weight) for band in bands if band.upto is None or unit <= int(band.upto)
        )

    graduated = band_weight(bands, Fraction(quantity), is_graduated=True)
    assert graduated == sum(of(unit) for unit in range(1, quantity + 1))
    flat = band_weight(bands, Fraction(quantity), is_graduated=False)
    assert flat == (of(quantity) if quantity else 0)


@pytest.mark.parametrize("quantity", [Fraction(0), Fraction(-3)])
def test_nothing_used_weighs_nothing(quantity: Fraction) -> None:
    assert band_weight([Band("7")], quantity, is_graduated=False) == 0

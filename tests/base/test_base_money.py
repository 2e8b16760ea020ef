from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.money import (
    PICO_PER_USD,
    NotMoneyError,
    Rate,
    pico_from_usd,
    split_pico,
    usd_decimal,
    usd_text,
)

PICO = st.integers(min_value=-(10**30), max_value=10**30)
QUANTITY = st.integers(min_value=0, max_value=10**12)
RATES = st.builds(
    Rate, st.integers(min_value=0, max_value=10**16), st.integers(min_value=1, max_value=10**9)
)


@settings(deadline=None)
@given(PICO)
def test_text_and_back_is_the_same_amount(pico: int) -> None:
    assert pico_from_usd(usd_text(pico)) == pico
    assert pico_from_usd(usd_decimal(pico)) == pico
    assert usd_text(pico) == format(usd_decimal(pico), "f")


@settings(deadline=None)
@given(PICO)
def test_text_has_twelve_digits_after_the_point(pico: int) -> None:
    whole, part = usd_text(pico).split(".")
    assert len(part) == 12
    assert int(whole + part) == pico


@settings(deadline=None)
@given(PICO)
def test_the_decimal_context_of_the_caller_changes_nothing(pico: int) -> None:
    with decimal.localcontext(prec=3, rounding=decimal.ROUND_UP):
        decimal_usd, back = usd_decimal(pico), pico_from_usd(usd_text(pico))
    assert Fraction(decimal_usd) == Fraction(pico, PICO_PER_USD)
    assert back == pico


@pytest.mark.parametrize(
    ("value", "pico"),
    [
        ("0", 0),
        ("-0", 0),
        ("2.50", 25 * 10**11),
        (3, 3 * 10**12),
        ("1e-12", 1),
        ("-1.5E1", -15 * 10**12),
    ],
)
def test_dollars_are_read_exactly(value: str | int, pico: int) -> None:
    assert pico_from_usd(value) == pico


@pytest.mark.parametrize(
    "value", [0.1, 1.0, True, None, "", "x", "NaN", "Infinity", "1e-13", "0.0000000000001"]
)
def test_what_is_no_exact_amount_is_refused(value: object) -> None:
    with pytest.raises(NotMoneyError, match="is not an amount of money; expected"):
        pico_from_usd(value)  # type: ignore[arg-type]


@settings(deadline=None)
@given(RATES, QUANTITY)
def test_a_cost_is_rounded_half_to_even_on_the_last_pico(rate: Rate, quantity: int) -> None:
    cost = rate.cost_pico(quantity)
    assert type(cost) is int
    assert cost == round(Fraction(rate.numerator * quantity, rate.denominator))


@pytest.mark.parametrize(("numerator", "cost"), [(1, 0), (3, 2), (5, 2), (7, 4), (0, 0)])
def test_exact_halves_go_to_the_even_pico(numerator: int, cost: int) -> None:
    assert Rate(numerator, 2).cost_pico(1) == cost


@settings(deadline=None)
@given(st.decimals(min_value=0, max_value=10**6, places=8), QUANTITY)
def test_a_price_per_million_is_exact(price: Decimal, quantity: int) -> None:
    exact = Fraction(price) * quantity * 10**6
    assert Rate.usd_per(price, 1_000_000).cost_pico(quantity) == round(exact)


@settings(deadline=None)
@given(RATES, st.fractions(min_value=0, max_value=3))
def test_scaling_is_exact(rate: Rate, factor: Fraction) -> None:
    assert Fraction(*rate.times(factor)) == Fraction(*rate) * factor


@pytest.mark.parametrize("price", [-1, "-0.01", 0.5, "NaN", "Infinity", True])
def test_what_is_no_price_is_refused(price: object) -> None:
    with pytest.raises(NotMoneyError):
        Rate.usd_per(price, 1_000_000)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.decimals(min_value=0, max_value=10**6, places=10))
def test_the_price_per_million_reads_back(price: Decimal) -> None:
    assert Decimal(Rate.usd_per(price, 1_000_000).usd_per_million()) == price


def test_a_price_that_decimals_cannot_hold_is_shown_as_a_fraction() -> None:
    assert Rate(10**6, 3).usd_per_million() == "1/3"


@settings(deadline=None)
@given(PICO, st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20))
def test_parts_sum_to_the_whole_and_stray_less_than_one_pico(
    total: int, weights: list[int]
) -> None:
    if not sum(weights):
        weights = [*weights, 1]
    parts = split_pico(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert weight or part == 0


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (-10, [1, 1, 1], [-4, -3, -3]),
        (7, [1, 0, 3], [2, 0, 5]),
        (0, [5, 5], [0, 0]),
    ],
)
def test_what_is_left_over_goes_to_the_largest_remainders_first(
    total: int, weights: list[int], parts: list[int]
) -> None:
    assert split_pico(total, weights) == parts


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1, 3]])
def test_weights_that_cannot_split_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights must be"):
        split_pico(1, weights)

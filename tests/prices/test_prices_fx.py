"""Exchange rates: by UTC day, exact, and never made up."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.prices.fx import FxBody, FxTable, FxTextError, day_window, decimal_text, read_fx

DAY_NS = 86_400 * 10**9
NOVEMBER_NS = 1_793_491_200 * 10**9


@given(st.integers(0, 2 * DAY_NS - 1))
def test_a_day_goes_from_midnight_to_midnight_utc(offset_ns: int) -> None:
    table = FxTable([FxBody(currency="EUR", rates={"2026-11-01": Decimal("1.08")})])
    found = table.rate("EUR", NOVEMBER_NS + offset_ns)
    assert (found is not None) == (offset_ns < DAY_NS)
    start_ns, end_ns = day_window(NOVEMBER_NS + offset_ns)
    assert start_ns <= NOVEMBER_NS + offset_ns < end_ns
    if found is not None:
        assert (found.day, found.usd) == (date(2026, 11, 1), Fraction("1.08"))
        assert found.window == (start_ns, end_ns)


def test_a_currency_that_is_not_known_has_no_rate() -> None:
    assert FxTable().rate("EUR", NOVEMBER_NS) is None
    assert (FxTable().rates("EUR"), FxTable().carried("EUR")) == ({}, ())


def test_years_of_a_currency_are_one_table() -> None:
    table = FxTable([
        FxBody(currency="EUR", rates={"2025-12-31": Decimal("1.1")}, carried=("2025-12-31",)),
        FxBody(currency="EUR", rates={"2026-01-01": Decimal("1.2")}),
    ])  # fmt: skip
    assert list(table.rates("EUR")) == ["2025-12-31", "2026-01-01"]
    assert list(table.carried("EUR")) == ["2025-12-31"]


def test_a_body_that_was_changed_is_one_line() -> None:
    with pytest.raises(FxTextError, match="exchange rates of EUR"):
        read_fx("EUR", '{"currency": "EUR", "rates": {"2026-11-01": "x"}}')


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**9),
                   max_value=10**9))  # fmt: skip
def test_decimals_are_written_in_full(value: Decimal) -> None:
    assert Fraction(decimal_text(Fraction(value))) == Fraction(value)


def test_what_has_no_end_is_written_as_a_fraction() -> None:
    assert decimal_text(Fraction(1, 3)) == "1/3"
    assert decimal_text(Fraction(-5, 4)) == "-1.25"
    assert decimal_text(Fraction(0)) == "0"

"""Numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.console.pages import shown
from tollbook.money import usd_text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "unknown"),
        ("0.000000000000", "$0.00"),
        ("0.000000200000", "$0.0000002"),
        ("0.123456789000", "$0.1235"),
        ("0.500000000000", "$0.50"),
        ("1.005000000000", "$1.01"),
        ("1234567.891000000000", "$1,234,567.89"),
        ("-3.100000000000", "\N{MINUS SIGN}$3.10"),
        ("no number", "no number"),
    ],
)
def test_dollars(value: str | None, words: str) -> None:
    assert shown.usd(value) == words


@given(st.integers(-(10**18), 10**18))
def test_dollars_are_never_in_powers_and_near_the_exact_ones(pico: int) -> None:
    words = shown.usd(usd_text(pico))
    assert "e" not in words.lower()
    read = Decimal(words.replace("$", "").replace(",", "").replace("\N{MINUS SIGN}", "-"))
    exact = Decimal(usd_text(pico))
    half = Decimal("0.005") if abs(exact) >= 1 else Decimal("1e-12")  # cents from a dollar on
    assert abs(read - exact) <= max(abs(exact) / 1000, half)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("count", 1234567, "1,234,567"),
        ("count", None, "\N{EM DASH}"),
        ("count", -5, "\N{MINUS SIGN}5"),
        ("percent", "12.3", "12.3 %"),
        ("percent", "0.004", "0 %"),
        ("percent", None, "\N{EM DASH}"),
        ("change", "12.3", "+12.3 %"),
        ("change", "-4", "\N{MINUS SIGN}4 %"),
        ("change", "0", "0 %"),
        ("rate", "3.750000000000", "$3.75/M"),
        ("amount", None, "\N{EM DASH}"),
        ("usd_change", "2.5", "+$2.50"),
        ("usd_change", "-2.5", "\N{MINUS SIGN}$2.50"),
        ("usd_change", "0", "$0.00"),
        ("seconds", "0.34", "340 ms"),
        ("seconds", 2.5, "2.5 s"),
        ("seconds", 185, "3 min 5 s"),
        ("seconds", 7800, "2 h 10 min"),
        ("seconds", 356400, "4 d 3 h"),
        ("bytes", 3565158, "3.3 MiB"),
        ("bytes", 12, "12 B"),
        ("name", None, "not set"),
        ("name", "a\u202eb\x00", "a\ufffdb\ufffd"),
        ("text", ["a", None], "a, \N{EM DASH}"),
        ("text", True, "yes"),
    ],
)
def test_other_kinds(kind: str, value: object, words: str) -> None:
    assert shown.cell(kind, value, "UTC") == words


def test_moments_are_in_the_zone_and_name_it() -> None:
    at = datetime(2026, 7, 1, 22, 30, 5, tzinfo=UTC)
    assert shown.cell("time", at, "Europe/Berlin") == "2026-07-02 00:30:05 CEST"
    assert shown.cell("time", at.isoformat(), "UTC") == "2026-07-01 22:30:05 UTC"
    assert shown.cell("time", "soon", "UTC") == "soon"


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**15)), max_size=60))
def test_a_trend_stays_within_its_picture(values: list[int | None]) -> None:
    points = shown.spark(list(values))
    for point in points.split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= 120
        assert 0 <= y <= 24

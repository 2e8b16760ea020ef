"""Amounts, counts and times as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.outputs import words
from tollbook.money import PICO_PER_USD


@pytest.mark.parametrize(
    ("pico", "told"),
    [
        (0, "$0.00"), (1, "$0.000000000001"), (123_456_789, "$0.0001235"),
        (999_950_000_000, "$1.00"), (PICO_PER_USD // 2, "$0.50"), (PICO_PER_USD, "$1.00"),
        (12_345 * PICO_PER_USD + 5_000_000_000, "$12,345.01"),
        (-2 * PICO_PER_USD, "\N{MINUS SIGN}$2.00"), (10**30, "$1,000,000,000,000,000,000.00"),
    ],
)  # fmt: skip
def test_dollars(pico: int, told: str) -> None:
    assert words.usd(pico) == told


@given(st.integers(-(10**24), 10**24))
def test_dollars_are_right_to_four_digits_or_a_cent(pico: int) -> None:
    told = words.usd(pico)
    read = Decimal(told.replace("$", "").replace(",", "").replace("\N{MINUS SIGN}", "-"))
    exact = Decimal(pico).scaleb(-12)
    if abs(exact) >= 1:
        assert abs(read - exact) <= Decimal("0.005")
    else:
        assert abs(read - exact) <= abs(exact) * Decimal("0.0005")
    assert len(told.rpartition(".")[2]) >= 2


def test_costs_say_what_they_leave_out() -> None:
    assert words.cost(0, 3, 3) == "not priced"
    assert words.cost(PICO_PER_USD, 1, 3) == "$1.00 + 1 unpriced call"
    assert words.cost(PICO_PER_USD, 0, 3) == "$1.00"
    assert words.cost(0, 0, 0) == "$0.00"


def test_counts_scores_and_shares() -> None:
    assert words.count(1, "call") == "1 call"
    assert words.count(1234, "call") == "1,234 calls"
    assert [words.score(one) for one in (0, 734, 999, 1000)] == ["0.0", "73.4", "99.9", "100.0"]
    assert [words.share(*one) for one in ((1, 3), (1, 2), (999_999, 1_000_000), (0, 0))] == [
        "33.3 %", "50 %", "99.9 %", "\N{EM DASH}",
    ]  # fmt: skip
    assert words.factor(2000) == "2"
    assert words.factor(1050) == "1.05"


def test_sizes_times_and_durations() -> None:
    sizes = [words.size(one) for one in (None, 900, 1536, 3 << 30)]
    assert sizes == ["\N{EM DASH}", "900 B", "1.5 KiB", "3.0 GiB"]
    assert words.moment(0) == "\N{EM DASH}"
    assert words.moment(10**30) == "\N{EM DASH}"
    assert words.moment(1_763_000_000 * 10**9) == "2025-11-13 02:13:20 UTC"
    told = [words.duration(one) for one in (7, 340_999, 2_560_000, 185_000_000)]
    assert told == ["7 µs", "340 ms", "2.5 s", "3 min 5 s"]


def test_every_mode_and_severity_has_its_words() -> None:
    assert set(words.MODES) == set(Mode)
    assert len(set(words.MODES.values())) == len(Mode)
    assert set(words.SEVERITIES) == set(Severity)

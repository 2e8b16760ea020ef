"""Rolling windows: what was spent counts for the whole window and hardly longer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.budgets.kit import rules_of, table_in

from tollbook.budgets.ring import free_at, roll, spend_in
from tollbook.budgets.table import BudgetTable
from tollbook.budgets.window import BUCKETS, ROLLING_S

if TYPE_CHECKING:
    import pytest

KEY = b"k" * 16
BEGIN_S = 1_790_000_000
events = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 90), st.integers(-5, 100)), max_size=30
)
"""Seconds that pass, seconds that the call began before, amount."""


@given(events, st.sampled_from([1, 60]))
def test_the_sum_is_that_of_the_parts_that_have_not_passed(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, int]], part_s: int
) -> None:
    path = table_in(tmp_path_factory.mktemp("ring"))
    with contextlib.closing(BudgetTable(path)) as table:
        slot = table.find(KEY, BEGIN_S * 10, BEGIN_S)
        assert slot is not None
        now_s = BEGIN_S
        spent: list[tuple[int, int]] = []
        for passes_s, before_s, amount in drawn:
            now_s += passes_s * part_s // 3
            roll(table, slot, now_s // part_s)
            spend_in(table, slot, (now_s - before_s) // part_s, amount)
            spent.append((now_s - before_s, amount))
            bucket = now_s // part_s
            counted = [each for at_s, each in spent if at_s // part_s >= bucket - BUCKETS]
            assert table.standing(slot).spent == sum(counted)
            window_s = part_s * BUCKETS
            assert all(at_s // part_s >= bucket - BUCKETS
                       for at_s, _ in spent if at_s > now_s - window_s)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 100)), min_size=1, max_size=20),
       st.integers(1, 300))  # fmt: skip
def test_so_much_is_free_exactly_when_it_is_said(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int]], too_much: int
) -> None:
    path = table_in(tmp_path_factory.mktemp("ring"))
    with contextlib.closing(BudgetTable(path)) as table:
        slot = table.find(KEY, BEGIN_S * 10, BEGIN_S)
        assert slot is not None
        now_s = BEGIN_S
        for passes_s, amount in drawn:
            now_s += passes_s
            spend_in(table, slot, now_s, amount)
        before = table.standing(slot).spent
        at_s = free_at(table, slot, 1, too_much)
        if at_s is None:
            assert before < too_much
            return
        roll(table, slot, at_s - 1)
        assert before - table.standing(slot).spent < too_much or at_s <= now_s
        roll(table, slot, at_s)
        assert before - table.standing(slot).spent >= too_much


def test_a_rule_tells_its_parts_and_its_window() -> None:
    for window, length_s in ROLLING_S.items():
        (rule,) = rules_of(limit_requests=1, window=window, rolling=True)
        counted = rule.window(BEGIN_S)
        assert rule.bucket_s * BUCKETS == length_s
        assert counted.start_s <= BEGIN_S - length_s
        assert counted.start_s > BEGIN_S - length_s - rule.bucket_s
        assert counted.end_s > BEGIN_S
        assert rule.key(("a",), counted.start_s) == rule.key(("a",), 0)
    (minute,) = rules_of(limit_requests=1, window="minute")
    assert minute.bucket_s == 1
    (calendar,) = rules_of(limit_requests=1, window="hour")
    assert calendar.bucket_s == 0
    assert calendar.window(BEGIN_S) == calendar.span(BEGIN_S)

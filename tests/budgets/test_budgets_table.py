"""The shared counters: found again, taken over when passed, full, damaged, let go of."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.budgets.kit import table_in

from tollbook.budgets.table import SLOTS, WORKERS_MAX, BudgetTable, BudgetTableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROBES = 256
NOW_S, END_S = 1000, 2000


@pytest.fixture
def table(tmp_path: Path) -> Iterator[BudgetTable]:
    with contextlib.closing(BudgetTable(table_in(tmp_path))) as table:
        yield table


def key(home: int, number: int) -> bytes:
    """Return one of many keys whose search begins at the same slot."""
    return home.to_bytes(8, "little") + number.to_bytes(8, "little")


def found(table: BudgetTable, name: bytes, end_s: int = END_S, now_s: int = NOW_S) -> int:
    slot = table.find(name, end_s, now_s)
    assert slot is not None
    return slot


@given(st.lists(st.integers(-(2**100), 2**100)))
def test_what_is_spent_is_exact_at_any_size(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[int]
) -> None:
    path = table_in(tmp_path_factory.mktemp("table"))
    with contextlib.closing(BudgetTable(path)) as table:
        slot = found(table, key(1, 1))
        for amount in amounts:
            table.spend(slot, amount)
        assert table.standing(slot) == (sum(amounts), 0)


def test_two_mappings_see_the_same(tmp_path: Path) -> None:
    path = table_in(tmp_path)
    with (
        contextlib.closing(BudgetTable(path)) as one,
        contextlib.closing(BudgetTable(path)) as two,
    ):
        one.spend(found(one, key(5, 1)), 7)
        two.hold(found(two, key(5, 1)), 3, 11)
        assert one.standing(found(one, key(5, 1))) == (7, 11)


def test_keys_of_one_home_do_not_mix_and_the_last_slot_is_followed_by_the_first(
    table: BudgetTable,
) -> None:
    slots = [found(table, key(SLOTS - 2, n)) for n in range(PROBES)]
    assert len(set(slots)) == PROBES
    for n, slot in enumerate(slots):
        table.spend(slot, n)
    assert [table.standing(found(table, key(SLOTS - 2, n))).spent for n in range(PROBES)] == [
        *range(PROBES)
    ]


def test_a_full_stretch_says_so_until_a_window_has_passed(table: BudgetTable) -> None:
    for n in range(PROBES):
        table.spend(found(table, key(7, n), END_S + (n == 0)), 5)
    assert table.find(key(7, PROBES), END_S, NOW_S) is None
    assert table.find(key(7, PROBES), END_S + 99, END_S) is not None  # all but the first passed
    assert table.standing(found(table, key(7, 0), END_S + 1, END_S)).spent == 5
    assert table.standing(found(table, key(7, PROBES), END_S + 99, END_S)).spent == 0


def test_a_passed_window_that_still_holds_is_not_taken_over(table: BudgetTable) -> None:
    for n in range(PROBES):
        table.hold(found(table, key(7, n)), n % WORKERS_MAX, 1)
    assert table.find(key(7, PROBES), END_S + 99, END_S) is None
    table.hold(found(table, key(7, 3), now_s=END_S), 3, -1)
    assert table.find(key(7, PROBES), END_S + 99, END_S) is not None


def test_a_passed_window_gets_no_new_slot(table: BudgetTable) -> None:
    assert table.find(key(7, 0), NOW_S, NOW_S) is None


def test_a_worker_forgets_its_own_holds_only(table: BudgetTable) -> None:
    slot = found(table, key(7, 0))
    table.spend(slot, 2)
    for worker in range(WORKERS_MAX):
        table.hold(slot, worker, 10)
    table.forget_holds(4)
    assert table.standing(slot) == (2, 10 * (WORKERS_MAX - 1))
    table.hold(slot, 4, -10)  # what its earlier life would have let go of
    assert table.standing(slot).held == 10 * (WORKERS_MAX - 1)


@pytest.mark.parametrize("damage", ["missing", "short", "other"])
def test_what_is_no_table_is_said_in_one_line(tmp_path: Path, damage: str) -> None:
    path = table_in(tmp_path)
    if damage == "missing":
        path.unlink()
    elif damage == "short":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(BudgetTableError, match="made anew when the ledger process starts") as error:
        BudgetTable(path)
    assert str(path) in error.value.message
    assert "\n" not in error.value.message


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert table_in(tmp_path).stat().st_mode & 0o777 == 0o600

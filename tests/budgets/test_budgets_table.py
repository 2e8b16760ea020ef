"""The shared counters: found again, taken over when passed, full, damaged, let go of."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.budgets.kit import table_in

from tollbook.budgets.table import PLACES_MAX, SLOTS, BudgetTable, BudgetTableError

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
        assert [two.claim(f"w{n}") for n in range(4)] == [0, 1, 2, 3]
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
    everywhere(table)
    for n in range(PROBES):
        table.hold(found(table, key(7, n)), n % PLACES_MAX, 1)
    assert table.find(key(7, PROBES), END_S + 99, END_S) is None
    table.hold(found(table, key(7, 3), now_s=END_S), 3, -1)
    assert table.find(key(7, PROBES), END_S + 99, END_S) is not None


def test_a_passed_window_gets_no_new_slot(table: BudgetTable) -> None:
    assert table.find(key(7, 0), NOW_S, NOW_S) is None


def everywhere(table: BudgetTable) -> None:
    """Have a life in every place."""
    assert [table.claim(f"w{n}") for n in range(PLACES_MAX)] == [*range(PLACES_MAX)]


def test_a_life_keeps_its_place_until_it_is_given_up(table: BudgetTable) -> None:
    slot = found(table, key(7, 0))
    table.spend(slot, 2)
    everywhere(table)
    assert table.claim("w5") == 5
    assert table.claim("another") is None
    for place in range(PLACES_MAX):
        table.hold(slot, place, 10)
        table.spend_by(slot, place, 3)
    assert table.standing(slot) == (2 + 3 * PLACES_MAX, 10 * PLACES_MAX)
    table.clear_place(slot, 4)
    table.vacate(4)
    assert table.standing(slot) == (2 + 3 * (PLACES_MAX - 1), 10 * (PLACES_MAX - 1))
    assert table.claim("another") == 4
    assert table.claimed()["another"] == 4


def test_what_a_place_has_spent_is_exact_beyond_its_column(table: BudgetTable) -> None:
    slot = found(table, key(7, 0))
    place = table.claim("w0")
    assert place is not None
    for amount in (2**62, 2**63, -5, 2**62, 2**90):
        table.spend_by(slot, place, amount)
    assert table.standing(slot).spent == 2**62 + 2**63 - 5 + 2**62 + 2**90


def test_grants_and_wants_of_a_slot(table: BudgetTable) -> None:
    slot = found(table, key(7, 0))
    assert table.granted(slot) is None
    table.set_granted(slot, 0)
    assert table.granted(slot) == 0
    table.set_granted(slot, 2**70)
    assert table.granted(slot) == 2**70
    table.set_granted(slot, None)
    assert table.granted(slot) is None
    table.want(slot, 7)
    table.want(slot, 3)
    assert (table.wanted(slot), table.take_wanted(slot), table.wanted(slot)) == (7, 7, 0)
    table.set_limit(slot, 11)
    assert table.limit(slot) == 11


def test_to_look_takes_no_slot(table: BudgetTable) -> None:
    assert table.look(key(9, 1)) is None
    slot = found(table, key(9, 1))
    assert table.look(key(9, 1)) == slot
    assert (table.key(slot), table.end_s(slot)) == (key(9, 1), END_S)
    assert found(table, key(9, 1), END_S + 5) == slot
    assert table.end_s(slot) == END_S + 5


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

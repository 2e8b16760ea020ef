"""Waiting for room that others have only reserved: first come, first served, and not for ever."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from tests.budgets.kit import FixedPrices, call, closed_of, rules_of, table_in

from tollbook.budgets import waiting
from tollbook.budgets.guard import Guard, Hold, Refused
from tollbook.budgets.table import BudgetTable
from tollbook.budgets.waiting import WaitingRoom
from tollbook.call import CallOpened, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW_S = 1_790_000_000


class Loop:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def call_later(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + delay_s, next(self._numbers), act))

    def pass_s(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, act = heapq.heappop(self._due)
            act()
        self.now = until


class World:
    """One or two workers, 10 pico a call, and what became of calls by name."""

    def __init__(self, directory: Path, **budget: Any) -> None:
        self.loop = Loop()
        self.rules = rules_of(**{"limit_usd": "20E-12", "each": ["tenant"], **budget})
        self.path = table_in(directory)
        self.guards = [
            Guard(self.rules, self.path, f"w{n}", FixedPrices(10), lambda: NOW_S) for n in range(2)
        ]
        self.rooms = [
            WaitingRoom(guard, self.loop.call_later, lambda: self.loop.now) for guard in self.guards
        ]
        self.let_in: list[str] = []
        self.refused: dict[str, Refused] = {}
        self.holds: dict[str, tuple[int, CallOpened, tuple[Hold, ...]]] = {}

    def ask(self, name: str, tenant: str = "acme", worker: int = 0) -> None:
        opened = call(identity=Identity(tenant_id=tenant))

        def then(found: tuple[Hold, ...] | Refused) -> None:
            if isinstance(found, Refused):
                self.refused[name] = found
            else:
                self.let_in.append(name)
                self.holds[name] = (worker, opened, found)

        found = self.guards[worker].admit(opened)
        if isinstance(found, Refused) and found.wait_s:
            self.rooms[worker].wait(opened, found, then)
        else:
            then(found)

    def end(self, name: str, *, costs: bool = True) -> None:
        worker, opened, holds = self.holds.pop(name)
        if costs:
            self.guards[worker].settle(holds, opened, closed_of(opened))
        else:
            self.guards[worker].release(holds, opened)
        self.rooms[worker].wake()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    for guard in found.guards:
        guard.close()


def test_who_came_first_is_first_and_nobody_overtakes(world: World) -> None:
    for name in "abcd":
        world.ask(name)
    assert world.let_in == ["a", "b"]
    world.end("a", costs=False)
    world.ask("late")  # there is room, but two came before
    assert world.let_in == ["a", "b"]
    world.loop.pass_s(0.001)
    assert world.let_in == ["a", "b", "c"]
    world.end("b", costs=False)
    world.end("c", costs=False)
    world.loop.pass_s(0.001)
    assert world.let_in == ["a", "b", "c", "d", "late"]
    assert world.refused == {}
    assert world.rooms[0].count == 0


def test_who_has_no_room_in_what_is_spent_waits_for_nothing(world: World) -> None:
    for name in "abcd":
        world.ask(name)
    world.end("a")
    world.end("b")
    world.loop.pass_s(0.001)
    assert world.let_in == ["a", "b"]
    assert set(world.refused) == {"c", "d"}
    assert world.refused["c"].retry_after_s > 60
    assert "is used up for this month: 0.00 of" in world.refused["c"].reason
    world.ask("e")
    assert "e" in world.refused
    assert world.guards[0].refusals == {"cap": 3}


def test_owners_do_not_wait_for_one_another(world: World) -> None:
    for name in "abc":
        world.ask(name)
    world.ask("other", tenant="globex")
    assert world.let_in == ["a", "b", "other"]


def test_what_another_worker_settles_is_seen_soon(world: World) -> None:
    world.ask("a", worker=1)
    world.ask("b", worker=1)
    world.ask("c")
    world.end("a", costs=False)
    world.loop.pass_s(0.05)
    assert world.let_in == ["a", "b", "c"]


def test_a_wait_ends_and_says_so(world: World) -> None:
    for name in "abc":
        world.ask(name)
    world.loop.pass_s(4)
    world.ask("d")
    world.loop.pass_s(6.1)
    assert set(world.refused) == {"c"}
    refused = world.refused["c"]
    assert (refused.retry_after_s, refused.wait_s) == (1, 0.0)
    assert "calls under way have reserved" in refused.reason
    assert "did not end within 10 s; try again" in refused.reason
    world.loop.pass_s(4)
    assert set(world.refused) == {"c", "d"}
    assert world.rooms[0].count == 0
    world.loop.pass_s(60)  # and nobody looks any more
    assert world.guards[0].refusals == {"cap": 2}


def test_nobody_waits_where_the_rule_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, wait_s=0)
    for name in "abc":
        world.ask(name)
    assert set(world.refused) == {"c"}
    assert world.refused["c"].retry_after_s == 1


def test_who_leaves_holds_nothing(world: World) -> None:
    for name in "ab":
        world.ask(name)
    opened = call()
    refused = world.guards[0].admit(opened)
    assert isinstance(refused, Refused)
    left = world.rooms[0].wait(opened, refused, lambda _: pytest.fail("nobody wants to know"))
    world.ask("c")
    left.leave()
    world.end("a", costs=False)
    world.loop.pass_s(0.001)
    assert world.let_in == ["a", "b", "c"]


def test_the_room_is_not_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 1)
    for name in "abcd":
        world.ask(name)
    assert set(world.refused) == {"d"}


def test_calls_at_once_wait_for_their_turn(tmp_path: Path) -> None:
    world = World(tmp_path, limit_usd=None, limit_concurrent=1)
    for name in "ab":
        world.ask(name)
    assert world.let_in == ["a"]
    world.end("a")
    world.loop.pass_s(0.001)
    assert world.let_in == ["a", "b"]
    world.end("b")


def test_a_host_waits_for_a_grant_and_says_what_it_lacks(tmp_path: Path) -> None:
    world = World(tmp_path)
    for guard in world.guards:
        guard.set_rules(world.rules, is_shared=True)
    world.ask("a")
    assert world.let_in == []
    table = BudgetTable(world.path)
    (slot,) = table.used()
    assert (table.wanted(slot), table.limit(slot), table.granted(slot)) == (10, 20, None)
    table.set_granted(slot, 10)
    assert table.take_wanted(slot) == 10
    world.loop.pass_s(0.05)
    assert world.let_in == ["a"]
    world.ask("b")
    world.end("a")
    world.loop.pass_s(0.05)
    assert world.let_in == ["a"]
    assert table.wanted(slot) == 10
    table.set_granted(slot, 50)  # never more than the limit
    world.loop.pass_s(0.05)
    world.end("b")
    world.ask("c")
    assert world.let_in == ["a", "b"]
    assert set(world.refused) == {"c"}
    table.close()

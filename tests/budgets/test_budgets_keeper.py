"""The counters are the ledger's sums in the end, whoever died when and whichever rule came when."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.ledger.conftest import START_NS, World

from tollbook import clock
from tollbook.books import open_books
from tollbook.books.documents import Subject, put_document
from tollbook.budgets.guard import Guard, Hold, Refused
from tollbook.budgets.rules import Rule, published_rules
from tollbook.budgets.seed import TABLE_FILE
from tollbook.budgets.table import BudgetTable
from tollbook.call import Call, CallOpened, Evidence, Identity
from tollbook.config import Config
from tollbook.config.budgets import Budget
from tollbook.console.budgetkeeper import BudgetKeeper
from tollbook.ledger.budgetsums import booked_in
from tollbook.ledger.charge import charge_of
from tollbook.supervisor.gateway_prices import _told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.call import CallClosed
    from tollbook.spool.writer import SpoolWriter

S = clock.NS_PER_S
SETTINGS: list[dict[str, Any]] = [
    {"name": "tenants", "limit_usd": 50, "each": ["tenant"], "window": "month"},
    {"name": "calls", "limit_requests": 100_000, "window": "day"},
]
LATER: list[dict[str, Any]] = [
    {"name": "later", "limit_usd": 50, "each": ["tenant"], "window": "month"},
    {"name": "later-tokens", "limit_tokens": 10**9, "window": "week"},
    {"name": "later-rolls", "limit_requests": 10**6, "window": "day", "rolling": True},
]


class Priced:
    """What the ledger charges."""

    def __init__(self, world: World) -> None:
        self._book = world.price_book

    def of(self, opened: CallOpened, closed: CallClosed) -> Any:
        call = Call(opened, closed, Evidence("", 0, 0, ""))
        charge = charge_of(call, self._book.resolve, self._book.uses_reported)
        return _told(charge)


class Worker:
    """A life of a gateway worker."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.writer: SpoolWriter = house.world.writer()
        self.live: list[tuple[CallOpened, tuple[Hold, ...]]] = []
        self.guard = Guard(
            house.rules(), house.dir / TABLE_FILE, self.name, Priced(house.world), house.now_s
        )

    @property
    def name(self) -> str:
        return self.writer.name

    def begin(self, tenant: str) -> None:
        opened = self.house.world.opened(
            identity=Identity(tenant_id=tenant), max_output_tokens=9, tenant_id=tenant
        )
        self.writer.append(opened)
        assert self.writer.flush()
        admitted = self.guard.admit(opened)
        assert not isinstance(admitted, Refused)
        self.live.append((opened, admitted))

    def end(self, which: int, *, is_whole: bool = True) -> None:
        """End a call, or die when it is settled and its end is not written."""
        opened, holds = self.live.pop(which)
        took_ns = self.house.world.now_ns - opened.started_at_ns
        closed = self.house.world.closed(
            opened, output_tokens=self.house.rng.randint(1, 9), duration_ns=took_ns
        )
        self.guard.settle(holds, opened, closed)
        if is_whole:
            self.writer.append(closed)
            assert self.writer.flush()
        else:
            rolls = [hold for hold in holds if hold.rule.budget.name == "later-rolls"]
            self.house.unwritten += any(
                took_ns + opened.started_at_ns >= hold.rule.from_us * 1000 for hold in rolls
            )
            self.house.kill(self)

    def take_rules(self) -> None:
        self.guard.set_rules(self.house.rules())
        self.guard.refresh()
        self.live = [(opened, self.guard.adopt(opened, holds)) for opened, holds in self.live]


class House:
    """Two workers, a ledger, and budgets in settings and books, under one clock."""

    def __init__(
        self, directory: Path, world: World, seed: int, settings: list[dict[str, Any]]
    ) -> None:
        self.dir = directory
        self.world = world
        self.rng = random.Random(seed)
        self.books = open_books(directory)
        self.config = Config(
            budgets=[msgspec.convert(one, Budget, strict=False) for one in settings]
        )
        self.keeper = self.new_keeper()
        self.later = list(LATER)
        self.unwritten = 0
        self.added: list[dict[str, Any]] = []
        self.look()
        self.workers = [Worker(self), Worker(self)]

    def now_s(self) -> int:
        return self.world.now_ns // S

    def rules(self) -> tuple[Rule, ...]:
        return published_rules(self.dir) or ()

    def fetch(self, sql: str, values: Any) -> list[tuple[Any, ...]]:
        with self.world.store.reader() as connection:
            return connection.execute(sql, values).fetchall()

    def new_keeper(self) -> BudgetKeeper:
        return BudgetKeeper(self.config, "tollbook.toml", self.dir, self.fetch, self.books)

    def look(self) -> None:
        self.world.drain()
        self.keeper.after_step(has_read_all=True)

    def kill(self, worker: Worker) -> None:
        worker.writer.close()
        worker.guard.close()
        self.workers[self.workers.index(worker)] = Worker(self)

    def add_rule(self) -> None:
        if not self.later:
            return
        raw = self.later.pop(0)
        self.added.append(raw)
        body = msgspec.json.encode(msgspec.convert(raw, Budget, strict=False)).decode()
        self.publish(raw["name"], body)

    def remove_rule(self) -> None:
        """Take a rule out of force, to come back."""
        if self.added and self.added[0]["name"] != "later-rolls":
            raw = self.added.pop(0)
            self.later.append(raw)
            self.publish(raw["name"], "null")

    def publish(self, name: str, body: str) -> None:
        self.world.now_ns += S
        put_document(
            self.books, Subject.BUDGET, name, body,
            effective_from_ns=self.world.now_ns - S // 2, reason="test",
        )  # fmt: skip
        self.keeper.publisher.publish()
        for worker in self.workers:
            self.world.now_ns += self.rng.randrange(S // 2)
            if worker.live and self.rng.random() < 0.5:
                worker.end(0)  # before it knows the rule
            worker.take_rules()

    def step(self) -> None:
        """Have something happen."""
        self.world.now_ns += self.rng.choice([1, 1000, S // 10, S, 3 * S])
        worker = self.rng.choice(self.workers)
        what = self.rng.random()
        if what < 0.45:
            worker.begin(self.rng.choice(["acme", "globex"]))
        elif what < 0.8:
            if worker.live:
                is_whole = self.rng.random() < 0.9
                worker.end(self.rng.randrange(len(worker.live)), is_whole=is_whole)
        elif what < 0.92:
            self.look()
        elif what < 0.95:
            self.kill(worker)
        elif what < 0.96:
            self.keeper = self.new_keeper()
        elif what < 0.97:
            self.remove_rule()
        else:
            self.add_rule()

    def finish(self) -> None:
        """End all of it, and have the ledger read all of it."""
        self.world.now_ns += 3 * S
        for worker in list(self.workers):
            while worker.live:
                worker.end(0)
            self.kill(worker)
        self.look()

    def counted(self) -> dict[tuple[str, tuple[str, ...]], tuple[int, int]]:
        """Return what the counters say, by rule and owner."""
        found: dict[tuple[str, tuple[str, ...]], tuple[int, int]] = {}
        with contextlib.closing(BudgetTable(self.dir / TABLE_FILE)) as table, table.locked():
            for rule in self.rules():
                owners: list[tuple[str, ...]] = [("acme",), ("globex",)]
                for owner in owners if rule.budget.each else [()]:
                    slot = table.look(rule.key(owner, rule.span(self.now_s()).start_s))
                    if slot is not None:
                        found[rule.budget.name, owner] = table.standing(slot)
        return found

    def booked(self) -> dict[tuple[str, tuple[str, ...]], int]:
        """Return what the ledger says."""
        found: dict[tuple[str, tuple[str, ...]], int] = {}
        for rule in self.rules():
            for one in booked_in(self.fetch, rule, rule.window(self.now_s())):
                owner = rule.owner(one.fields)
                assert owner is not None
                key = rule.budget.name, owner
                found[key] = found.get(key, 0) + one.amount(rule)
        return found


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    worlds: list[World] = []
    houses: list[House] = []
    monkeypatch.setattr(clock, "unix_ns", lambda: worlds[-1].now_ns if worlds else START_NS)

    def build(seed: int, settings: list[dict[str, Any]]) -> House:
        worlds.append(World(tmp_path))
        houses.append(House(tmp_path, worlds[-1], seed, settings))
        return houses[-1]

    yield build
    for house in houses:
        for worker in house.workers:
            worker.guard.close()
            worker.writer.close()
    for world in worlds:
        world.store.close()


@pytest.mark.parametrize("seed", range(4))
def test_in_the_end_the_counters_are_the_ledgers_sums(make: Any, seed: int) -> None:
    house = make(seed, SETTINGS if seed % 2 else [])
    for _ in range(120):
        house.step()
    house.remove_rule()
    while house.later:
        for _ in range(3):
            house.step()
        house.look()
        house.add_rule()
    house.look()
    house.finish()
    booked = house.booked()
    counted = house.counted()
    assert len(booked) >= 4
    # A rolling window counts twice what was settled and died before its end was written.
    rolls = ("later-rolls", ())
    assert counted[rolls][0] == booked.pop(rolls) + house.unwritten
    assert {key: spent for key, (spent, _) in counted.items() if key != rolls} == booked
    assert {held for _, held in counted.values()} == {0}

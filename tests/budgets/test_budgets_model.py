"""The guard and its table against a plain account of the same, whatever happens in what order."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.budgets.kit import Cost, call, closed_of, table_in

from tollbook.budgets.guard import Guard, Hold, Refused
from tollbook.budgets.rules import Rule, read_rules
from tollbook.budgets.rulesfile import TopUp
from tollbook.budgets.seed import Booked, apply, change_of
from tollbook.budgets.table import BudgetTable
from tollbook.call import CallClosed, CallOpened, Identity, Status
from tollbook.config.budgets import Budget

NOW_S = 1_790_000_000
HOUR_S = 3600
WORKERS = 3
BUDGETS: list[dict[str, Any]] = [
    {"name": "all", "limit_usd": "100E-12", "window": "day"},
    {"name": "tenant", "limit_usd": "60E-12", "each": ["tenant"], "window": "hour"},
    {"name": "rolls", "limit_usd": "70E-12", "each": ["tenant"], "window": "hour", "rolling": True},
    {"name": "calls", "limit_requests": 5, "match": {"tenant": "a*"}, "window": "hour"},
    {"name": "minute", "limit_requests": 3, "each": ["tenant"], "window": "minute"},
    {"name": "at-once", "limit_concurrent": 2, "each": ["tenant"]},
    {"name": "soft", "limit_tokens": 5, "mode": "soft", "window": "hour"},
]
OTHER_LIMITS: dict[str, dict[str, Any]] = {
    "all": {"limit_usd": "0E-12"}, "tenant": {"limit_usd": "30E-12"},
    "rolls": {"limit_usd": "200E-12"}, "calls": {"limit_requests": 9},
    "at-once": {"limit_concurrent": 1},
}  # fmt: skip


class ByCall:
    """Prices that a test writes into the frames: the worst before, what it came to after."""

    def of(self, opened: CallOpened, closed: CallClosed) -> Cost:
        return Cost(closed.output_chars if closed.http_status else opened.input_chars, ())


class Live(NamedTuple):
    life: int
    opened: CallOpened
    holds: tuple[Hold, ...]
    at_s: int


class Spent(NamedTuple):
    life: int
    tenant: str
    at_s: int
    pico: int
    requests: int


class Machine(RuleBasedStateMachine):
    """Several workers on one table; what is spent is a list, what is held another."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = table_in(Path(self.directory.name))
        self.now_s = NOW_S
        self.changed: set[str] = set()
        self.top_ups: list[TopUp] = []
        self.budgets = self.in_force()
        self.lives = 0
        self.workers: list[tuple[int, Guard]] = []
        for _ in range(WORKERS):
            self.begin()
        self.live: list[Live] = []
        self.unbooked: dict[int, list[Live]] = {}
        self.spent: list[Spent] = []

    def in_force(self) -> tuple[Rule, ...]:
        raw = [
            {**one, **(OTHER_LIMITS[one["name"]] if one["name"] in self.changed else {})}
            for one in BUDGETS
        ]
        budgets = [msgspec.convert(one, Budget, strict=False) for one in raw]
        return tuple(
            one._replace(
                top_ups=tuple(more for more in self.top_ups if more.rule == one.budget.name)
            )
            for one in read_rules(budgets, "t")
        )

    def begin(self) -> None:
        self.lives += 1
        guard = Guard(self.budgets, self.path, f"life-{self.lives}", ByCall(), lambda: self.now_s)
        self.workers.append((self.lives, guard))

    def teardown(self) -> None:
        for _, guard in self.workers:
            guard.close()
        self.directory.cleanup()

    # the plain account

    def spent_of(self, one: Rule, owner: tuple[str, ...]) -> int:
        window = one.window(self.now_s)
        total = 0
        for each in self.spent:
            if not window.start_s <= each.at_s < window.end_s:
                continue
            if one.owner(fields_of(each.tenant)) == owner and one.unit in {"usd", "requests"}:
                total += each.pico if one.unit == "usd" else each.requests
        return total

    def held_of(self, one: Rule, owner: tuple[str, ...]) -> int:
        start_s = one.span(self.now_s).start_s
        every = [*self.live, *(each for left in self.unbooked.values() for each in left)]
        return sum(
            hold.amount
            for each in every
            for hold in each.holds
            if hold.rule.counted == one.counted
            and hold.owner == owner
            and (not one.has_calendar or hold.span.start_s == start_s)
        )

    def limit_of(self, one: Rule, owner: tuple[str, ...]) -> int:
        return one.limit + sum(
            more.amount
            for more in self.top_ups
            if more.rule == one.budget.name
            and more.owner == owner
            and more.expires_at_s > self.now_s
        )

    # what happens

    @rule(
        worker=st.integers(0, WORKERS - 1), tenant=st.sampled_from("ab"), worst=st.integers(0, 50)
    )
    def admit(self, worker: int, tenant: str, worst: int) -> None:
        life, guard = self.workers[worker]
        opened = call(identity=Identity(tenant_id=tenant), input_chars=worst)
        has_room = is_free = True
        for one in self.budgets:
            owner = one.owner(fields_of(tenant))
            if owner is None or one.budget.mode == "soft":
                continue
            amount = worst if one.unit == "usd" else 1
            limit, spent = self.limit_of(one, owner), self.spent_of(one, owner)
            if one.unit == "usd" and not (one.limit or one.top_ups):
                amount = 1
            held = self.held_of(one, owner)
            has_room = has_room and spent < limit and spent + amount <= limit
            taken = spent + held
            is_free = is_free and taken + amount <= limit and (amount > 0 or taken < limit)
        admitted = guard.admit(opened)
        if isinstance(admitted, Refused):
            assert not (has_room and is_free)
            assert (admitted.wait_s > 0) is has_room
            assert admitted.is_unavailable is False
            return
        assert has_room
        assert is_free
        self.live.append(Live(life, opened, admitted, self.now_s))

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0), cost=st.integers(0, 80), is_rejected=st.booleans())
    def settle(self, which: int, cost: int, is_rejected: bool) -> None:  # noqa: FBT001 -- drawn
        one = self.live.pop(which % len(self.live))
        guard = dict(self.workers)[one.life]
        status = Status.REJECTED if is_rejected else Status.OK
        closed = closed_of(one.opened, status=status, http_status=200, output_chars=cost)
        guard.settle(one.holds, one.opened, closed)
        if not is_rejected:
            self.spent.append(Spent(one.life, tenant_of(one), one.at_s, cost, 1))

    @rule(worker=st.integers(0, WORKERS - 1))
    def die(self, worker: int) -> None:
        """Die without a word, and begin another life: what it held goes on being held."""
        life, guard = self.workers.pop(worker)
        guard.close()
        self.unbooked[life] = [one for one in self.live if one.life == life]
        self.live = [one for one in self.live if one.life != life]
        self.begin()

    @precondition(lambda self: self.unbooked)
    @rule(which=st.integers(0), cost=st.integers(0, 40))
    def book(self, which: int, cost: int) -> None:
        """The ledger has read a dead life to its end: what was cut short has come to something."""
        life = list(self.unbooked)[which % len(self.unbooked)]
        cut = [
            Spent(life, tenant_of(one), one.at_s, cost, 1) for one in self.unbooked.pop(life)
        ]  # fmt: skip
        settled = [one for one in self.spent if one.life == life]
        self.spent += cut
        booked = []
        for one in self.budgets:
            window = one.window(self.now_s)
            for each in [*settled, *cut] if one.has_calendar else cut:
                if window.start_s <= each.at_s < window.end_s:
                    fields = fields_of(each.tenant)
                    booked.append((one, Booked(fields, each.pico, 0, each.requests, 0, each.at_s)))
        with contextlib.closing(BudgetTable(self.path)) as table:
            place = table.claimed()[f"life-{life}"]
            change = change_of(table, booked, [(place, f"life-{life}")], self.now_s)
            apply(table, change, self.now_s)
            apply(table, msgspec.structs.replace(change, parts=[]), self.now_s)

    @rule(name=st.sampled_from(sorted(OTHER_LIMITS)))
    def change_a_limit(self, name: str) -> None:
        self.changed ^= {name}
        self.take_rules()

    @rule(
        name=st.sampled_from(["all", "tenant", "rolls", "calls"]), tenant=st.sampled_from("ab"),
        amount=st.integers(1, 60), lasts_s=st.integers(1, 2 * HOUR_S),
    )  # fmt: skip
    def top_up(self, name: str, tenant: str, amount: int, lasts_s: int) -> None:
        owner = (tenant,) if name in {"tenant", "rolls"} else ()
        until_s = self.now_s + lasts_s
        self.top_ups.append(TopUp(rule=name, owner=owner, amount=amount, expires_at_s=until_s))
        self.take_rules()

    def take_rules(self) -> None:
        self.budgets = self.in_force()
        for life, guard in self.workers:
            guard.set_rules(self.budgets)
            self.live = [
                one._replace(holds=guard.adopt(one.opened, one.holds)) if one.life == life else one
                for one in self.live
            ]

    @rule(seconds=st.sampled_from([1, 7, 59, 61, 600, HOUR_S, HOUR_S + 61, 30 * HOUR_S]))
    def pass_time(self, seconds: int) -> None:
        self.now_s += seconds

    @invariant()
    def the_table_says_the_same(self) -> None:
        with contextlib.closing(BudgetTable(self.path)) as table, table.locked():
            for one in self.budgets:
                for tenant in "ab":
                    owner = one.owner(fields_of(tenant))
                    if owner is None:
                        continue
                    span = one.span(self.now_s)
                    slot = table.look(one.key(owner, span.start_s))
                    if slot is None:
                        assert self.held_of(one, owner) == self.spent_of(one, owner) == 0
                        continue
                    found = table.standing(slot)
                    assert found.held == self.held_of(one, owner)
                    if not one.bucket_s:  # parts that have passed are dropped by the next call
                        assert found.spent == self.spent_of(one, owner)


def fields_of(tenant: str) -> dict[str, str]:
    return {**dict.fromkeys(("user", "team"), "unknown"), "tenant": tenant}


def tenant_of(one: Live) -> str:
    assert one.opened.identity.tenant_id is not None
    return one.opened.identity.tenant_id


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
TestMachine = Machine.TestCase

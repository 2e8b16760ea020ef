"""The guard: limits hold at admission, holds end at zero, sums are exact, whoever dies when."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.budgets import hammer
from tests.budgets.kit import Cost, FixedPrices, call, closed_of, rules_of, table_in

from tollbook.budgets.guard import Guard, Hold, Refused
from tollbook.budgets.rules import read_rules
from tollbook.budgets.table import BudgetTable
from tollbook.budgets.window import span_at
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.config.budgets import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

NOW_S = 1_790_000_000
HOUR_S = 3600
ROOT = Path(__file__).parents[2]
BUDGETS = [
    {"name": "all", "limit_usd": "100E-12", "window": "day"},
    {"name": "tenant", "limit_usd": "60E-12", "each": ["tenant"], "window": "hour"},
    {"name": "calls", "limit_requests": 5, "match": {"tenant": "a*"}, "window": "hour"},
    {"name": "soft", "limit_tokens": 5, "mode": "soft", "window": "hour"},
]
WORKERS = 3


class ByCall:
    """Prices that a test writes into the frames: the worst before, what it came to after."""

    def of(self, opened: CallOpened, closed: CallClosed) -> Cost:
        return Cost(closed.output_chars if closed.http_status else opened.input_chars, ())


class Live(NamedTuple):
    worker: int
    opened: CallOpened
    holds: tuple[Hold, ...]


class Machine(RuleBasedStateMachine):
    """Several workers on one table, beside a plain account of the same."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = table_in(Path(self.directory.name))
        self.now_s = NOW_S
        budgets = [msgspec.convert(one, Budget, strict=False) for one in BUDGETS]
        self.budgets = read_rules(budgets, "t")
        self.guards = [self.guard(worker) for worker in range(WORKERS)]
        self.alive = [True] * WORKERS
        self.live: list[Live] = []
        self.dead: list[list[Live]] = [[] for _ in range(WORKERS)]
        self.spent: dict[bytes, int] = {}
        self.ends: dict[bytes, int] = {}

    def guard(self, worker: int) -> Guard:
        return Guard(self.budgets, self.path, worker, ByCall(), lambda: self.now_s)

    def teardown(self) -> None:
        for guard in self.guards:
            guard.close()
        self.directory.cleanup()

    def held(self) -> dict[bytes, int]:
        held: dict[bytes, int] = {}
        for one in [*self.live, *(one for dead in self.dead for one in dead)]:
            for hold in one.holds:
                held[hold.key] = held.get(hold.key, 0) + hold.amount
        return held

    @rule(
        worker=st.integers(0, WORKERS - 1), tenant=st.sampled_from("ab"), worst=st.integers(0, 50)
    )
    def admit(self, worker: int, tenant: str, worst: int) -> None:
        if not self.alive[worker]:
            return
        opened = call(identity=Identity(tenant_id=tenant), input_chars=worst)
        before = self.held()
        admitted = self.guards[worker].admit(opened)
        room = []
        for one in self.budgets:
            fields = {**dict.fromkeys(("user", "team"), "unknown"), "tenant": tenant}
            owner = one.owner(fields)
            if owner is None or one.budget.mode == "soft":
                continue
            key = one.key(owner, span_at(one.budget.window, "UTC", self.now_s).start_s)
            taken = self.spent.get(key, 0) + before.get(key, 0)
            room.append(
                one.limit > taken and one.limit - taken >= (worst if one.unit == "usd" else 1)
            )
        assert isinstance(admitted, Refused) is not all(room)
        if isinstance(admitted, Refused):
            assert 0 < admitted.retry_after_s <= 24 * HOUR_S
            return
        self.live.append(Live(worker, opened, admitted))
        for hold in admitted:
            self.ends[hold.key] = hold.span.end_s
            if hold.rule.budget.mode == "hard":
                taken = self.spent.get(hold.key, 0) + self.held()[hold.key]
                assert taken <= hold.rule.limit

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0), cost=st.integers(0, 80), is_rejected=st.booleans())
    def settle(self, which: int, cost: int, is_rejected: bool) -> None:  # noqa: FBT001 -- drawn
        one = self.live.pop(which % len(self.live))
        status = Status.REJECTED if is_rejected else Status.OK
        closed = closed_of(one.opened, status=status, http_status=200, output_chars=cost)
        self.guards[one.worker].settle(one.holds, one.opened, closed)
        for hold in one.holds:
            came = {"usd": cost, "requests": 1, "tokens": 0}[hold.rule.unit]
            self.spent[hold.key] = self.spent.get(hold.key, 0) + (0 if is_rejected else came)

    @rule(worker=st.integers(0, WORKERS - 1))
    def die(self, worker: int) -> None:
        """Die without a word: what it held goes on being held."""
        self.alive[worker] = False
        self.guards[worker].close()
        self.dead[worker] += [one for one in self.live if one.worker == worker]
        self.live = [one for one in self.live if one.worker != worker]

    @rule(worker=st.integers(0, WORKERS - 1))
    def come_back(self, worker: int) -> None:
        """Drop what its earlier life held, and nothing of the others."""
        self.die(worker)
        self.dead[worker] = []
        self.guards[worker] = self.guard(worker)
        self.alive[worker] = True

    @rule(hours=st.integers(1, 30))
    def pass_time(self, hours: int) -> None:
        self.now_s += hours * HOUR_S

    @invariant()
    def the_table_says_the_same(self) -> None:
        held = self.held()
        with contextlib.closing(BudgetTable(self.path)) as table, table.locked():
            for key, end_s in self.ends.items():
                slot = table.find(key, end_s, self.now_s)
                if slot is None:
                    assert end_s <= self.now_s
                    continue
                assert table.standing(slot) == (self.spent.get(key, 0), held.get(key, 0))


Machine.TestCase.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase


def guard_in(directory: Path, **budget: Any) -> Guard:
    return Guard(rules_of(**budget), table_in(directory), 0, FixedPrices(10), lambda: NOW_S)


def test_a_full_table_refuses_for_a_hard_limit_and_not_for_a_soft_one(tmp_path: Path) -> None:
    for mode in ("hard", "soft"):
        directory = tmp_path / mode
        directory.mkdir()
        guard = guard_in(directory, limit_usd=1, mode=mode, window="day")
        (rule_,) = rules_of(limit_usd=1, mode=mode, window="day")
        start_s, end_s = span_at("day", "UTC", NOW_S)
        home = rule_.key((), start_s)[:8]
        with contextlib.closing(BudgetTable(directory / "budgets.table")) as table:
            for n in range(256):
                assert table.find(home + n.to_bytes(8, "little"), end_s, NOW_S) is not None
        admitted = guard.admit(call())
        if mode == "soft":
            assert admitted == ()
        else:
            assert isinstance(admitted, Refused)
            assert admitted.is_unavailable
            assert admitted.retry_after_s == 1
        guard.close()


def test_a_call_settled_on_a_table_made_anew_takes_nothing_that_others_hold(tmp_path: Path) -> None:
    guard = guard_in(tmp_path, limit_usd=1)
    held = guard.admit(call())
    assert not isinstance(held, Refused)
    table_in(tmp_path)
    guard.refresh()
    kept = guard.admit(call())
    assert not isinstance(kept, Refused)
    guard.settle(held, call(), closed_of(call()))
    with contextlib.closing(BudgetTable(tmp_path / "budgets.table")) as table:
        slot = table.find(held[0].key, held[0].span.end_s, NOW_S)
        assert slot is not None
        assert table.standing(slot) == (10, 10)
    guard.close()


def test_what_a_caller_asks_for_cannot_be_too_much_for_the_table(tmp_path: Path) -> None:
    rules = rules_of(limit_usd=1, mode="soft")
    guard = Guard(rules, table_in(tmp_path), 0, FixedPrices(10**25), lambda: NOW_S)
    held = []
    for _ in range(300):  # more than 64 bits have room for
        admitted = guard.admit(call(max_output_tokens=10**18))
        assert not isinstance(admitted, Refused)
        held.append(admitted)
    for holds in held:
        guard.settle(holds, call(), closed_of(call()))
    with contextlib.closing(BudgetTable(tmp_path / "budgets.table")) as table:
        slot = table.find(held[0][0].key, held[0][0].span.end_s, NOW_S)
        assert slot is not None
        assert table.standing(slot).held == 0
    guard.close()


def test_a_call_is_closed_although_its_budget_cannot_be_settled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = guard_in(tmp_path, limit_usd=1)
    held = guard.admit(call())
    assert not isinstance(held, Refused)

    def locked(_: BudgetTable) -> contextlib.AbstractContextManager[None]:
        raise OSError("no locks available")

    with monkeypatch.context() as patch:
        patch.setattr(BudgetTable, "locked", locked)
        guard.settle(held, call(), closed_of(call()))
    assert "could not be settled" in caplog.text
    guard.close()


def test_a_session_is_let_in_without_a_trace(tmp_path: Path) -> None:
    guard = guard_in(tmp_path, limit_requests=1)
    session = call(method="GET", operation="websocket", metering=Metering.FREE)
    assert guard.may_open(session) is None
    assert guard.may_open(session) is None
    guard.charge(call(), closed_of(call()))
    refused = guard.may_open(session)
    assert refused is not None
    assert "0 of 1 requests left" in refused.reason
    guard.close()


def test_a_look_is_never_refused(tmp_path: Path) -> None:
    guard = guard_in(tmp_path, limit_requests=0)
    assert guard.admit(call(method="GET", operation="models", metering=Metering.FREE)) == ()
    assert isinstance(guard.admit(call(method="POST", metering=Metering.FREE)), Refused)
    guard.close()


def test_an_unknown_price_is_refused_or_held_by_policy(tmp_path: Path) -> None:
    seen: Mapping[str, Any] = {"refuse": None, "hold": 500}
    for policy, amount in seen.items():
        rules = rules_of(limit_usd=1, unknown_price=policy, hold_usd="500E-12")
        guard = Guard(rules, table_in(tmp_path), 0, FixedPrices(None), lambda: NOW_S)
        admitted = guard.admit(call())
        if amount is None:
            assert isinstance(admitted, Refused)
            assert "is not known" in admitted.reason
        else:
            assert not isinstance(admitted, Refused)
            assert [hold.amount for hold in admitted] == [amount]
        guard.close()


def test_two_processes_under_kill_leave_exact_sums_and_no_holds(tmp_path: Path) -> None:
    limit, rounds = 10_000_000, 8
    path = table_in(tmp_path)
    (rule_,) = rules_of(**hammer.rules(limit))
    span = span_at("month", "UTC", hammer.NOW_S)

    def start(worker: int) -> subprocess.Popen[bytes]:
        arguments = [
            sys.executable,
            "-m",
            "tests.budgets.hammer",
            str(path),
            str(worker),
            str(limit),
        ]
        return subprocess.Popen(arguments, cwd=ROOT)

    def settled(worker: int) -> int:
        log = tmp_path / f"settled-{worker}"
        return log.stat().st_size if log.exists() else 0

    workers = {0: start(0), 1: start(1)}
    kills = 0
    try:
        for turn in range(rounds):
            worker = turn % 2
            goal = settled(worker) + 50
            deadline = time.monotonic() + 30
            while settled(worker) < goal and time.monotonic() < deadline:
                time.sleep(0.005)
            assert settled(worker) >= goal  # nobody waits for a lock that a dead one had
            workers[worker].send_signal(signal.SIGKILL)
            workers[worker].wait()
            kills += 1
            workers[worker] = start(worker)
    finally:
        for process in workers.values():
            process.kill()
            process.wait()
    kills += 2
    for worker in (0, 1):  # each comes back once more, and drops what it held
        rules = rules_of(**hammer.rules(limit))
        Guard(rules, path, worker, FixedPrices(10), lambda: hammer.NOW_S).close()
    with contextlib.closing(BudgetTable(path)) as table, table.locked():
        slot = table.find(rule_.key((), span.start_s), span.end_s, hammer.NOW_S)
        assert slot is not None
        spent, held = table.standing(slot)
    noted = hammer.AMOUNT * (settled(0) + settled(1))
    assert held == 0
    # A kill may fall between settling a call and noting it.
    assert noted <= spent <= noted + kills * hammer.AMOUNT


def test_two_processes_together_never_spend_more_than_the_limit(tmp_path: Path) -> None:
    limit = 5_000
    path = table_in(tmp_path)
    (rule_,) = rules_of(**hammer.rules(limit))
    span = span_at("month", "UTC", hammer.NOW_S)
    arguments = [sys.executable, "-m", "tests.budgets.hammer", str(path)]
    workers = [
        subprocess.Popen([*arguments, str(worker), str(limit)], cwd=ROOT) for worker in (0, 1)
    ]
    try:
        with contextlib.closing(BudgetTable(path)) as table:
            deadline = time.monotonic() + 30
            spent = 0
            while spent < limit and time.monotonic() < deadline:
                with table.locked():
                    slot = table.find(rule_.key((), span.start_s), span.end_s, hammer.NOW_S)
                    assert slot is not None
                    spent, held = table.standing(slot)
                assert spent + held <= limit
                time.sleep(0.001)
            time.sleep(0.1)
            with table.locked():
                slot = table.find(rule_.key((), span.start_s), span.end_s, hammer.NOW_S)
                assert slot is not None
                assert table.standing(slot) == (limit, 0)
    finally:
        for process in workers:
            process.kill()
            process.wait()

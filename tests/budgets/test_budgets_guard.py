"""The guard: limits hold at admission, holds end at zero, sums are exact, whoever dies when."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.budgets import hammer
from tests.budgets.kit import FixedPrices, call, closed_of, rules_of, table_in

from tollbook.budgets.guard import Guard, Refused
from tollbook.budgets.seed import BaseSet, Change, apply
from tollbook.budgets.table import BudgetTable
from tollbook.budgets.window import span_at
from tollbook.call import Metering

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

NOW_S = 1_790_000_000
HOUR_S = 3600
ROOT = Path(__file__).parents[2]


def guard_in(directory: Path, **budget: Any) -> Guard:
    return Guard(rules_of(**budget), table_in(directory), "w0", FixedPrices(10), lambda: NOW_S)


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
    guard = Guard(rules, table_in(tmp_path), "w0", FixedPrices(10**25), lambda: NOW_S)
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
        guard = Guard(rules, table_in(tmp_path), "w0", FixedPrices(None), lambda: NOW_S)
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
    with contextlib.closing(BudgetTable(path)) as table:
        slot = table.look(rule_.key((), span.start_s))
        assert slot is not None
        spent, held = table.standing(slot)
        assert 0 <= held <= kills * 3 * hammer.AMOUNT
        # The ledger gives up the places of the dead; here it has booked what they had settled.
        ended = [(place, writer) for writer, place in table.claimed().items()]
        assert kills - 2 <= len(ended) <= kills  # the last two may not have begun
        change = Change([BaseSet(rule_.key((), span.start_s), span.end_s, spent)], [], ended)
        for _ in range(2):  # a second time changes nothing
            apply(table, change, hammer.NOW_S)
        assert table.claimed() == {}
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

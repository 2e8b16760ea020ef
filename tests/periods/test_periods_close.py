"""From open to closed: checks, accepted problems, approvals, the seal, and what comes after."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.periods.finance_kit import World, finance_world, usd

from tollbook.books.documents import Subject, put_document
from tollbook.books.store import open_books
from tollbook.chargeback.allocate import operations as allocate
from tollbook.chargeback.allocate.booking import ClosedError
from tollbook.chargeback.periods import operations as periods
from tollbook.chargeback.periods.errors import ChecksFailedError, NotApproverError, PeriodError
from tollbook.chargeback.reconcile.model import Cause, Difference, MoneyBasis, State
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OCTOBER = datetime(2026, 10, 12, 8, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 3, 8, tzinfo=UTC)
POLICY = {"rules": [
    {"name": "rest", "source": {"unattributed": True}, "method": {"type": "proportional"}},
]}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with finance_world(tmp_path) as made:
        yield made


@pytest.fixture
def charged(tmp_path: Path) -> Iterator[World]:
    """In chargeback, with three who may approve and two that are needed."""
    finance: dict[str, Any] = {
        "mode": "chargeback", "approvers": ["ada", "bob", "cy"], "approvals_needed": 2,
    }  # fmt: skip
    with finance_world(tmp_path, **finance) as made:
        yield made


def ready(world: World) -> None:
    """A month that passes every check up to reconciled."""
    world.charge(OCTOBER, usd("30"), tenant="acme")
    world.charge(OCTOBER, usd("10"), tenant="globex")
    world.charge(OCTOBER, usd("5"))
    world.read_up_to(NOVEMBER)
    world.invoice(OCTOBER, "openai", usd("45"))
    world.reconciled("2026-10", "openai")


def advance(world: World, *, period: str = "2026-10") -> None:
    world.ask(periods.STEP, period=period, to="reconciled")
    world.ask(allocate.IMPORT_POLICY, body=POLICY, effective_from="2026-01", reason="agreed")
    world.ask(allocate.RUN, period=period)
    world.ask(periods.STEP, period=period, to="allocated")


def closed(world: World) -> dict[str, Any]:
    ready(world)
    advance(world)
    answer: dict[str, Any] = world.ask(periods.SEAL, period="2026-10")
    return answer


def failing(world: World, **asked: Any) -> dict[str, str]:
    rows = world.ask(periods.CHECK, period="2026-10", **asked)["rows"]
    return {row["check"]: row["problem"] for row in rows if row["result"] == "failed"}


def test_a_month_is_closed_and_shows_so(world: World) -> None:
    answer = closed(world)
    assert (answer["state"], answer["approvals_needed"]) == ("closed", 0)
    rows = {row["period"]: row for row in world.ask(periods.STATUS)["rows"]}
    row = rows["2026-10"]
    assert (row["state"], row["calls"], row["cost_usd"]) == ("closed", 3, "45.000000000000")
    assert (row["closed_by"], row["seal"]) == ("ada", answer["seal"])
    assert row["mode"] == "showback"
    found = world.ask(periods.VERIFY, period="2026-10")
    assert (found["rows"], found["came_later_calls"]) == ([], 0)
    told = [event["what"] for event in world.ask(periods.HISTORY, period="2026-10")["rows"]]
    assert told == ["step", "step", "sealed", "closed"]


def test_what_comes_later_is_in_the_open_month_and_changes_nothing(world: World) -> None:
    closed(world)
    before = world.total("tenant", period="2026-10")
    world.charge(OCTOBER, usd("7"), tenant="acme")
    world.charge(NOVEMBER, usd("1"), tenant="acme")
    true_up = Adjustment(
        adjustment=AdjustmentType.TRUE_UP, at_ns=int(OCTOBER.timestamp()) * 10**9, cost=usd("-2"),
        provider="openai", billing_period="2026-10", reason="a credit that came late",
    )  # fmt: skip
    book_adjustments(world.store, "late", [true_up])
    assert world.total("tenant", period="2026-10") == before
    assert world.total("tenant", "month", period="2026-11") == {
        ("acme", datetime(2026, 10, 1)): usd("7"),  # noqa: DTZ001 -- a local month
        ("acme", datetime(2026, 11, 1)): usd("1"),  # noqa: DTZ001 -- as above
        (None, datetime(2026, 10, 1)): usd("-2"),  # noqa: DTZ001 -- as above
    }
    found = world.ask(periods.VERIFY, period="2026-10")
    assert found["rows"] == []
    assert found["as_billed_usd"] == "45.000000000000"
    assert found["as_known_now_usd"] == "50.000000000000"
    assert (found["came_later_usd"], found["came_later_calls"]) == ("5.000000000000", 1)
    balance = world.ask(periods.TRIAL_BALANCE, period="2026-11")
    assert {row["account"]: row["credit_usd"] for row in balance["rows"]} == {
        "cost:acme": "0.000000000000", "cost:unknown": "2.000000000000",
        "accrual:openai": "1.000000000000", "prior:openai": "5.000000000000",
    }  # fmt: skip
    assert balance["difference_usd"] == "0.000000000000"
    # One that names the open month and is dated in this one is of this one, as reports have it.
    named = msgspec.structs.replace(true_up, billing_period="2026-11")
    book_adjustments(world.store, "named", [named])
    assert world.total("tenant", period="2026-10") == before
    found = world.ask(periods.VERIFY, period="2026-10")
    assert (found["as_known_now_usd"], found["came_later_usd"]) == (
        "48.000000000000", "3.000000000000"
    )  # fmt: skip


def test_a_true_up_of_a_closed_month_is_no_variance_of_the_open_one(world: World) -> None:
    closed(world)
    world.charge(OCTOBER, usd("7"), tenant="acme")
    world.charge(NOVEMBER, usd("2"), tenant="acme")
    true_up = Adjustment(
        adjustment=AdjustmentType.TRUE_UP, at_ns=int(OCTOBER.timestamp()) * 10**9, cost=usd("-7"),
        provider="openai", billing_period="2026-11", corrects="2026-10", reason="billed before",
    )  # fmt: skip
    book_adjustments(world.store, "late", [true_up])
    world.invoice(NOVEMBER, "openai", usd("2"))
    balance = world.ask(periods.TRIAL_BALANCE, period="2026-11")
    assert [row["account"].partition(":")[0] for row in balance["rows"]] == [
        "cost", "cost", "payable",
    ]  # fmt: skip
    assert balance["totals"]["debit_usd"] == balance["totals"]["credit_usd"] == "9.000000000000"


def test_nothing_can_be_done_to_a_closed_month(world: World) -> None:
    closed(world)
    with pytest.raises(PeriodError, match="2026-10: is closed; what comes later is booked"):
        world.ask(periods.STEP, period="2026-10", to="open", reason="please")
    with pytest.raises(PeriodError, match="is closed"):
        world.ask(periods.SEAL, period="2026-10")
    with pytest.raises(ClosedError, match="2026-10 is closed and stays as it is"):
        world.ask(allocate.RUN, period="2026-10")
    with pytest.raises(ClosedError):
        world.ask(allocate.COST, period="2026-10", name="gateway", amount="1")


def test_steps_are_taken_one_by_one(world: World) -> None:
    ready(world)
    with pytest.raises(PeriodError, match="is open; the next step is reconciled"):
        world.ask(periods.STEP, period="2026-10", to="allocated")
    with pytest.raises(PeriodError, match="is open; it is sealed when it is allocated"):
        world.ask(periods.SEAL, period="2026-10")
    world.ask(periods.STEP, period="2026-10", to="reconciled")
    with pytest.raises(PeriodError, match="going back from reconciled to open needs a reason"):
        world.ask(periods.STEP, period="2026-10", to="open")
    answer = world.ask(periods.STEP, period="2026-10", to="open", reason="a new invoice")
    assert answer["state"] == "open"


def test_what_stands_in_the_way_of_reconciled(world: World) -> None:
    world.charge(OCTOBER, usd("3"), tenant="acme")
    world.charge(OCTOBER, None, tenant="acme", provider="azure")
    world.charge(OCTOBER, usd("1"), tenant="acme", provider="azure")
    assert failing(world) == {
        "spool-read": "it is not known how far the spool was read",
        "priced": "calls of unknown cost: 1 unpriced; at most 0 may be",
        "invoice:azure": "1.000000000000 USD and no invoice of azure",
        "reconciled:azure": "azure was not reconciled; see tollbook reconcile run",
        "invoice:openai": "3.000000000000 USD and no invoice of openai",
        "reconciled:openai": "openai was not reconciled; see tollbook reconcile run",
    }
    world.read_up_to(OCTOBER)
    world.reconciled("2026-10", "azure", basis=MoneyBasis.COST)
    unexplained = Difference(
        fingerprint="f1", cause=Cause.UNEXPLAINED, provider="openai", period="2026-10",
        amount=usd("-0.75"), since_ns=0, until_ns=1,
    )  # fmt: skip
    world.reconciled("2026-10", "openai", differences=(unexplained,), tolerance=usd("0.5"))
    found = failing(world)
    assert found["spool-read"] == "the spool was not read up to the end of 2026-10"
    assert found["reconciled:azure"] == "azure was reconciled with cost, not with its invoice"
    assert found["reconciled:openai"] == (
        "0.750000000000 USD of openai are unexplained; 0.500000000000 may be"
    )
    with pytest.raises(ChecksFailedError, match="2026-10 cannot be reconciled: spool-read: the"):
        world.ask(periods.STEP, period="2026-10", to="reconciled")


def test_a_month_that_is_not_over_stays_open(world: World) -> None:
    world.charge(datetime(2099, 5, 3, tzinfo=UTC), usd("1"))
    rows = world.ask(periods.CHECK, period="2099-05")["rows"]
    assert [row["problem"] for row in rows if row["check"] == "month-over"] == [
        "2099-05 is not over yet"
    ]


def test_an_approver_may_accept_a_problem_as_long_as_it_is_that_one(charged: World) -> None:
    ready(charged)
    charged.charge(OCTOBER, None, tenant="acme")
    with pytest.raises(NotApproverError, match="'mallory' is not among"):
        charged.ask(periods.ACCEPT, "mallory", period="2026-10", check="priced", reason="x")
    with pytest.raises(PeriodError, match="no check 'prices' fails; failing: "):
        charged.ask(periods.ACCEPT, period="2026-10", check="prices", reason="x")
    with pytest.raises(PeriodError, match="needs a reason"):
        charged.ask(periods.ACCEPT, period="2026-10", check="priced", reason=" ")
    answer = charged.ask(periods.ACCEPT, period="2026-10", check="priced", reason="a preview model")
    assert answer["rows"][0]["result"] == "accepted"
    assert "priced" not in failing(charged)
    charged.charge(OCTOBER, None, tenant="acme")
    assert failing(charged) == {"priced": "calls of unknown cost: 2 unpriced; at most 0 may be"}


def test_what_stands_in_the_way_of_allocated(world: World) -> None:
    ready(world)
    world.charge(OCTOBER, usd("0.25"), tenant="acme")
    world.ask(periods.STEP, period="2026-10", to="reconciled")
    world.ask(allocate.IMPORT_POLICY, body=POLICY, effective_from="2026-01", reason="agreed")
    assert failing(world) == {
        "trued-up:openai": "-0.250000000000 USD of openai's invoice are in no entry; "
        "see tollbook reconcile true-up",
        "allocated": "default was not run; see tollbook allocate run",
    }
    world.reconciled("2026-10", "openai", tolerance=usd("0.25"), state=State.OPEN)
    world.ask(allocate.RUN, period="2026-10")
    assert failing(world) == {}
    world.charge(OCTOBER, usd("0.000001"))
    world.reconciled("2026-10", "openai", tolerance=usd("1"))
    assert failing(world) == {
        "allocated": "allocation_policy/default/1 would move 0.000001000000 USD otherwise now; "
        "run it again"
    }


def test_months_close_in_order(world: World) -> None:
    ready(world)
    world.charge(datetime(2026, 8, 3, tzinfo=UTC), usd("1"), tenant="acme")
    advance(world)
    problem = "2026-08: has entries and is open; it is closed before"
    assert failing(world) == {"previous-closed": problem}
    with pytest.raises(ChecksFailedError, match="cannot be closed: previous-closed"):
        world.ask(periods.SEAL, period="2026-10")
    world.ask(periods.ACCEPT, period="2026-10", check="previous-closed", reason="before our time")
    world.ask(periods.SEAL, period="2026-10")
    states = {row["period"]: row["state"] for row in world.ask(periods.STATUS)["rows"]}
    assert (states["2026-08"], states["2026-10"]) == ("closed", "closed")
    world.charge(datetime(2026, 8, 4, tzinfo=UTC), usd("2"), tenant="acme")
    assert world.total(period="2026-08") == {(): usd("1")}
    assert world.total(period="2026-11") == {(): usd("2")}


def test_two_others_approve_what_was_sealed(charged: World) -> None:
    ready(charged)
    advance(charged)
    with pytest.raises(PeriodError, match="is not sealed yet"):
        charged.ask(periods.APPROVE, period="2026-10")
    sealed = charged.ask(periods.SEAL, period="2026-10")
    assert (sealed["state"], sealed["approvals_needed"]) == ("allocated", 2)
    with pytest.raises(PeriodError, match="ada has prepared the seal; another has to approve"):
        charged.ask(periods.APPROVE, period="2026-10")
    with pytest.raises(NotApproverError):
        charged.ask(periods.APPROVE, "mallory", period="2026-10")
    with pytest.raises(PeriodError, match="the seal to approve is"):
        charged.ask(periods.APPROVE, "bob", period="2026-10", seal="0000")
    # A call that comes while it is being approved is in the next month.
    charged.charge(OCTOBER, usd("9"), tenant="acme")
    assert charged.ask(periods.APPROVE, "bob", period="2026-10")["approvals_needed"] == 1
    with pytest.raises(PeriodError, match="bob has approved it already"):
        charged.ask(periods.APPROVE, "bob", period="2026-10")
    done = charged.ask(periods.APPROVE, "cy", period="2026-10", seal=sealed["seal"][:8])
    assert (done["state"], done["approved_by"]) == ("closed", ["bob", "cy"])
    assert charged.total(period="2026-10") == {(): usd("45")}
    assert charged.total(period="2026-11") == {(): usd("9")}


def test_an_approval_is_of_what_was_sealed(charged: World) -> None:
    ready(charged)
    advance(charged)
    charged.ask(periods.SEAL, period="2026-10")
    charged.ask(allocate.IMPORT_POLICY, body={"rules": []}, effective_from="2026-10", reason="new")
    with pytest.raises(
        PeriodError,
        match=r"changed since it was sealed \(documents allocation_policy/default/2: was",
    ):
        charged.ask(periods.APPROVE, "bob", period="2026-10")
    charged.ask(periods.STEP, period="2026-10", to="reconciled", reason="another policy")
    with pytest.raises(PeriodError, match="is not sealed yet"):
        charged.ask(periods.APPROVE, "bob", period="2026-10")


def test_an_approval_that_a_step_back_has_voided_stays_void(charged: World) -> None:
    ready(charged)
    advance(charged)
    first = charged.ask(periods.SEAL, period="2026-10")
    charged.ask(periods.APPROVE, "bob", period="2026-10")
    charged.ask(periods.STEP, "cy", period="2026-10", to="reconciled", reason="look again")
    charged.ask(periods.STEP, period="2026-10", to="allocated")
    again = charged.ask(periods.SEAL, "bob", period="2026-10")
    # Nothing has changed, so it is the same seal; it is bob now who may not approve it.
    assert again["seal"] == first["seal"]
    assert (again["approved_by"], again["approvals_needed"]) == ([], 2)
    with pytest.raises(PeriodError, match="bob has prepared the seal"):
        charged.ask(periods.APPROVE, "bob", period="2026-10")
    assert charged.ask(periods.APPROVE, "ada", period="2026-10")["approved_by"] == ["ada"]
    done = charged.ask(periods.APPROVE, "cy", period="2026-10")
    assert (done["state"], done["approved_by"]) == ("closed", ["ada", "cy"])


def test_verify_says_what_was_changed(world: World) -> None:
    closed(world)
    with world.store.transaction() as connection:
        connection.execute("UPDATE entries SET tenant_id = 'mallory' WHERE entry_id = 1")
    assert world.ask(periods.VERIFY, period="2026-10")["rows"] == [
        {"part": "entries", "name": "of 2026-10-12",
         "problem": "as many and as dear, and not the same"}
    ]  # fmt: skip
    with world.store.transaction() as connection:
        connection.execute("DELETE FROM entries WHERE entry_id = 1")
        connection.execute("UPDATE batches SET hash = 'x' WHERE batch_id = 4")
    problems = [row["problem"] for row in world.ask(periods.VERIFY, period="2026-10")["rows"]]
    assert problems == [
        "the chain of hashes up to the last entry is another",
        "3 of 45.000000000000 USD were sealed, there are 2 of 15.000000000000 USD",
    ]


def test_what_is_decided_after_the_close_changes_no_seal(world: World) -> None:
    closed(world)
    put_document(
        world.books, Subject.ALLOCATION_POLICY, "default", '{"rules":[]}',
        effective_from_ns=0, reason="from now on",
    )  # fmt: skip
    world.invoice(OCTOBER, "azure", usd("3"))
    world.reconciled("2026-10", "openai")
    assert world.ask(periods.VERIFY, period="2026-10")["rows"] == []


def test_a_seal_names_the_one_before(world: World) -> None:
    first = closed(world)
    world.charge(NOVEMBER, usd("1"), tenant="acme")
    world.invoice(NOVEMBER, "openai", usd("1"))
    world.reconciled("2026-11", "openai")
    world.read_up_to(datetime(2026, 12, 2, tzinfo=UTC))
    for row in world.ask(periods.CHECK, period="2026-11", step="closed")["rows"]:
        if row["check"] == "month-over" and row["problem"]:
            world.ask(periods.ACCEPT, period="2026-11", check="month-over", reason="a test")
    world.ask(periods.STEP, period="2026-11", to="reconciled")
    world.ask(allocate.RUN, period="2026-11")
    world.ask(periods.STEP, period="2026-11", to="allocated")
    world.ask(periods.SEAL, period="2026-11")
    assert world.ask(periods.VERIFY, period="2026-11")["rows"] == []
    with world.books.read() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM period_seals ORDER BY prepared_at_ns")
        bodies = [row[0] for row in rows]
    assert f'"previous":"{first["seal"]}"' in bodies[1]


def test_the_books_of_periods_cannot_be_changed(world: World) -> None:
    closed(world)
    world.books.close()
    for table in ("period_events", "period_seals", "period_closes", "allocation_runs"):
        for sql in (f"DELETE FROM {table}", f"UPDATE {table} SET period = 'x'"):
            with (
                open_books(world.root) as books,
                pytest.raises(Exception, match="append-only"),
                books.write() as connection,
            ):
                connection.exec_driver_sql(sql)


def test_a_month_that_was_never_closed_has_no_seal(world: World) -> None:
    with pytest.raises(PeriodError, match="2026-10: was not closed, so there is no seal"):
        world.ask(periods.VERIFY, period="2026-10")

"""A policy over a ledger: booked once, and again only as the difference."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.periods.finance_kit import World, usd

from tollbook.books.documents import Subject, put_document
from tollbook.chargeback.allocate import operations
from tollbook.chargeback.allocate.compute import NoModelError, NoPolicyError
from tollbook.chargeback.allocate.metrics import MetricError
from tollbook.chargeback.allocate.shelf import newest_allocation
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments

if TYPE_CHECKING:
    from tollbook.chargeback.allocate.shelf import AllocationLine
    from tollbook.desk import Desk

OCTOBER = datetime(2026, 10, 12, 8, tzinfo=UTC)
RULES: list[dict[str, Any]] = [
    {"name": "gateway", "source": {"where": ["adjustment=fee", "feature=gateway"]},
     "method": {"type": "metric", "metric": "calls"}},
    {"name": "idle", "source": {"where": ["adjustment=idle_commitment"]},
     "method": {"type": "proportional", "where": ["provider=azure"]}},
    {"name": "rest", "source": {"unattributed": True}, "method": {"type": "proportional"}},
]  # fmt: skip


def fill(world: World) -> None:
    world.charge(OCTOBER, usd("30"), tenant="acme", feature="chat", calls=3)
    world.charge(OCTOBER, usd("10"), tenant="globex", provider="azure", calls=1)
    world.charge(OCTOBER, usd("7.000000000001"))
    world.charge(OCTOBER, usd("0.5"), provider="azure", feature="search")
    idle = Adjustment(
        adjustment=AdjustmentType.IDLE_COMMITMENT, at_ns=int(OCTOBER.timestamp()) * 10**9,
        cost=usd("4"), provider="azure", reason="idle",
    )  # fmt: skip
    book_adjustments(world.store, "terms:1", [idle])


def policy(world: World, rules: list[dict[str, Any]] = RULES, **more: Any) -> None:
    world.ask(
        operations.IMPORT_POLICY, body={"rules": rules, **more}, effective_from="2026-01",
        reason="agreed with finance",
    )  # fmt: skip


def test_shared_cost_finds_its_owners_and_nothing_else_changes(world: World) -> None:
    fill(world)
    policy(world)
    world.ask(operations.COST, period="2026-10", name="gateway", amount="12")
    before, by_provider = world.total(period="2026-10"), world.total("provider", period="2026-10")
    preview = world.ask(operations.PREVIEW, period="2026-10")
    assert world.total(period="2026-10") == before
    answer = world.ask(operations.RUN, period="2026-10")
    assert (answer["rows"], answer["problems"]) == (preview["rows"], [])
    assert world.total(period="2026-10") == before
    assert world.total("provider", period="2026-10") == by_provider
    after = world.total("tenant", period="2026-10")
    # gateway 9 + 3 by calls, idle 4 to the one user of azure, 7.5 by the direct 30 to 10
    assert after == {
        ("acme",): usd("30") + usd("9") + usd("5.250000000001") + usd("0.375"),
        ("globex",): usd("10") + usd("3") + usd("4") + usd("1.75") + usd("0.125"),
    }
    owners = {row["tenant"]: row for row in answer["owners"]}
    assert owners["unknown"]["after_usd"] == "0.000000000000"
    assert owners["acme"]["after_usd"] == "44.625000000001"


def test_the_same_again_books_nothing_and_more_calls_only_the_difference(world: World) -> None:
    fill(world)
    policy(world)
    first = world.ask(operations.RUN, period="2026-10")
    again = world.ask(operations.RUN, period="2026-10")
    assert (again["run_id"], again["booked"]) == (first["run_id"], 0)
    world.charge(OCTOBER, usd("2"))
    second = world.ask(operations.RUN, period="2026-10")
    assert second["run_id"] == "allocation:2026-10:2"
    # One origin and two receivers of openai; the rows tell the whole result all the same.
    assert second["booked"] == 3
    assert (None,) not in world.total("tenant", period="2026-10")
    whole = newest_allocation(world.books, "2026-10")
    assert whole is not None
    entries = world.total("tenant", "provider", "adjustment", period="2026-10")
    sums: dict[tuple[str | None, str | None, str], int] = defaultdict(int)
    for line in whole.lines:
        sums[line.tenant, line.provider, "allocation"] += line.amount
    assert {key: cost for key, cost in entries.items() if key[2] == "allocation"} == sums


def test_another_version_takes_the_old_one_back(world: World) -> None:
    fill(world)
    policy(world)
    world.ask(operations.RUN, period="2026-10")
    policy(world, [RULES[2] | {"method": {"type": "even"}}])
    diff = world.ask(operations.DIFF, period="2026-10", version=1)
    assert (diff["left"], diff["right"]) == (
        "allocation_policy/default/1", "allocation_policy/default/2",
    )  # fmt: skip
    assert sum(Decimal(row["change_usd"]) for row in diff["rows"]) == 0
    world.ask(operations.RUN, period="2026-10")
    # Idle commitment has no owner either, so the one rule that is left takes it too.
    half = (usd("7.000000000001") + usd("4.5")) // 2
    assert world.total("tenant", period="2026-10") == {
        ("acme",): usd("30") + half + 1, ("globex",): usd("10") + half,
    }  # fmt: skip
    shown = world.ask(operations.SHOW, period="2026-10")
    assert [one["policy"] for one in shown["runs"]] == [diff["left"], diff["right"]]


def test_ratios_of_each_pool_add_up_for_split_allocation(world: World) -> None:
    fill(world)
    world.charge(OCTOBER, usd("1"), tenant="initech")
    policy(world, keep=["provider", "model"])
    world.ask(operations.RUN, period="2026-10")
    made = newest_allocation(world.books, "2026-10")
    assert made is not None
    pools: dict[Any, list[AllocationLine]] = defaultdict(list)
    for line in made.lines:
        pools[line.rule, line.provider, line.model].append(line)
    assert len(pools) == 3
    for lines in pools.values():
        assert sum(line.amount for line in lines) == 0
        assert sum(Decimal(line.ratio) for line in lines if line.ratio is not None) == 1
    assert made.method_id("rest") == "allocation_policy/default/1#rest"
    spread = [line for line in made.lines if line.rule == "rest" and line.role == "share"]
    assert {(line.unit, line.quantity) for line in spread} == {
        ("USD", "30"), ("USD", "10"), ("USD", "1"),
    }  # fmt: skip


def test_seats_come_from_a_file(world: World) -> None:
    fill(world)
    text = "tenant,date,quantity\nacme,2026-09-01,1\nglobex,2026-10-20,3\nglobex,2026-11-01,99\n"
    world.ask(operations.IMPORT_METRIC, name="seats", csv=text, unit="seats", reason="licences")
    policy(world, [RULES[2] | {"method": {"type": "metric", "metric": "seats"}}])
    answer = world.ask(operations.RUN, period="2026-10")
    moved = {row["tenant"]: row["cost_usd"] for row in answer["owners"] for row in [
        {"tenant": row["tenant"], "cost_usd": row["moved_usd"]}]}  # fmt: skip
    assert moved["acme"] == "2.875000000000"
    assert moved["globex"] == "8.625000000001"
    made = newest_allocation(world.books, "2026-10")
    assert made is not None
    assert made.documents == ["allocation_policy/default/1", "metric/seats/1"]


def test_a_metric_that_does_not_exist_stops_the_run(world: World) -> None:
    fill(world)
    policy(world, [RULES[2] | {"method": {"type": "metric", "metric": "desks"}}])
    with pytest.raises(MetricError, match="'desks': is not known; import it with"):
        world.ask(operations.RUN, period="2026-10")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tenant,quantity\nacme,1", "expected the columns owner, date and quantity"),
        ("owner,date,quantity\nacme,2026-13-01,1", "line 2: the date is not like"),
        ("owner,date,quantity\nacme,2026-10-01,-1", "line 2: the quantity is not"),
        ("owner,date,quantity\nacme,2026-10-01,1\nacme,2026-10-01,2", "line 3: acme has 2026"),
        ("owner,date,quantity\n,2026-10-01,1", "line 2: the owner is empty"),
        ("owner,date,quantity\nacme,2026-10-01,1,2", "line 2: expected 3 cells"),
    ],
)
def test_a_wrong_metric_file_is_told_by_its_line(world: World, text: str, problem: str) -> None:
    with pytest.raises(MetricError, match=problem):
        world.ask(operations.IMPORT_METRIC, name="seats", csv=text, reason="x")


def test_an_attribution_model_may_say_who_bears_it(world: World) -> None:
    fill(world)
    policy(world, [RULES[2] | {"method": {"type": "model", "model": "by-calls"}}])
    with pytest.raises(NoModelError, match="'by-calls' is not in force in the period"):
        world.ask(operations.RUN, period="2026-10")
    put_document(
        world.books, Subject.ATTRIBUTION_MODEL, "by-calls",
        '{"method": {"type": "calls"}, "pools": []}', effective_from_ns=0, reason="tried",
    )  # fmt: skip
    answer = world.ask(operations.RUN, period="2026-10")
    moved = {row["tenant"]: Decimal(row["moved_usd"]) for row in answer["owners"]}
    # 11.5 without an owner, by 3 calls to 1
    assert moved == {
        "acme": Decimal("8.625000000001"), "globex": Decimal("2.875000000000"),
        "unknown": Decimal("-11.500000000001"),
    }  # fmt: skip


def test_entering_a_cost_again_books_the_difference(world: World) -> None:
    for amount, rows in (("1200", 1), ("1300.5", 2), ("1300.5", 2), ("0", 3)):
        answer = world.ask(operations.COST, period="2026-10", name="gateway", amount=amount)
        entries = world.reader.fetch("SELECT count(*) FROM entries WHERE adjustment = 'fee'")
        assert entries == [(rows,)]
    assert (answer["rows"], answer["before_usd"]) == ([], "1300.500000000000")
    world.ask(operations.COST, period="2026-10", name="gateway", amount="5")
    world.ask(operations.COST, period="2026-10", name="gateway", amount="6", owner="ops")
    answer = world.ask(operations.COSTS, period="2026-10")
    assert answer["rows"] == [{"name": "gateway", "owner": "ops", "cost_usd": "6.000000000000"}]


def test_without_a_policy_it_is_said_what_to_do(world: World) -> None:
    with pytest.raises(NoPolicyError, match="import one with tollbook allocate policy import"):
        world.ask(operations.RUN, period="2026-10")


def test_a_policy_holds_from_its_month_on(world: World) -> None:
    fill(world)
    policy(world)
    world.ask(operations.IMPORT_POLICY, body={"rules": []}, effective_from="2026-11", reason="stop")
    assert world.ask(operations.PREVIEW, period="2026-10")["policy"].endswith("/1")
    assert world.ask(operations.PREVIEW, period="2026-11")["policy"].endswith("/2")


def test_a_crash_between_ledger_and_books_is_healed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(world)
    policy(world)
    made = world.ask(operations.RUN, period="2026-10")
    world.charge(OCTOBER, usd("2"))
    # The books say that the run was made, and the ledger did not get to commit it.
    monkeypatch.setattr("tollbook.chargeback.allocate.booking.book_adjustments", lambda *_: 0)
    lost = world.ask(operations.RUN, period="2026-10")
    monkeypatch.undo()
    assert lost["run_id"] != made["run_id"]
    assert (None,) in world.total("tenant", period="2026-10")
    healed = world.ask(operations.RUN, period="2026-10")
    assert healed["booked"] == 3
    assert (None,) not in world.total("tenant", period="2026-10")


def test_reading_needs_no_writer(world: World) -> None:
    fill(world)
    policy(world)
    desk: Desk = world.desk()._replace(writer=None)
    answer = operations.preview(desk, operations.WhichPolicy(period="2026-10"))
    assert answer["rows"]

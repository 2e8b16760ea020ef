"""Calls of several parts, batches, retries and cached answers in reports, listings and explain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook import ids
from tollbook.reports.calls import CallsQuery, run_calls
from tollbook.reports.explain import explain_call
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.spend import SpendReport, run_spend

if TYPE_CHECKING:
    from collections.abc import Sequence

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
L = Any


def spend(ledger: L, *by: str, measures: Sequence[str] = (), **where: str) -> SpendReport:
    query = SpendQuery(
        since=AT, until=AT + timedelta(days=1), by=by,
        where=tuple(Filter(name, (value,)) for name, value in where.items()),
        measures=tuple(measures) or ("calls", "operations", "input_tokens", "cost_usd"),
    )  # fmt: skip
    return run_spend(ledger.reader, query)


def call_of_parts(ledger: L, *costs: Decimal | None, **fields: Any) -> bytes:
    """Add a call with as many parts as costs; each of 10 input tokens and a model of its own."""
    call_id = ids.new_id()
    for part, cost in enumerate(costs):
        one = {
            "call_id": call_id, "part": part, "calls": 0 if part else 1, "cost_usd": cost,
            "uncached_input_tokens": 10, "requests": 0 if part else 1, "model_actual": f"m-{part}",
            "part_label": f"pass {part}" if part else None,
            "price_state": "unpriced" if cost is None else "priced",
        }  # fmt: skip
        ledger.add(ledger.entry(AT, **(one | fields)))
    return call_id


def test_parts_add_to_their_own_model_and_count_no_call(memory_ledger: L) -> None:
    call_of_parts(memory_ledger, Decimal(1), Decimal(2), Decimal(4))
    rows = spend(memory_ledger, "model").rows
    assert [(row["model"], row["calls"], row["cost_usd"]) for row in rows] == [
        ("m-2", 0, "4.000000000000"), ("m-1", 0, "2.000000000000"), ("m-0", 1, "1.000000000000"),
    ]  # fmt: skip
    (total,) = spend(memory_ledger).rows
    assert total == {
        "calls": 1, "operations": 1, "input_tokens": 30, "cost_usd": "7.000000000000",
    }  # fmt: skip


def test_a_part_without_a_price_is_never_overlooked(memory_ledger: L) -> None:
    call_of_parts(memory_ledger, Decimal(1), None)
    report = spend(memory_ledger, "model")
    assert report.completeness.unpriced.calls == 1
    assert report.completeness.unpriced.cost_usd is None
    assert report.completeness.unattributed.calls == 1
    assert {row["model"]: row["cost_usd"] for row in report.rows} == {
        "m-0": "1.000000000000", "m-1": None,
    }  # fmt: skip


def test_calls_are_listed_once_with_all_their_parts(memory_ledger: L) -> None:
    call_of_parts(memory_ledger, Decimal(1), Decimal(2))
    call_of_parts(memory_ledger, Decimal(3))
    call_of_parts(memory_ledger, Decimal(5), None)
    query = CallsQuery(since=AT, until=AT + timedelta(days=1))
    listed = run_calls(memory_ledger.reader, query)
    shown = [(row["parts"], row["input_tokens"], row["cost_usd"]) for row in listed.rows]
    assert shown == [
        (2, 20, None), (1, 10, "3.000000000000"), (2, 20, "3.000000000000"),
    ]  # fmt: skip
    assert listed.totals["calls"] == 3


def test_explain_tells_each_part_and_the_difference_to_the_providers_figure(
    memory_ledger: L,
) -> None:
    call_id = call_of_parts(
        memory_ledger, Decimal(1), Decimal(2), region="eu", price_tier="batch",
        cost_source="provider", asked='{"n":2}',
    )  # fmt: skip
    told = explain_call(memory_ledger.reader, ids.to_text(call_id), lambda _: None)
    assert told.net_cost_usd == "3.000000000000"
    assert (told.what["region"], told.what["asked"]) == ("eu", '{"n":2}')
    assert (told.price.tier, told.price.cost_source, told.price.cost_usd) == (
        "batch", "provider", "1.000000000000",
    )  # fmt: skip
    (part,) = told.parts
    assert (part.part, part.label, part.model) == (1, "pass 1", "m-1")
    assert part.kinds == {"uncached_input_tokens": 10}
    assert part.price.cost_usd == "2.000000000000"
    assert told.reported_cost_usd is None
    assert told.ours_less_reported_usd is None


def test_operations_are_what_users_asked_for(memory_ledger: L) -> None:
    first = ids.new_id()
    ledger = memory_ledger
    ledger.add(ledger.entry(AT, call_id=first, operation_id=None, status="error"))
    ledger.add(ledger.entry(AT, operation_id=first, retry_of=first, fallback_from="openai/m"))
    (row,) = spend(ledger, measures=("calls", "operations", "errors")).rows
    assert row == {"calls": 2, "operations": 1, "errors": 1}
    (one,) = spend(ledger, "operation_id").rows
    assert (one["operation_id"], one["calls"]) == (ids.to_text(first), 2)
    assert spend(ledger, fallback_from="openai/m").rows[0]["calls"] == 1


def test_batches_regions_tiers_and_savings_are_dimensions_and_measures(memory_ledger: L) -> None:
    ledger = memory_ledger
    ledger.add(
        ledger.entry(AT, provider_batch_id="b1", custom_id="1", price_tier="batch", region="eu"),
        ledger.entry(AT, reported_cost_usd=Decimal("0.5"), cost_source="card", route="fast"),
        ledger.entry(
            AT, price_state="cached", cost_usd=Decimal(0), saved_cost_usd=Decimal("0.25")
        ),
    )  # fmt: skip
    rows = spend(ledger, "is_batch").rows
    assert {row["is_batch"]: row["calls"] for row in rows} == {"true": 1, "false": 2}
    for name, value in (
        ("batch_id", "b1"), ("custom_id", "1"), ("price_tier", "batch"), ("region", "eu"),
        ("route", "fast"), ("cost_source", "card"), ("price_state", "cached"), ("is_batch", "true"),
    ):  # fmt: skip
        assert spend(ledger, **{name: value}).rows[0]["calls"] == 1, name
    (row,) = spend(ledger, measures=("reported_cost_usd", "saved_cost_usd")).rows
    assert row == {"reported_cost_usd": "0.500000000000", "saved_cost_usd": "0.250000000000"}
    assert spend(ledger, measures=("saved_cost_usd",), is_batch="true").rows == [
        {"saved_cost_usd": None}
    ]


_COSTS = st.lists(st.none() | st.integers(0, 10**15), min_size=1, max_size=4)


@settings(deadline=None, max_examples=25)
@given(st.lists(_COSTS, max_size=5))
def test_the_parts_of_calls_sum_to_the_calls(
    shared_ledger: L, calls: list[list[int | None]]
) -> None:
    shared_ledger.clear()
    for costs in calls:
        call_of_parts(
            shared_ledger, *(None if one is None else Decimal(one).scaleb(-12) for one in costs)
        )
    report = spend(shared_ledger, "model")
    known = sum(one for costs in calls for one in costs if one is not None)
    assert sum(row["calls"] for row in report.rows) == len(calls)
    if known:
        assert Decimal(str(report.totals["cost_usd"])) == Decimal(known).scaleb(-12)
    assert report.completeness.unpriced.calls == sum(costs.count(None) for costs in calls)

"""What the other insights say of ledgers whose answer can be worked out by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.insights.insights_kit import NOW

from tollbook import ids
from tollbook.books.documents import Subject, put_document
from tollbook.money import pico_from_usd
from tollbook.reports.errors import UnknownNameError
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tests.insights.insights_kit import World

AT = NOW - timedelta(days=2)


def _usd(text: str) -> Decimal:
    return Decimal(text)


def test_units_have_nearest_rank_quantiles_and_the_range_before(world: World) -> None:
    world.add(
        *(
            world.entry(AT, request_id=f"r{at}", feature="chat", cost_usd=_usd(str(at)))
            for at in range(1, 101)
        ),
        world.entry(AT, request_id="r100", feature="chat", cost_usd=_usd("1")),
        world.entry(AT - timedelta(days=30), request_id="old", feature="chat", cost_usd=_usd("25")),
        world.entry(AT, feature="chat", cost_usd=_usd("9")),
    )
    (row,) = world.ask("units")["rows"]
    assert (row["units"], row["p50_usd"][:3], row["p99_usd"][:3]) == (100, "50.", "99.")
    assert row["largest_usd"] == "101.000000000000"
    assert row["cost_per_unit_usd"] == "50.510000000000"
    assert row["before_per_unit_usd"] == "25.000000000000"
    with pytest.raises(UnknownNameError, match="metric:NAME"):
        world.ask("units", unit="ticket")


def test_cost_per_resolved_ticket(world: World) -> None:
    rows = [["acme", "2026-11-01", "3"], ["acme", "2026-11-20", "1"], ["acme", "2026-12-01", "99"],
            ["globex", "2026-11-02", "0"]]  # fmt: skip
    body = {"rows": rows, "unit": "tickets", "aggregate": "sum"}
    put_document(
        world.books, Subject.METRIC, "resolved", msgspec.json.encode(body).decode(),
        effective_from_ns=0, reason="test",
    )  # fmt: skip
    world.add(
        world.entry(AT, tenant_id="acme", cost_usd=_usd("10")),
        world.entry(AT, tenant_id="globex", cost_usd=_usd("7")),
    )
    answer = world.ask("units", unit="metric:resolved")
    assert answer["rows"][0] == {
        "tenant": "acme", "quantity": "4", "cost_usd": "10.000000000000",
        "cost_per_unit_usd": "2.500000000000",
    }  # fmt: skip
    assert answer["totals"]["without_quantity_usd"] == "7.000000000000"
    assert answer["totals"]["cost_per_unit_usd"] == "2.500000000000"
    with pytest.raises(UnknownNameError, match="resolved"):
        world.ask("units", unit="metric:solved")


def test_layers_over_time_add_up(world: World) -> None:
    world.add(
        *(
            world.entry(
                AT + timedelta(days=day), cost_usd=_usd("3"), visible_output_tokens=10,
                uncached_input_tokens=30, prompt_layer_tokens=30, response_layer_tokens=10,
                prompt_layer_cost_usd=_usd("2"), response_layer_cost_usd=_usd("1"),
                unsplit_layer_tokens=0, unsplit_layer_cost_usd=_usd("0"),
            )
            for day in (0, 1)
        )
    )  # fmt: skip
    answer = world.ask("layers")
    prompts = [row for row in answer["rows"] if row["layer"] == "prompt"]
    assert [row["day"] for row in prompts] == ["2026-11-19", "2026-11-20"]
    assert all(row["cost_usd"] == "2.000000000000" for row in prompts)
    assert pico_from_usd(answer["at_stake_usd"]) == 4 * 10**12


def test_tool_tax_is_divided_and_adds_up(world: World) -> None:
    tools = {
        "feature": "agent", "cost_usd": _usd("10"), "uncached_input_tokens": 800,
        "cache_read_tokens": 200, "uncached_input_tokens_cost_usd": _usd("8"),
        "cache_read_tokens_cost_usd": _usd("0.2"), "tool_layer_tokens": 600,
        "tool_layer_cost_usd": _usd("5"), "trace_id": "t1",
    }  # fmt: skip
    # 400 tokens of definitions, at the start, then 200 of results, and 400 of the user.
    row = world.entry(AT, layer_weights="[1,400,2,200,6,400]", **tools)
    world.add(row, world.entry(AT, **tools | {"feature": "other"}))
    world.add(world.entry(AT, web_search_requests=3, web_search_requests_cost_usd=_usd("0.03")))
    answer = world.ask("tool_tax")
    agent, other = answer["rows"]
    # 200 of the definitions were cached, at 0.001; the other 200 cost 0.01 each.
    assert agent["definitions_usd"] == "2.200000000000"
    assert agent["results_usd"] == "2.800000000000"
    assert other["undivided_usd"] == "5.000000000000"
    assert answer["totals"]["tool_usd"] == "10.000000000000"
    assert answer["built_in"] == [{"tool": "web search", "uses": 3, "cost_usd": "0.030000000000"}]
    assert answer["named"] == []
    world.connection.execute(
        "INSERT INTO spans (trace_id, span_id, name, kind, observer, is_error, started_at, seen_at)"
        " VALUES ('t1', 'a', 'lookup', 'tool', 'otlp', false, now(), now()),"
        " ('t1', 'b', 'lookup', 'tool', 'otlp', true, now(), now()),"
        " ('t1', 'c', 'refund', 'tool', 'otlp', false, now(), now()),"
        " ('t1', 'd', 'chat', 'agent', 'otlp', false, now(), now())"
    )
    named = world.ask("tool_tax")["named"]
    assert [(one["tool"], one["uses"], one["errors"]) for one in named] == [
        ("lookup", 2, 1), ("refund", 1, 0),
    ]  # fmt: skip
    assert sum(pico_from_usd(one["cost_usd"]) for one in named) == 10 * 10**12
    world.add(world.reversal(row))
    assert world.ask("tool_tax")["totals"]["definitions_usd"] == "0.000000000000"


def test_memory_is_compared_model_by_model(world: World) -> None:
    def calls(number: int, weights: str, response: str, context: str, model: str = "m") -> None:
        world.add(
            *(
                world.entry(
                    AT, feature="chat", model_actual=model, layer_weights=weights,
                    cost_usd=_usd("1"), response_layer_tokens=int(response),
                    response_layer_cost_usd=_usd(response), context_layer_tokens=5,
                    context_layer_cost_usd=_usd(context),
                )
                for _ in range(number)
            )
        )  # fmt: skip

    calls(4, "[4,10,6,10]", "2", "0.5")
    calls(2, "[6,10]", "3", "0")
    calls(1, "[5,10,6,10]", "3", "0.1")  # earlier turns are no memory unless asked for
    calls(5, "[6,10]", "9", "0", "another")
    (row,) = world.ask("memory_roi")["rows"]
    assert (row["with_calls"], row["without_calls"]) == (4, 8)
    assert row["context_usd"] == "2.000000000000"
    assert row["answer_difference_usd"] == "4.000000000000"
    assert row["net_usd"] == "2.000000000000"
    (row,) = world.ask("memory_roi", history="true")["rows"]
    assert row["with_calls"] == 5


def test_prompt_growth_is_against_the_first_version(world: World) -> None:
    def version(day: int, prefix: str, chars: int, number: int) -> None:
        world.add(
            *(
                world.call(
                    AT + timedelta(days=day, minutes=at),
                    "gpt-4o",
                    Kinds(1000),
                    feature="chat",
                    prefix_hash=prefix,
                    prefix_chars=chars,
                    layer_weights="[0,600,6,400]",
                )
                for at in range(number)
            )
        )

    version(-5, "one", 300, 6)
    version(-3, "two", 500, 10)
    version(-4, "rare", 999, 2)
    answer = world.ask("prompt_growth")
    one, two, rare = answer["rows"]
    assert (one["version"], one["prefix_tokens_per_call"], one["growth_tokens"]) == (1, 300, 0)
    assert (two["version"], two["prefix_tokens_per_call"], two["growth_tokens"]) == (2, 500, 200)
    # 200 tokens in each of ten calls at 2.50 dollars a million
    assert two["growth_usd"] == "0.005000000000"
    assert (rare["rare_versions"], rare["calls"]) == (1, 2)
    assert answer["at_stake_usd"] == "0.005000000000"


def test_waste_is_what_came_to_nothing(world: World) -> None:
    first = ids.new_id()
    world.add(
        world.entry(AT, call_id=first, cost_usd=_usd("4"), feature="chat"),
        world.entry(AT, retry_of=first, cost_usd=_usd("5"), feature="chat"),
        world.entry(
            AT, status="error", error_type="overloaded", cost_usd=_usd("2"), feature="chat"
        ),
        world.entry(AT, status="cancelled", cost_usd=_usd("1"), feature="search"),
        world.entry(AT, status="interrupted", cost_usd=None, feature="search"),
        world.entry(AT, status="error", price_state="not_billed", cost_usd=None),
        world.entry(AT, cost_usd=_usd("100")),
    )
    answer = world.ask("retry_waste")
    wasted = {row["cause"]: row["waste_usd"][:2] for row in answer["rows"]}
    assert wasted == {
        "answered, then repeated": "4.", "overloaded": "2.", "cancelled by the client": "1.",
        "interrupted": "0.", "error": "0.",
    }  # fmt: skip
    assert answer["totals"]["waste_usd"] == "7.000000000000"
    assert answer["totals"]["repeats_usd"] == "5.000000000000"
    assert answer["totals"]["unknown_cost_calls"] == 1


def test_the_last_hour_against_what_it_usually_costs(world: World) -> None:
    usual = [NOW - timedelta(days=day, minutes=20) for day in range(1, 31)]
    world.add(
        *(world.entry(at, feature="chat", cost_usd=_usd("1"), request_id=str(at)) for at in usual),
        world.entry(NOW - timedelta(minutes=5), feature="chat", cost_usd=_usd("6")),
        world.entry(NOW - timedelta(minutes=5), feature="chat", cost_usd=_usd("2"),
                    tenant_id="acme"),
    )  # fmt: skip
    answer = world.ask("operational")
    (row,) = answer["rows"]
    assert row["last_hour_usd"] == "8.000000000000"
    assert row["same_hour_usd"] == "1.000000000000"
    assert row["burn_percent"] == "800.0"
    assert row["last_day_usd"] == "8.000000000000"
    assert row["baseline_day_usd"] == "1.000000000000"
    assert row["deviation_percent"] == "700.0"
    assert row["p99_request_usd"] == "6.000000000000"
    assert [one["cost_usd"][0] for one in answer["top_calls"]] == ["6", "2"]
    assert answer["top_calls"][1]["tenant"] == "acme"
    assert answer["keys"] == []


def test_filters_and_limits_are_those_of_reports(world: World) -> None:
    world.add(
        world.entry(AT, tenant_id="acme", cost_usd=_usd("1")),
        world.entry(AT, tenant_id="globex", cost_usd=_usd("2")),
    )
    answer = world.ask("skew", where=["tenant=acme", "status=ok"])
    assert answer["totals"]["owners"] == 1
    assert answer["query"]["where"] == ["status=ok", "tenant=acme"]
    with pytest.raises(UnknownNameError, match="did you mean tenant"):
        world.ask("skew", by="tennant")

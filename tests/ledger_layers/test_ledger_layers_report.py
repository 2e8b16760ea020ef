"""Layers in reports: sums of entries that always add up to the cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.conftest import World
from tests.reports.conftest import Entry, MemoryLedger

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS, LAYERS, Section
from tollbook.ledger.layersplit import split_layers
from tollbook.money import pico_from_usd, usd_decimal
from tollbook.reports.errors import QueryError
from tollbook.reports.exact_ratio import percent, percents, rounded, usd_each
from tollbook.reports.explain import explain_call
from tollbook.reports.layers import layers_query, run_layers
from tollbook.reports.params import from_pairs
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.spend import run_spend
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = datetime(2026, 11, 10, 12, tzinfo=UTC)
NOW = AT + timedelta(days=3)
SINCE = ("since", "2026-11-01")
WEIGHTS = (
    int(Section.SYSTEM), 50, int(Section.TOOL_DEFINITIONS), 30, int(Section.USER_INPUT), 20,
)  # fmt: skip


@pytest.fixture(scope="module")
def ledger() -> Iterator[MemoryLedger]:
    made = MemoryLedger()
    yield made
    made.connection.close()


_maybe = st.booleans()


@st.composite
def _entries(draw: st.DrawFn) -> dict[str, Any]:
    """What an entry says of tokens, cost and layers, now or before there were layers."""
    fresh, cached, written = draw(st.tuples(*[st.integers(0, 50)] * 3))
    kinds = Kinds(fresh, cached, visible_output_tokens=written)
    components = [0] * len(KINDS)
    for kind in ("uncached_input_tokens", "cache_read_tokens", "visible_output_tokens", "requests"):
        components[KINDS.index(kind)] = draw(st.integers(0, 10**14))
    has_kinds, has_cost, has_layers = draw(_maybe), draw(_maybe), draw(_maybe)
    told: dict[str, Any] = {"tenant_id": draw(st.sampled_from(["a", "b"]))}
    told |= dict(zip(KINDS, kinds, strict=True)) if has_kinds else dict.fromkeys(KINDS)
    told["cost_usd"] = usd_decimal(sum(components)) if has_cost else None
    weights = draw(st.none() | st.just(WEIGHTS))
    split = split_layers(
        weights, kinds if has_kinds else None, tuple(components) if has_cost else None
    )
    if has_layers:
        told |= zip(LAYER_TOKENS, split.tokens or [None] * len(LAYERS), strict=True)
        costs = split.costs or [None] * len(LAYERS)
        told |= {
            name: None if one is None else usd_decimal(one)
            for name, one in zip(LAYER_COSTS, costs, strict=True)
        }
    return told


@settings(deadline=None, max_examples=30)
@given(st.lists(_entries(), min_size=1, max_size=6))
def test_layers_add_up_to_cost_and_tokens_whatever_was_booked_when(
    ledger: MemoryLedger, told: list[dict[str, Any]]
) -> None:
    ledger.clear()
    rows: list[Entry] = [ledger.entry(AT, **one) for one in told]
    ledger.add(*rows)
    names = "calls,cost_usd,input_tokens,output_tokens"
    query = from_pairs(
        [SINCE, ("by", "tenant"), ("measures", f"{names},{','.join(LAYER_TOKENS + LAYER_COSTS)}")],
        NOW,
    )
    report = run_spend(ledger.reader, query)
    for row in [*report.rows, report.totals]:
        assert _pico(row[name] for name in LAYER_COSTS) == _pico([row["cost_usd"]])
        tokens = sum(row[name] or 0 for name in LAYER_TOKENS)
        assert tokens == (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
    layers = run_layers(ledger.reader, layers_query([SINCE, ("by", "tenant")], NOW))
    assert _pico(row["cost_usd"] for row in layers.rows) == _pico([layers.totals["cost_usd"]])
    for tenant in {row["tenant"] for row in layers.rows}:
        shares = [row["cost_percent"] for row in layers.rows if row["tenant"] == tenant]
        assert None in shares or sum(Decimal(one or 0) for one in shares) == 100


def _pico(values: Any) -> int:
    return sum(pico_from_usd(one) for one in values if one is not None)


def test_the_report_of_layers(tmp_path: Path) -> None:
    world = World(tmp_path)
    writer = world.writer()
    opened = world.opened(layers=WEIGHTS, prefix_hash="ab" * 8, prefix_chars=80)
    usage = (
        b'{"prompt_tokens":1000,"completion_tokens":100,'
        b'"prompt_tokens_details":{"cached_tokens":600}}'
    )
    writer.append(opened)
    writer.append(world.closed(opened, usage=(usage,)))
    writer.close()
    world.drain()
    reader = DuckdbReader(world.store.reader())
    report = run_layers(reader, layers_query([("since", "2026-01-01")], NOW))
    # 500 of the 600 tokens from the cache are instructions, 100 tools; no rate for them: as input
    assert [(row["layer"], row["tokens"], row["cost_usd"]) for row in report.rows] == [
        ("prompt", 500, "0.001000000000"), ("tool", 300, "0.000600000000"),
        ("context", 0, "0.000000000000"), ("user", 200, "0.000400000000"),
        ("response", 100, "0.000800000000"), ("unsplit", 0, "0.000000000000"),
    ]  # fmt: skip
    assert [row["cost_percent"] for row in report.rows] == [
        "35.7", "21.4", "0.0", "14.3", "28.6", "0.0",
    ]  # fmt: skip
    call_id = str(world.rows("SELECT call_id FROM entries")[0][0])
    told = explain_call(reader, call_id, lambda _: None).layers
    assert told is not None
    assert [(one.section, one.layer, one.tokens, one.kinds) for one in told.sections] == [
        ("system", "prompt", 500, {"cache_read_tokens": 500}),
        ("tool_definitions", "tool", 300,
         {"cache_read_tokens": 100, "uncached_input_tokens": 200}),
        ("user_input", "user", 200, {"uncached_input_tokens": 200}),
    ]  # fmt: skip
    assert told.layers["prompt"].cost_usd == "0.001000000000"
    assert (told.prefix_hash, told.prefix_chars) == ("ab" * 8, 80)
    world.close()


def test_the_measures_of_layers_are_fixed() -> None:
    with pytest.raises(QueryError):
        layers_query([("measures", "calls")], NOW)


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**6))
def test_a_quotient_is_rounded_once_half_to_even(numerator: int, denominator: int) -> None:
    exact = Decimal(numerator) / Decimal(denominator) if numerator % denominator == 0 else None
    found = rounded(numerator, denominator)
    assert abs(2 * (found * denominator - numerator)) <= denominator
    if exact is not None:
        assert found == exact
    if abs(2 * (found * denominator - numerator)) == denominator:
        assert found % 2 == 0


def test_of_nothing_there_is_no_share() -> None:
    assert percent(1, 0) is None
    assert percents([0, 0]) == [None, None]
    assert percents([-1, 2]) == [None, None]
    assert percent(1, 3) == "33.3"
    assert percents([1, 1, 1]) == ["33.4", "33.3", "33.3"]
    assert percent(-1, 8) == "-12.5"
    assert usd_each(10, 4) == "0.000000000002"
    assert usd_each(10, 0) is None

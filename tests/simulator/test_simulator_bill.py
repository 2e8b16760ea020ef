"""The true bill adds up, to the last digit, whichever way it is cut."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices import Usage
from hypothesis import given
from hypothesis import strategies as st

from tollbook.clock import NS_PER_S
from tollbook.money import usd_text
from tollbook.simulator.bill import NO_TENANT, Amount, LineKey, bill, bill_by_tenant
from tollbook.simulator.pricelist import BILL_KINDS, MODELS, Quantities, price
from tollbook.simulator.truth import Ended, Received, TruthCall

DAY_S = 86_400


def _call(
    model_name: str, quantities: dict[str, int], *, day: int = 0, request_id: str = "r", **end: Any
) -> TruthCall:
    model = MODELS[model_name]
    at_ns = (1_790_000_000 // DAY_S + day) * DAY_S * NS_PER_S
    return TruthCall(
        Received("a", model.provider, "POST", "/x", at_ns, request_id),
        Ended(
            "a",
            at_ns + 1,
            "ok",
            model=model.snapshot,
            is_billed=end.pop("is_billed", True),
            quantities=quantities,
            **end,
        ),
    )


@st.composite
def _calls(draw: st.DrawFn) -> list[TruthCall]:
    def one() -> TruthCall:
        model = MODELS[draw(st.sampled_from(sorted(MODELS)))]
        kinds: list[str] = [kind for kind in BILL_KINDS if kind in model.usd_per_mtok]
        quantities = {kind: draw(st.integers(1, 10**9)) for kind in kinds if draw(st.booleans())}
        return _call(
            model.name,
            quantities,
            day=draw(st.integers(0, 3)),
            request_id=f"r{draw(st.integers(0, 5))}",
            is_billed=draw(st.booleans()),
            usage_delivered=draw(st.booleans()),
        )

    return [one() for _ in range(draw(st.integers(0, 12)))]


@given(_calls())
def test_every_cut_of_the_bill_sums_to_its_total(calls: list[TruthCall]) -> None:
    whole = bill(calls)
    assert whole.billed_calls + whole.unbilled_calls == len(calls)
    for fields in (("day",), ("model",), ("kind",), ("provider", "kind"), ()):
        assert sum(amount.pico for amount in whole.by(*fields).values()) == whole.total_pico
    tenants = {"r0": "acme", "r1": "acme", "r2": "globex", "r3": None}
    by_tenant = bill_by_tenant(calls, tenants)
    assert by_tenant.keys() <= {"acme", "globex", NO_TENANT}
    assert sum(part.total_pico for part in by_tenant.values()) == whole.total_pico
    reported = bill(calls, lambda call: call.usage_delivered)
    rest = bill(calls, lambda call: not call.usage_delivered)
    assert reported.total_pico + rest.total_pico == whole.total_pico
    as_json = whole.to_json()
    assert sum(Decimal(line["cost_usd"]) for line in as_json["lines"]) == Decimal(
        as_json["total_usd"]
    )


def test_a_bill_by_hand() -> None:
    calls = [
        _call("gpt-4o-mini", {"uncached_input": 1, "cache_read": 3, "visible_output": 2}),
        _call("gpt-4o-mini", {"uncached_input": 9}),
        _call("claude-opus-4-5", {"cache_write_1h": 1000, "reasoning": 7}, day=1),
        _call("gpt-4o", {}, is_billed=False),
        TruthCall(Received("b", "openai", "POST", "/x", 0), None),
    ]
    made = bill(calls)
    day = datetime.fromtimestamp(1_790_000_000, tz=UTC).date().isoformat()
    mini = "gpt-4o-mini-2024-07-18"
    assert made.lines[LineKey(day, "openai", mini, "uncached_input")] == Amount(10, 1_500_000)
    assert made.lines[LineKey(day, "openai", mini, "cache_read")] == Amount(3, 225_000)
    assert made.lines[LineKey(day, "openai", mini, "visible_output")] == Amount(2, 1_200_000)
    assert len(made.lines) == 5
    # 0.0000015 + 0.000000225 + 0.0000012, and 1000 x 10 + 7 x 25 dollars per million
    assert usd_text(made.total_pico) == "0.010177925000"
    assert (made.billed_calls, made.unbilled_calls) == (3, 2)
    table = made.to_table().splitlines()
    assert table[0].split() == ["day", "provider", "model", "kind", "tokens", "USD"]
    assert table[-1].split() == ["total", "0.010177925000"]
    assert any(row.split()[-2:] == ["10", "0.000001500000"] for row in table)


_UNLISTED = {"ollama", "perplexity"}
"""Free, or with a fee for each request that the list has for one size of search only."""


@pytest.mark.parametrize(
    "name",
    sorted(m for m in MODELS if MODELS[m].provider not in _UNLISTED and m != "rerank-2.5"),
)
def test_prices_are_the_public_ones(name: str) -> None:
    """Compare with the list that the product uses; only this test knows both."""
    model = MODELS[name]
    usages = {
        "uncached_input": Usage(input_tokens=100_000),
        "cache_read": Usage(input_tokens=100_000, cache_read_tokens=100_000),
        "cache_write_5m": Usage(input_tokens=100_000, cache_write_tokens=100_000),
        "visible_output": Usage(output_tokens=100_000),
    }
    for kind, usage in usages.items():
        if kind not in model.usd_per_mtok:
            continue
        listed = genai_prices.calc_price(
            usage,
            model.snapshot,
            provider_id={"bedrock": "aws"}.get(model.provider, model.provider),
            genai_request_timestamp=datetime(2026, 11, 20, tzinfo=UTC),
        )
        mine = price(model, Quantities(**{kind: 100_000}))[kind]
        assert usd_text(mine) == f"{listed.total_price:.12f}", kind
    rates = model.usd_per_mtok
    assert rates.get("reasoning") == (rates["visible_output"] if "reasoning" in rates else None)
    if "cache_write_1h" in rates:
        # Anthropic: one hour costs twice the base input price.
        assert Decimal(rates["cache_write_1h"]) == 2 * Decimal(rates["uncached_input"])


def test_every_price_is_whole_pico_per_token() -> None:
    assert all(
        model.rate(kind).denominator == 1
        for model in MODELS.values()
        for kind in model.usd_per_mtok
    )

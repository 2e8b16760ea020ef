"""The cost that spans tell: exact, and never taken for the provider's when it is a tool's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.otlp_mapping.kit import a_chat, measured_of

USAGE = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1}
SPEC = {"gen_ai.usage.cost.amount": 0.1, "gen_ai.usage.cost.currency": "USD"}


@pytest.mark.parametrize(
    ("attributes", "pico"),
    [
        ({"gen_ai.usage.cost": 0.0001722}, 172_200_000),
        ({"gen_ai.usage.cost": 0.1}, 100_000_000_000),
        ({"operation.cost": 6.3e-05}, 63_000_000),
        ({"llm.cost.total": "0.25"}, 250_000_000_000),
        ({"litellm.cost.total": 1}, 10**12),
        ({"gen_ai.cost.total_cost": 0}, 0),
        ({"langfuse.observation.cost_details": json.dumps({"total": 0.5})}, 5 * 10**11),
        (SPEC, 10**11),
    ],
)
def test_a_tools_own_figure_is_named_as_such(attributes: dict[str, Any], pico: int) -> None:
    measured = measured_of(a_chat() | USAGE | attributes)
    assert measured.reported_cost_pico == pico
    assert any("a tool worked out" in one for one in measured.problems)


def test_a_providers_figure_is_its_own() -> None:
    measured = measured_of(a_chat() | USAGE | SPEC | {"gen_ai.usage.cost.source": "provider"})
    assert measured.reported_cost_pico == 10**11
    assert measured.problems == ()


@pytest.mark.parametrize("provider", ["openrouter", "perplexity"])
def test_a_tools_figure_does_not_stand_in_for_an_invoice(provider: str) -> None:
    chat = a_chat(gen_ai__provider__name=provider)
    assert measured_of(chat | USAGE | {"gen_ai.usage.cost": 0.5}).reported_cost_pico is None
    own = {**SPEC, "gen_ai.usage.cost.source": "provider"}
    assert measured_of(chat | USAGE | own).reported_cost_pico == 10**11


@pytest.mark.parametrize(
    "junk", [-1, "free", float("inf"), float("nan"), 10**9, True, "1e999999", [0.5]]
)
def test_what_is_no_amount_is_not_used(junk: Any) -> None:
    measured = measured_of(a_chat() | USAGE | {"gen_ai.usage.cost": junk})
    assert measured.reported_cost_pico is None
    assert measured.kinds is not None


def test_another_currency_is_not_used() -> None:
    measured = measured_of(a_chat() | USAGE | SPEC | {"gen_ai.usage.cost.currency": "EUR"})
    assert measured.reported_cost_pico is None
    assert any("not in USD" in one for one in measured.problems)

"""C: what served a call decides its price: passes of several models, regions, aliases."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.accuracy.bodies import ANTHROPIC, CHAT, MESSAGE, completion, message, usage
from tests.accuracy.kit import case, json_answer

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow

ITERATIONS: list[dict[str, Any]] = [
    {"type": "message", "input_tokens": 1000, "output_tokens": 100},
    {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2000,
     "output_tokens": 200},
]  # fmt: skip
C1 = case(
    "C1",
    [json_answer(message(
        {"input_tokens": 1000, "output_tokens": 100, "iterations": ITERATIONS},
        model="claude-sonnet-4-6"))],
    provider="anthro", path=ANTHROPIC, body=MESSAGE | {"model": "claude-sonnet-4-6"},
)  # fmt: skip


def test_C1_each_pass_is_billed_at_the_price_of_its_own_model(book: Book) -> None:
    rows = sorted(book.rows[C1], key=lambda row: row["part"])
    assert [(row["part"], row["model_actual"], row["calls"]) for row in rows] == [
        (0, "claude-sonnet-4-6", 1), (1, "claude-opus-4-8", 0),
    ]  # fmt: skip
    # 3 and 15 dollars per million for the one, 5 and 25 for the other.
    assert [row["cost_usd"] for row in rows] == [Decimal("0.0045"), Decimal("0.015")]
    assert rows[1]["part_label"] == "advisor_message"


C4 = [
    case("C4-responses", [json_answer({"id": "r", "model": "m-1", "output": [], "usage": {
        "input_tokens": 50, "output_tokens": 100, "total_tokens": 150}})], path="/v1/responses"),
    case("C4-chat", [json_answer(completion(usage(50, 100)))]),
]  # fmt: skip


@pytest.mark.parametrize("name", C4)
def test_C4_one_call_on_any_endpoint_is_one_entry(book: Book, name: str) -> None:
    book.check(name, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)


ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn", "metrics": {"latencyMs": 5},
    "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
}  # fmt: skip
ASK = {"messages": [{"role": "user", "content": [{"text": "x" * 80}]}]}
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1%3A0"
C7 = {
    prefix: case(f"C7-{prefix.rstrip('.') or 'bare'}", [json_answer(ANSWER)], provider="bed",
                 body=ASK, path=f"/model/{prefix}{HAIKU}/converse")
    for prefix in ("", "global.", "us.", "eu.", "us-gov.")
}  # fmt: skip


def test_C7_where_bedrock_serves_decides_the_price(book: Book) -> None:
    cost = {prefix: book.one(name)["cost_usd"] for prefix, name in C7.items()}
    # One and five dollars per million from anywhere, a tenth more within a geography.
    assert cost["global."] == Decimal("0.0015")
    assert cost["us."] == cost["eu."] == Decimal("0.00165")
    assert cost["us-gov."] > cost["us."]
    for name in C7.values():
        row = book.one(name)
        assert row["uncached_input_tokens"] == 1000
        assert row["price_state"] == "priced"


GEO = case(
    "C7-inference-geo",
    [json_answer(message({"input_tokens": 1000, "output_tokens": 100, "inference_geo": "us"},
                         model="claude-opus-4-8"))],
    provider="anthro", path=ANTHROPIC, body=MESSAGE | {"model": "claude-opus-4-8"},
)  # fmt: skip


def test_C7_inference_in_one_country_has_its_surcharge(book: Book) -> None:
    # 5 and 25 dollars per million, times 1.1.
    row = book.check(GEO, "0.00825", uncached_input_tokens=1000, visible_output_tokens=100)
    assert row["region"] == "us"


C8 = case("C8", [json_answer(completion(usage(1000, 100), model="grok-4.3"))],
          provider="grok", body=CHAT | {"model": "grok-3"})  # fmt: skip


def test_C8_a_retired_name_costs_what_served_it(book: Book) -> None:
    row = book.one(C8)
    assert (row["model_requested"], row["model_actual"]) == ("grok-3", "grok-4.3")
    assert row["cost_usd"] == Decimal("0.0015"), "1.25 and 2.50 dollars per million"

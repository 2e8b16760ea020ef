"""B, for providers that count in ways of their own."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.accuracy.bodies import CHAT, STOP, STREAM, chunk, completion, usage
from tests.accuracy.kit import case, json_answer, sse, streamed

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow

ASK = {"contents": [{"role": "user", "parts": [{"text": "x" * 80}]}]}


def gemini(model: str, counts: dict[str, Any]) -> dict[str, Any]:
    answer = {"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    return {"candidates": [answer], "usageMetadata": counts, "modelVersion": model,
            "responseId": "r-1"}  # fmt: skip


def gemini_case(name: str, model: str, counts: dict[str, Any], *, streams: bool = False) -> str:
    answer = gemini(model, counts)
    if streams:
        first = gemini(model, {"promptTokenCount": counts["promptTokenCount"]})
        return case(name, streamed(sse(first, answer, done=False)), provider="gem", body=ASK,
                    path=f"/v1beta/models/{model}:streamGenerateContent?alt=sse")  # fmt: skip
    return case(name, [json_answer(answer)], provider="gem", body=ASK,
                path=f"/v1beta/models/{model}:generateContent")  # fmt: skip


CACHED = {
    "promptTokenCount": 262_960, "cachedContentTokenCount": 257_955,
    "candidatesTokenCount": 1744, "totalTokenCount": 264_704,
}  # fmt: skip
B2 = [
    gemini_case("B2-plain", "gemini-2.5-pro", CACHED),
    gemini_case("B2-stream", "gemini-2.5-pro", CACHED, streams=True),
]


@pytest.mark.parametrize("name", B2)
def test_B2_cached_tokens_of_gemini_are_part_of_its_prompt(book: Book, name: str) -> None:
    # Above 200,000 tokens: 2.50 for input, 0.25 for cached, 15 for output, per million.
    book.check(name, "0.10316125", uncached_input_tokens=5005, cache_read_tokens=257_955,
               visible_output_tokens=1744)  # fmt: skip


THOUGHT = {
    "promptTokenCount": 100, "candidatesTokenCount": 150, "thoughtsTokenCount": 8000,
    "totalTokenCount": 8250,
}  # fmt: skip
B12 = [
    gemini_case("B12-plain", "gemini-2.5-flash", THOUGHT),
    gemini_case("B12-stream", "gemini-2.5-flash", THOUGHT, streams=True),
]


@pytest.mark.parametrize("name", B12)
def test_B12_thinking_of_gemini_is_output_beside_the_answer(book: Book, name: str) -> None:
    # 0.30 and 2.50 dollars per million.
    book.check(name, "0.020405", uncached_input_tokens=100, visible_output_tokens=150,
               reasoning_tokens=8000)  # fmt: skip


B16_GEMINI = gemini_case(
    "B16-gemini", "gemini-2.5-flash",
    {
        "promptTokenCount": 1000, "cachedContentTokenCount": 400, "candidatesTokenCount": 10,
        "totalTokenCount": 1010,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 300},
                                {"modality": "AUDIO", "tokenCount": 700}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 100},
                               {"modality": "AUDIO", "tokenCount": 300}],
    },
)  # fmt: skip
B16_OPENAI = case(
    "B16-openai",
    [json_answer(completion({
        "prompt_tokens": 120, "completion_tokens": 90, "total_tokens": 210,
        "prompt_tokens_details": {"audio_tokens": 100, "cached_tokens": 0},
        "completion_tokens_details": {"audio_tokens": 70, "reasoning_tokens": 0}},
        model="gpt-audio"))],
    provider="oai", body=CHAT | {"model": "gpt-audio"},
)  # fmt: skip


def test_B16_each_modality_has_its_rate_cached_or_not(book: Book) -> None:
    row = book.check(
        B16_GEMINI, "0.000518", uncached_input_tokens=200, cache_read_tokens=100,
        input_audio_tokens=400, cache_read_audio_tokens=300, visible_output_tokens=10,
    )  # fmt: skip
    assert row["input_audio_tokens_cost_usd"] == Decimal("0.0004"), "one dollar per million"
    row = book.check(
        B16_OPENAI, "0.00793", uncached_input_tokens=20, input_audio_tokens=100,
        visible_output_tokens=20, output_audio_tokens=70,
    )  # fmt: skip
    assert row["output_audio_tokens_cost_usd"] == Decimal("0.00448")


ROUTED = usage(1000, 100)
B17 = [
    case("B17-own-credit", [json_answer(completion(
        ROUTED | {"cost": 0.0035, "is_byok": False,
                  "cost_details": {"upstream_inference_cost": 0.0035}}, model="openai/gpt-4o"))],
        provider="router", body=CHAT | {"model": "openai/gpt-4o"}),
    case("B17-stream", streamed(sse(chunk("a", model="openai/gpt-4o"), STOP, chunk(
        model="openai/gpt-4o", usage=ROUTED | {"cost": 0.0035, "is_byok": False}))),
        provider="router", body=STREAM | {"model": "openai/gpt-4o"}),
    case("B17-responses", [json_answer({
        "id": "r", "model": "openai/gpt-4o", "output": [],
        "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100,
                  "cost": 0.0035, "is_byok": False}})],
        provider="router", path="/v1/responses", body=CHAT | {"model": "openai/gpt-4o"}),
]  # fmt: skip
B17_BYOK = case("B17-byok", [json_answer(completion(
    ROUTED | {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0035}},
    model="openai/gpt-4o"))], provider="router",
    body=CHAT | {"model": "openai/gpt-4o"})  # fmt: skip


@pytest.mark.parametrize("name", B17)
def test_B17_the_cost_that_the_provider_reports_is_taken_once(book: Book, name: str) -> None:
    row = book.check(name, "0.0035", uncached_input_tokens=1000, visible_output_tokens=100)
    assert (row["cost_source"], row["reported_cost_usd"]) == ("provider", Decimal("0.0035"))


def test_B17_with_the_customers_own_key_the_upstream_bills(book: Book) -> None:
    row = book.one(B17_BYOK)
    assert row["uncached_input_tokens"] == 1000
    assert row["cost_usd"] == Decimal("0.0035"), "billed by the upstream, not by the router"

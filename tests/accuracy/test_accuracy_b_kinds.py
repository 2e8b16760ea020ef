"""B: token kinds and the arithmetic of prices."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.accuracy.bodies import (
    ANTHROPIC,
    CACHED,
    MESSAGE,
    STOP,
    STREAM,
    chunk,
    completion,
    final,
    message,
    message_stream,
    usage,
)
from tests.accuracy.kit import case, json_answer, sse, streamed

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow

B1 = case("B1", [json_answer(completion(usage(2006, 300, cached=1920), model="gpt-4o-2024-08-06"))])


def test_B1_cached_tokens_are_part_of_the_prompt(book: Book) -> None:
    book.check(B1, "0.005615", uncached_input_tokens=86, cache_read_tokens=1920,
               visible_output_tokens=300)  # fmt: skip


B3 = [
    case("B3-plain", [json_answer(completion(
        usage(616, 10, prompt_tokens_details={"text_tokens": 616, "cached_tokens": 615})))]),
    case("B3-stream", streamed(sse(chunk("a"), STOP, final(
        616, 10, prompt_tokens_details={"text_tokens": 616, "cached_tokens": 615}))), body=STREAM),
]  # fmt: skip


@pytest.mark.parametrize("name", B3)
def test_B3_text_tokens_that_include_cached_ones_do_not_count_twice(book: Book, name: str) -> None:
    book.check(name, "0.0004095", uncached_input_tokens=1, cache_read_tokens=615,
               visible_output_tokens=10)  # fmt: skip


B4 = [
    case("B4-plain", [json_answer(message(CACHED))], path=ANTHROPIC, provider="claude",
         body=MESSAGE),
    case("B4-stream", streamed(sse(*message_stream({**CACHED, "output_tokens": 1}, CACHED),
                                   done=False)),
         path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True}),
    case("B4-stream-short", streamed(sse(*message_stream(
        {**CACHED, "output_tokens": 1}, {"output_tokens": 100}), done=False)),
        path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True}),
]  # fmt: skip


@pytest.mark.parametrize("name", B4)
def test_B4_B5_stream_and_plain_cost_the_same_by_a_contract_card(book: Book, name: str) -> None:
    book.check(name, "0.00354", uncached_input_tokens=20, cache_read_tokens=5000,
               visible_output_tokens=100)  # fmt: skip


B6 = case(
    "B6", [json_answer(completion(usage(1_239_328, 12_909, cached=1_188_096), model="gpt-5"))]
)
B7 = case("B7", streamed(sse(*message_stream(
    {"input_tokens": 6, "cache_creation_input_tokens": 159_217, "output_tokens": 1,
     "cache_creation": {"ephemeral_5m_input_tokens": 159_217, "ephemeral_1h_input_tokens": 0}},
    {"input_tokens": 6, "cache_creation_input_tokens": 159_217, "output_tokens": 2745},
    model="claude-opus-4-5"), done=False)),
    path=ANTHROPIC, provider="claude", body={**MESSAGE, "stream": True})  # fmt: skip


def test_B6_B7_reported_invoices_are_met_to_the_last_digit(book: Book) -> None:
    book.check(B6, "0.341642", uncached_input_tokens=51_232, cache_read_tokens=1_188_096,
               visible_output_tokens=12_909)  # fmt: skip
    book.check(B7, "1.06376125", uncached_input_tokens=6, cache_write_5m_tokens=159_217,
               visible_output_tokens=2745)  # fmt: skip


B8 = case("B8", [json_answer(completion(usage(1000, 10, cached=900), model="nocache-1"))])


def test_B8_a_cache_read_without_a_rate_is_not_free(book: Book) -> None:
    row = book.check(B8, "0.0021", uncached_input_tokens=100, cache_read_tokens=900,
                     visible_output_tokens=10)  # fmt: skip
    assert "cache_read_tokens follows uncached_input_tokens" in row["price_flags"]


B9 = case("B9", [json_answer(message({
    "input_tokens": 10, "output_tokens": 10, "cache_creation_input_tokens": 3000,
    "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}}))],
    path=ANTHROPIC, provider="claude", body=MESSAGE)  # fmt: skip


def test_B9_cache_writes_of_an_hour_have_their_own_rate_and_count_once(book: Book) -> None:
    book.check(B9, "0.01112", uncached_input_tokens=10, cache_write_5m_tokens=1000,
               cache_write_1h_tokens=2000, visible_output_tokens=10)  # fmt: skip


REASONING: dict[str, Any] = {"completion_tokens_details": {"reasoning_tokens": 50}}
B10 = [
    case("B10-inside", [json_answer(completion(usage(100, 1050, **REASONING)))]),
    case("B10-beside", [json_answer(completion(usage(100, 1000, **REASONING, total_tokens=1150)))]),
    case("B11", [json_answer({"id": "r", "model": "m-1", "output": [], "usage": {
        "input_tokens": 100, "output_tokens": 1050, "total_tokens": 1150,
        "output_tokens_details": {"reasoning_tokens": 50}}})], path="/v1/responses"),
]  # fmt: skip


@pytest.mark.parametrize("name", B10)
def test_B10_B11_reasoning_is_billed_once_and_beside_the_visible_output(
    book: Book, name: str
) -> None:
    book.check(name, "0.0107", uncached_input_tokens=100, visible_output_tokens=1000,
               reasoning_tokens=50)  # fmt: skip


BELOW = {"prompt_tokens": -5, "completion_tokens": 10, "total_tokens": 5}
B13 = case("B13", [json_answer(completion(BELOW, text="y" * 40))])
BELOW_OUT = {"prompt_tokens": 50, "completion_tokens": -10, "total_tokens": 40}
B13_OUT = case("B13-out", [json_answer(completion(BELOW_OUT, text="y" * 40))])


@pytest.mark.parametrize("name", [B13, B13_OUT])
def test_B13_a_negative_count_is_never_booked_as_reported(book: Book, name: str) -> None:
    row = book.one(name)
    assert row["cost_usd"] > 0
    assert "is not a count" in row["usage_problems"]
    assert row["usage_source"] == "estimated"
    assert row["uncached_input_tokens"] >= 20
    assert row["visible_output_tokens"] >= 10


def tier_case(name: str, given: int, model: str, provider: str = "fake", **fields: Any) -> str:
    return case(name, [json_answer(completion(usage(given, 10, cached=given // 2), model=model)
                                   | fields)], provider=provider)  # fmt: skip


TIERS = [
    (tier_case("B14-272000", 272_000, "gpt-5.4"), "0.374150"),
    (tier_case("B14-272001", 272_001, "gpt-5.4"), "0.748230"),
    (tier_case("B15-priority", 1000, "gpt-5", service_tier="priority"), "0.001575"),
    (tier_case("B15-flex", 1000, "gpt-5", service_tier="flex"), "0.00039375"),
    (tier_case("B15-default", 1000, "gpt-5", service_tier="default"), "0.0007875"),
]


@pytest.mark.parametrize(("name", "cost_usd"), TIERS)
def test_B14_B15_context_steps_and_served_tiers_price_the_whole_call(
    book: Book, name: str, cost_usd: str
) -> None:
    assert book.one(name)["cost_usd"] == Decimal(cost_usd)


def test_B14_the_step_of_another_provider_begins_at_the_threshold(book: Book) -> None:
    below, at = (book.one(name)["price_card_id"] for name in GROK)
    assert below == at
    rates = [book.one(name)["cache_read_tokens_cost_usd"] / book.one(name)["cache_read_tokens"]
             for name in GROK]  # fmt: skip
    assert rates[1] == 2 * rates[0]


GROK = [
    tier_case("B14-grok-199999", 199_999, "grok-4.20", provider="grok"),
    tier_case("B14-grok-200000", 200_000, "grok-4.20", provider="grok"),
]
CLAUDE_STEP = [
    case(f"B14-claude-{given}", [json_answer(message(
        {"input_tokens": given, "cache_read_input_tokens": 150_000, "output_tokens": 10},
        model="claude-sonnet-4-5"))], path=ANTHROPIC, provider="claude", body=MESSAGE)
    for given in (50_000, 50_001)
]  # fmt: skip


def test_B14_the_threshold_counts_cached_tokens(book: Book) -> None:
    below, above = (book.one(name) for name in CLAUDE_STEP)
    assert below["cost_usd"] == Decimal("0.19515")
    assert above["cost_usd"] == Decimal("0.390231")


B15_STREAM = case("B15-stream", streamed(sse(
    chunk("a"), STOP | {"service_tier": "priority"}, final(1000, 10), done=True)),
    body={**STREAM, "service_tier": "auto", "model": "gpt-5"})  # fmt: skip
FAST = {"input_tokens": 1000, "output_tokens": 100, "speed": "fast", "service_tier": "standard"}
B15_FAST = [
    case("B15-fast", [json_answer(message(FAST, model="claude-opus-4-8"))], path=ANTHROPIC,
         provider="claude", body=MESSAGE),
    case("B15-fast-stream", streamed(sse(*message_stream(
        FAST, {"output_tokens": 100}, model="claude-opus-4-8"), done=False)), path=ANTHROPIC,
        provider="claude", body={**MESSAGE, "stream": True}),
]  # fmt: skip


@pytest.mark.parametrize("name", B15_FAST)
def test_B15_fast_mode_of_messages_has_the_fast_price(book: Book, name: str) -> None:
    book.check(name, "0.015", uncached_input_tokens=1000, visible_output_tokens=100)


def test_B15_the_tier_that_served_is_kept_from_a_stream(book: Book) -> None:
    assert book.one(B15_STREAM)["service_tier"] == "priority"


B20 = case("B20", [json_answer(completion(usage(100, 10), model="zero-1"))])
B20_UNKNOWN = case("B20-unknown", [json_answer(completion(usage(100, 10), model="nobody-1"))])
B21 = case("B21", [json_answer(completion(usage(100, 10), model="onlyin-1"))])
B21_EMBED = case("B21-embed", [json_answer(
    {"object": "list", "data": [], "model": "onlyin-1", "usage":
     {"prompt_tokens": 100, "total_tokens": 100}})], path="/v1/embeddings")  # fmt: skip


def test_B20_a_price_of_zero_is_free_and_no_price_is_unknown(book: Book) -> None:
    row = book.check(B20, "0", uncached_input_tokens=100, visible_output_tokens=10)
    assert row["price_state"] == "free"
    row = book.check(B20_UNKNOWN, None, uncached_input_tokens=100, visible_output_tokens=10)
    assert row["price_state"] == "unpriced"


def test_B21_E1_a_card_with_only_an_input_price_never_invents_the_rest(book: Book) -> None:
    row = book.check(B21, None, uncached_input_tokens=100, visible_output_tokens=10)
    assert "no rate for visible_output_tokens" in row["price_flags"]
    row = book.check(B21_EMBED, "0.0005", uncached_input_tokens=100)
    assert row["operation"] == "embeddings"

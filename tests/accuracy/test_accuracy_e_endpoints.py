"""E: every endpoint that costs money."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.accuracy.kit import case, json_answer

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow

OTHER_PATHS = [
    case("E1-vector-stores", [json_answer({"id": "vs_1"})], path="/v1/vector_stores"),
    case("E1-fine-tuning", [json_answer({"id": "ft_1"})], path="/v1/fine_tuning/jobs"),
]


@pytest.mark.parametrize("name", OTHER_PATHS)
def test_E1_what_is_not_metered_is_still_an_entry_of_unknown_cost(book: Book, name: str) -> None:
    assert book.check(name, None, source="none")["price_state"] == "unmetered"


E1_EMBED = case(
    "E1-embeddings",
    [json_answer({"object": "list", "data": [], "model": "text-embedding-3-small",
                  "usage": {"prompt_tokens": 100_000, "total_tokens": 100_000}})],
    path="/v1/embeddings", provider="oai",
    body={"model": "text-embedding-3-small", "input": "x" * 40},
)  # fmt: skip


def test_E1_embeddings_that_pass_through_are_priced(book: Book) -> None:
    book.check(E1_EMBED, "0.002", uncached_input_tokens=100_000)


RERANK: dict[str, Any] = {"model": "rerank-v3.5", "query": "q", "documents": ["a", "b"]}
E2 = [
    case("E2-cohere", [json_answer({"id": "r", "results": [], "meta": {
        "api_version": {"version": "2"}, "billed_units": {"search_units": 3}}})],
        path="/v2/rerank", provider="co", body=RERANK),
    case("E2-cohere-v1", [json_answer({"id": "r", "results": [], "meta": {
        "billed_units": {"search_units": 3}}})], path="/v1/rerank", provider="co", body=RERANK),
]  # fmt: skip
E2_VOYAGE = case(
    "E2-voyage",
    [json_answer({"object": "list", "data": [], "model": "rerank-2.5",
                  "usage": {"total_tokens": 40_000}})],
    path="/v1/rerank", provider="voy", body={**RERANK, "model": "rerank-2.5"},
)  # fmt: skip


@pytest.mark.parametrize("name", E2)
def test_E2_reranking_is_billed_by_its_searches(book: Book, name: str) -> None:
    # Two dollars for a thousand searches.
    assert book.check(name, "0.006", search_units=3)["operation"] == "rerank"


def test_E2_reranking_is_billed_by_its_tokens_where_these_are_billed(book: Book) -> None:
    row = book.check(E2_VOYAGE, "0.002", uncached_input_tokens=40_000)
    assert row["operation"] == "rerank"


E3_IMAGEN = case(
    "E3-imagen",
    [json_answer({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": "aa"}] * 3})],
    path="/v1beta/models/imagen-4.0-generate-001:predict", provider="gem",
    body={"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 3}},
)  # fmt: skip
E3_DALLE = case(
    "E3-dalle",
    [json_answer({"created": 1, "data": [{"url": "https://x"}]})],
    path="/v1/images/generations", provider="oai",
    body={"model": "dall-e-3", "prompt": "a cat", "n": 1, "size": "1024x1792", "quality": "hd"},
)  # fmt: skip
E3_GPT_IMAGE = case(
    "E3-gpt-image",
    [json_answer({"created": 1, "data": [{"b64_json": "aa"}], "usage": {
        "input_tokens": 50, "output_tokens": 1000, "total_tokens": 1050,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}})],
    path="/v1/images/generations", provider="oai",
    body={"model": "gpt-image-1", "prompt": "a cat"},
)  # fmt: skip


def test_E3_images_cost_by_number_size_and_quality(book: Book) -> None:
    book.check(E3_IMAGEN, "0.12", images=3)
    book.check(E3_DALLE, "0.12", images=1)


def test_E3_images_that_are_billed_in_tokens_cost_these(book: Book) -> None:
    # Ten text tokens at 5, forty image tokens at 10, a thousand at 40 dollars per million.
    book.check(E3_GPT_IMAGE, "0.04045", uncached_input_tokens=10, input_image_tokens=40,
               output_image_tokens=1000)  # fmt: skip


CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn", "metrics": {"latencyMs": 5},
    "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
}  # fmt: skip
ASK_BEDROCK = {"messages": [{"role": "user", "content": [{"text": "x" * 80}]}]}
E5 = [
    case(f"E5-{at}", [json_answer(CONVERSE)], provider="bed", body=ASK_BEDROCK,
         path="/model/amazon.nova-lite-v1%3A0/converse")
    for at in range(200)
]  # fmt: skip


def test_E5_none_of_two_hundred_bedrock_calls_costs_nothing(book: Book) -> None:
    for name in E5:
        # 0.06 and 0.24 dollars per million tokens.
        book.check(name, "0.000084", uncached_input_tokens=1000, visible_output_tokens=100)

"""Recorded usage of Gemini, Vertex, Cohere and Ollama: our kinds against what they say they bill.

The recordings live beside the repository and are read from there; without them only this module is
skipped.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from genai_prices import extract_usage

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Metering,
    Status,
    UsageSource,
)
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from tollbook.dialects.base import Measured

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "usage_corpus.jsonl.gz"
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the recorded usage objects are absent")

ENDPOINTS = {
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "batchEmbedContents": "gemini",
    "interactions": "gemini",
    "v2/chat": "cohere",
    "v1/chat": "cohere",
    "embed": "cohere",
    "rerank": "cohere",
    "generate": "",
    "chat": "ollama",
}
PATHS = {
    "generateContent": "/v1beta/models/m:generateContent",
    "streamGenerateContent": "/v1beta/models/m:streamGenerateContent",
    "batchEmbedContents": "/v1beta/models/m:batchEmbedContents",
    "interactions": "/v1beta/interactions",
    "v2/chat": "/v2/chat",
    "v1/chat": "/v1/chat",
    "embed": "/v2/embed",
    "rerank": "/v2/rerank",
    "chat": "/api/chat",
}


class Row(NamedTuple):
    """One recorded answer."""

    provider: str
    endpoint: str
    is_stream: bool
    last: dict[str, Any]
    measured: Measured

    @property
    def kinds(self) -> Any:
        assert self.measured.kinds is not None, self
        return self.measured.kinds


def measure(dialect: str, path: str, model: str | None, usages: list[dict[str, Any]]) -> Measured:
    """Return what the ledger makes of these usage objects, kept as the gateway keeps them."""
    speaks = dialect_named(dialect)
    route = speaks.route("POST", path)
    assert route.metering is Metering.METERED, path
    opened = CallOpened(
        bytes(16), 1, Identity(), "p", dialect, route.operation, route.metering, "POST", path, model
    )
    raw = tuple(json.dumps(usage).encode() for usage in usages)
    closed = CallClosed(bytes(16), 2, Status.OK, usage=raw, usage_complete=True)
    return speaks.measure(Call(opened, closed, Evidence("w", 0, 0, "1")))


@cache
def rows() -> tuple[Row, ...]:
    found = []
    with gzip.open(CORPUS, "rt", encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            endpoint, provider = record["endpoint"], record["provider"]
            dialect = ENDPOINTS.get(endpoint)
            if endpoint == "generate":
                dialect = provider
            if dialect is None or provider in {"writer", "voyage"}:  # APIs of their own
                continue
            path = PATHS.get(endpoint) or (
                "/api/generate" if dialect == "ollama" else "/v1/generate"
            )
            usages = [usage for body in record["usages"] for usage in body]
            usages = [usage for usage in usages if isinstance(usage, dict)]
            if usages:
                measured = measure(dialect, path, record["model"], usages)
                found.append(Row(provider, endpoint, record["stream"], usages[-1], measured))
    return tuple(found)


def of(*providers: str) -> list[Row]:
    return [row for row in rows() if row.provider in providers]


GOOGLE = ("gemini", "vertex", "localhost")


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    assert Counter((row.provider, row.is_stream) for row in rows()) == {
        ("gemini", False): 505,
        ("gemini", True): 105,
        ("vertex", False): 160,
        ("vertex", True): 12,
        ("localhost", False): 2,
        ("localhost", True): 1,
        ("cohere", False): 70,
        ("cohere", True): 15,
        ("ollama", False): 6,
        ("ollama", True): 2,
    }


def test_every_recorded_usage_is_read_and_no_kind_is_negative() -> None:
    estimated: Counter[tuple[str, str]] = Counter()
    for row in rows():
        assert min(row.kinds) >= 0, row
        if row.measured.source is not UsageSource.REPORTED:
            assert row.measured.source is UsageSource.ESTIMATED
            estimated[row.provider, row.measured.problems[-1].partition(":")[0]] += 1
    lacks_output = "the provider's usage has no count of the output"
    assert estimated == {
        ("gemini", "the provider's usage has no count of the input"): 1,
        ("ollama", lacks_output): 8,  # the recordings kept the count of the prompt only
    }


def test_google_s_input_and_output_are_what_the_total_says() -> None:
    for row in of(*GOOGLE):
        total = row.last.get("totalTokenCount", row.last.get("total_tokens"))
        if total is not None:
            assert row.kinds.input_tokens + row.kinds.output_tokens == total, row


def test_google_s_counts_are_where_they_belong() -> None:
    for row in of(*GOOGLE):
        last, kinds = row.last, row.kinds
        if row.endpoint == "interactions":
            assert kinds.reasoning_tokens == last["total_thought_tokens"]
            assert kinds.output_tokens == last["total_output_tokens"] + kinds.reasoning_tokens
            continue
        prompt = last.get("promptTokenCount", 0) + last.get("toolUsePromptTokenCount", 0)
        assert kinds.input_tokens == prompt, row
        assert kinds.reasoning_tokens == last.get("thoughtsTokenCount", 0), row
        assert kinds.output_tokens - kinds.reasoning_tokens == last.get("candidatesTokenCount", 0)
        cached = kinds.cache_read_tokens + kinds.cache_read_image_tokens
        assert cached + kinds.cache_read_audio_tokens == last.get("cachedContentTokenCount", 0)
        listed = {
            each["modality"]: each.get("tokenCount", 0)
            for each in last.get("promptTokensDetails") or ()
        }
        assert kinds.input_audio_tokens + kinds.cache_read_audio_tokens == listed.get("AUDIO", 0)


def test_google_s_contradictions_are_these() -> None:
    """One stream ends in counts without its output, by a total that leaves it out too."""
    found = [problem for row in of(*GOOGLE) for problem in row.measured.problems]
    assert len([problem for problem in found if "leaves out 21 candidate" in problem]) == 1
    assert len([problem for problem in found if "no count of the input" in problem]) == 1
    assert len(found) == 2


def test_google_s_tiers_are_these() -> None:
    assert Counter(row.measured.tier for row in of(*GOOGLE)) == {None: 784, "flex": 1}


def test_the_price_list_s_own_reading_is_the_same() -> None:
    """Where it reads at all: it stumbles over modalities that gRPC clients log as numbers."""
    differing: Counter[str] = Counter()
    for row in of(*GOOGLE):
        if row.endpoint not in {"generateContent", "streamGenerateContent"}:
            continue
        answer = {"modelVersion": "gemini-2.5-flash", "usageMetadata": row.last}
        try:
            theirs = extract_usage(answer, provider_id="google").usage
        except AttributeError:
            differing["modalities as numbers are refused"] += 1
            continue
        kinds = row.kinds
        if (theirs.input_tokens or 0) != kinds.input_tokens:
            differing["input"] += 1
        if (theirs.output_tokens or 0) != kinds.output_tokens:
            differing["output"] += 1
        cached = kinds.cache_read_tokens + kinds.cache_read_audio_tokens
        if (theirs.cache_read_tokens or 0) != cached + kinds.cache_read_image_tokens:
            differing["cached"] += 1
    assert differing == {"modalities as numbers are refused": 8}


def test_cohere_bills_its_billed_units() -> None:
    beside: Counter[bool] = Counter()
    for row in of("cohere"):
        billed = row.last.get("billed_units", row.last)
        assert row.kinds.input_tokens == billed.get("input_tokens", 0) + billed.get(
            "image_tokens", 0
        )
        assert row.kinds.output_tokens == billed.get("output_tokens", 0)
        assert row.kinds.search_units == billed.get("search_units", 0)
        assert row.measured.problems == ()
        tokens = row.last.get("tokens")
        if tokens:
            beside[billed["input_tokens"] <= tokens["input_tokens"]] += 1
    assert beside == {True: 59, False: 2}, "two answers were billed for more than was read"


def test_ollama_counts_the_prompt() -> None:
    for row in of("ollama"):
        assert row.kinds.uncached_input_tokens == row.last["prompt_eval_count"]

"""Recorded usage objects of real providers: our kinds against what each provider says it bills.

The recordings live beside the repository and are read from there; without them only this module is
skipped.
"""

from __future__ import annotations

import gzip
import json
import warnings
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
from tollbook.dialects.base import Measured, RequestFacts
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from tollbook.usage import Kinds

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "usage_corpus.jsonl.gz"
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the recorded usage objects are absent")

OPERATIONS = {
    "chat/completions": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "responses": "responses",
    "messages": "chat",
}


class Row(NamedTuple):
    """One recorded answer in one of the two dialects."""

    dialect: str
    provider: str
    endpoint: str
    is_stream: bool
    usages: list[dict[str, Any]]
    measured: Measured

    @property
    def kinds(self) -> Kinds:
        assert self.measured.kinds is not None, self
        return self.measured.kinds

    @property
    def last(self) -> dict[str, Any]:
        """The final counts: a later null says nothing."""
        merged: dict[str, Any] = {}
        for usage in self.usages:
            merged |= {name: value for name, value in usage.items() if value is not None}
        return merged


def measure(dialect: str, endpoint: str, usages: list[dict[str, Any]]) -> Measured:
    opened = CallOpened(
        call_id=b"0" * 16,
        started_at_ns=1,
        identity=Identity(),
        provider="p",
        dialect=dialect,
        operation=OPERATIONS[endpoint],
        metering=Metering.METERED,
        method="POST",
        path="/",
    )
    closed = CallClosed(
        call_id=b"0" * 16,
        closed_at_ns=2,
        status=Status.OK,
        usage=tuple(json.dumps(usage).encode() for usage in usages),
        usage_complete=True,
    )
    return dialect_named(dialect).measure(Call(opened, closed, Evidence("w", 0, 0, "1")))


@cache
def rows() -> tuple[Row, ...]:
    found = []
    with gzip.open(CORPUS, "rt", encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            endpoint, is_stream = record["endpoint"], record["stream"]
            if endpoint not in OPERATIONS:
                continue
            dialect = "anthropic" if endpoint == "messages" else "openai"
            # A plain answer has one usage; where a recording found several, the others lie deeper.
            bodies = record["usages"] if is_stream else record["usages"][:1]
            usages = [usage for body in bodies for usage in (body if is_stream else body[:1])]
            usages = [usage for usage in usages if isinstance(usage, dict)]
            if usages:
                measured = measure(dialect, endpoint, usages)
                found.append(
                    Row(dialect, record["provider"], endpoint, is_stream, usages, measured)
                )
    return tuple(found)


def problems_by_provider(dialect: str) -> Counter[tuple[str, str]]:
    """Count rows with a problem, by provider and the words that tell which."""
    words = (
        "cut to the input",
        "hidden reasoning",
        "input audio",
        "image tokens were read as cached",
        "billed by its length",
        "no lifetime",
    )
    found: Counter[tuple[str, str]] = Counter()
    for row in rows():
        if row.dialect == dialect:
            for problem in row.measured.problems:
                word = next((word for word in words if word in problem), problem)
                found[row.provider, word] += 1
    return found


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    by_dialect = Counter((row.dialect, row.is_stream) for row in rows())
    assert by_dialect["openai", False] > 2000
    assert by_dialect["openai", True] > 400
    assert by_dialect["anthropic", False] > 450
    assert by_dialect["anthropic", True] > 150


def test_every_recorded_usage_is_reported_and_no_kind_is_negative() -> None:
    for row in rows():
        assert row.measured.source is UsageSource.REPORTED, row
        assert min(row.kinds) >= 0, row


def test_openai_input_and_output_are_what_the_total_says() -> None:
    """Every recording with a total ties out, also the contradictory ones: the total decides."""
    for row in rows():
        total = row.last.get("total_tokens")
        if row.dialect == "openai" and total is not None:
            # Mistral bills audio by its length: its tokens are in the total and in no kind.
            by_length = _audio_tokens(row) if row.kinds.audio_ms else 0
            assert row.kinds.input_tokens + row.kinds.output_tokens + by_length == total, row


def _audio_tokens(row: Row) -> int:
    tokens: int = row.last["prompt_tokens_details"]["audio_tokens"]
    return tokens


def test_openai_input_is_the_prompt_and_output_the_completion() -> None:
    exceptions: Counter[str] = Counter()
    for row in rows():
        if row.dialect != "openai":
            continue
        prompt = row.last.get("prompt_tokens", row.last.get("input_tokens"))
        completion = row.last.get("completion_tokens", row.last.get("output_tokens")) or 0
        if (row.kinds.input_tokens, row.kinds.output_tokens) != (prompt, completion):
            exceptions[row.provider] += 1
    assert exceptions == {
        "voyage": 3,  # gives a total only
        "gemini": 2,  # thinking is billed as output and shown in the total only
    }


def test_openai_contradictions_are_these() -> None:
    assert problems_by_provider("openai") == {
        ("azure_ai", "cut to the input"): 19,  # hosted Grok: more cached than sent
        ("gemini", "hidden reasoning"): 2,
        ("azure_ai", "image tokens were read as cached"): 3,  # the same, with an image
        ("mistral", "input audio"): 1,
        ("mistral", "billed by its length"): 1,
    }


def test_openai_details_are_parts_of_the_sums() -> None:
    for row in rows():
        if row.dialect != "openai" or row.measured.problems:
            continue
        last = row.last
        given = last.get("prompt_tokens_details") or last.get("input_tokens_details") or {}
        below = last.get("completion_tokens_details") or last.get("output_tokens_details") or {}
        assert row.kinds.reasoning_tokens == (below.get("reasoning_tokens") or 0), row
        assert row.kinds.output_audio_tokens == (below.get("audio_tokens") or 0), row
        assert row.kinds.cache_write_5m_tokens == (given.get("cache_write_tokens") or 0), row
        if given.get("cached_tokens"):
            assert row.kinds.cache_read_tokens == given["cached_tokens"], row
        hit = last.get("prompt_cache_hit_tokens")
        if hit is not None:
            assert row.kinds.cache_read_tokens == hit, row
            assert row.kinds.uncached_input_tokens == last["prompt_cache_miss_tokens"], row


def test_anthropic_kinds_are_the_counts_of_the_last_event() -> None:
    beside: Counter[str] = Counter()
    for row in rows():
        if row.dialect != "anthropic":
            continue
        kinds, last = row.kinds, row.last
        if any(each.get("type") != "message" for each in last.get("iterations") or ()):
            beside[row.provider] += 1
            continue
        assert kinds.uncached_input_tokens == (last.get("input_tokens") or 0), row
        assert kinds.cache_read_tokens == (last.get("cache_read_input_tokens") or 0), row
        written = kinds.cache_write_5m_tokens + kinds.cache_write_1h_tokens
        assert written == (last.get("cache_creation_input_tokens") or 0), row
        assert kinds.output_tokens == last["output_tokens"], row
        tools = last.get("server_tool_use") or {}
        assert kinds.web_search_requests == (tools.get("web_search_requests") or 0), row
    assert beside == {"anthropic": 3}


def test_anthropic_passes_beside_the_answer_are_parts() -> None:
    labels: Counter[str] = Counter()
    for row in rows():
        passes = row.last.get("iterations") or ()
        if row.dialect == "anthropic" and any(each["type"] != "message" for each in passes):
            parts = row.measured.further
            labels.update(part.label for part in parts)
            billed = [row.kinds, *(part.kinds for part in parts)]
            assert sum(kinds.uncached_input_tokens for kinds in billed) == sum(
                each["input_tokens"] for each in passes
            )
            assert sum(kinds.output_tokens for kinds in billed) == sum(
                each["output_tokens"] for each in passes
            )
            assert row.kinds.uncached_input_tokens == row.last["input_tokens"]
    assert labels == {"advisor_message": 2, "compaction": 1}


def test_anthropic_contradictions_are_these() -> None:
    assert problems_by_provider("anthropic") == {
        ("anthropic", "no lifetime"): 8,  # server tools wrote to the cache after message_start
    }


FLAVORS = {"responses": "responses", "embeddings": "embeddings"}


def extracted(row: Row) -> dict[str, int] | str:
    """Return what genai-prices reads in the same usage, or the name of the error it raises.

    Its extractors of OpenAI and Anthropic stand for all servers that speak like them; the model
    only has to exist.
    """
    if row.dialect == "anthropic":
        body = {"model": "claude-sonnet-4-5", "usage": {**row.usages[0], **row.last}}
        provider, flavor = "anthropic", "default"
    else:
        body = {"model": "gpt-4o", "usage": row.last}
        provider, flavor = "openai", FLAVORS.get(row.endpoint, "chat")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            usage = extract_usage(body, provider_id=provider, api_flavor=flavor).usage
        return {
            "input": int(usage.input_tokens),
            "output": int(usage.output_tokens),
            "cache read": int(usage.cache_read_tokens),
            "cache write": int(usage.cache_write_tokens),
            "audio in": int(usage.input_audio_tokens),
            "audio out": int(usage.output_audio_tokens),
        }
    except ValueError as error:
        return type(error).__name__


EXPLAINED = {
    ("azure_ai", "cache read"): 19,  # it lets more be cached than was sent
    ("gemini", "output"): 2,  # it leaves out thinking that only the total shows
    ("mistral", "cache read"): 11,  # num_cached_tokens: its OpenAI extractor does not know it
    ("mistral", "audio in"): 1,  # audio beside the prompt, billed by its length
    ("openai", "ValueError"): 2,  # text completions that made no token and leave the field out
    ("voyage", "ValueError"): 3,  # a total only
}


def test_genai_prices_reads_the_same_but_for_these() -> None:
    differences: Counter[tuple[str, str]] = Counter()
    same = 0
    for row in rows():
        theirs = extracted(row)
        kinds = row.kinds
        ours = {
            "input": kinds.input_tokens,
            "output": kinds.output_tokens,
            "cache read": kinds.cache_read_tokens,
            "cache write": kinds.cache_write_5m_tokens + kinds.cache_write_1h_tokens,
            "audio in": kinds.input_audio_tokens,
            "audio out": kinds.output_audio_tokens,
        }
        if theirs == ours:
            same += 1
        elif isinstance(theirs, str):
            differences[row.provider, theirs] += 1
        else:
            unequal = ", ".join(name for name in ours if ours[name] != theirs[name])
            differences[row.provider, unequal] += 1
    assert same > 3200
    assert differences == EXPLAINED


def chunk_of(row: Row, usage: dict[str, Any]) -> dict[str, Any]:
    if row.endpoint == "responses":
        return {"type": "response.completed", "response": {"id": "r", "usage": usage}}
    return {"id": "c", "model": "m", "choices": [], "usage": usage}


def test_the_meters_hand_over_recorded_streams_unchanged() -> None:
    """Usage that passes through a stream meter measures as the recorded objects do."""
    replayed = 0
    for row in rows():
        if not row.is_stream or len(row.usages) > 16:
            continue
        dialect = dialect_named(row.dialect)
        if row.dialect == "anthropic":
            kinds = ["message_start", *["message_delta"] * (len(row.usages) - 1)]
            events: list[dict[str, Any]] = [
                {"type": kind, "message": {"usage": usage}, "usage": usage}
                for kind, usage in zip(kinds, row.usages, strict=True)
            ]
        else:
            events = [chunk_of(row, usage) for usage in row.usages]
        body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        route = dialect.route("POST", f"/v1/{row.endpoint}")
        head = {b"content-type": b"text/event-stream"}
        meter = dialect.meter(route, RequestFacts(b""), 200, head)
        meter.feed(body)
        seen = [json.loads(raw) for raw in meter.result().usage]
        assert seen == row.usages
        replayed += 1
    assert replayed > 550

"""Bedrock usage as disjoint kinds: facts, contradictions, and the recorded usage of real calls."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from tollbook.dialects.base import Part, RequestFacts
from tollbook.dialects.registry import dialect_named
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tollbook.dialects.base import Measured

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "usage_corpus.jsonl.gz"
BEDROCK = dialect_named("bedrock")


def measure(
    *usage: Any,
    operation: str = "chat",
    model: str | None = "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    asked: dict[str, str | int] | None = None,
    **closed: Any,
) -> Measured:
    raw = tuple(u if isinstance(u, bytes) else json.dumps(u).encode() for u in usage)
    how: dict[str, Any] = {"usage_complete": bool(raw), "status": Status.OK} | closed
    opened = CallOpened(
        call_id=b"0" * 16, started_at_ns=1, identity=Identity(), provider="bedrock",
        dialect="bedrock", operation=operation, metering=Metering.METERED, method="POST",
        path="/", model_requested=model, input_chars=40, asked=asked,
    )  # fmt: skip
    ended = CallClosed(call_id=b"0" * 16, closed_at_ns=2, usage=raw, **how)
    return BEDROCK.measure(Call(opened, ended, Evidence("w", 0, 0, "1")))


def converse(given: int, out: int, total: int | None = None, **more: Any) -> dict[str, Any]:
    whole = given + out if total is None else total
    return {"inputTokens": given, "outputTokens": out, "totalTokens": whole, **more}


def head(given: int | None, out: int | None = None, **more: int) -> dict[str, int]:
    found = {"input-token-count": given, "output-token-count": out, **more}
    return {f"x-amzn-bedrock-{name}": n for name, n in found.items() if n is not None}


def metrics(given: int, out: int, **more: int) -> dict[str, int]:
    return {"inputTokenCount": given, "outputTokenCount": out, "invocationLatency": 9, **more}


CACHED = {
    "cacheReadInputTokens": 100, "cacheReadInputTokenCount": 100,
    "cacheWriteInputTokens": 40, "cacheWriteInputTokenCount": 40,
}  # fmt: skip
CASES = [
    pytest.param([converse(16, 40)], Kinds(16, visible_output_tokens=40), 0, id="converse"),
    pytest.param([converse(0, 0)], Kinds(), 0, id="an explicit zero is zero"),
    pytest.param(
        [converse(3, 8, 151, **CACHED)],
        Kinds(3, 100, 40, visible_output_tokens=8),
        0,
        id="the cache is beside the input, and its two names are one count",
    ),
    pytest.param(
        [
            converse(
                3, 8, 151, **CACHED,
                cacheDetails=[{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 10}],
            )
        ],
        Kinds(3, 100, 10, 30, visible_output_tokens=8),
        0,
        id="cache writes by lifetime",
    ),
    pytest.param(
        [converse(3, 8, 151, **CACHED, cacheDetails=[{"ttl": "1h", "inputTokens": 30}])],
        Kinds(3, 100, 10, 30, visible_output_tokens=8),
        1,
        id="a part of the writes has no lifetime",
    ),
    pytest.param(
        [converse(3, 8, 151, **CACHED, cacheDetails=[{"ttl": "1h", "inputTokens": 70}])],
        Kinds(3, 100, 0, 40, visible_output_tokens=8),
        1,
        id="more is split than was written",
    ),
    pytest.param(
        [converse(3, 8, 111, cacheReadInputTokens=100, cacheReadInputTokenCount=90)],
        Kinds(3, 100, visible_output_tokens=8),
        1,
        id="two names that differ",
    ),
    pytest.param(
        [converse(120, 8, 128, cacheReadInputTokens=100)],
        Kinds(20, 100, visible_output_tokens=8),
        1,
        id="a total that has the cache inside the input",
    ),
    pytest.param(
        [converse(12, 8, 99)], Kinds(12, visible_output_tokens=8), 1, id="a total that fits nothing"
    ),
    pytest.param(
        [{"inputTokens": 12, "outputTokens": 13}, metrics(12, 13, cacheReadInputTokenCount=0)],
        Kinds(12, visible_output_tokens=13),
        0,
        id="nova in a stream",
    ),
    pytest.param(
        [{"input_tokens": 702, "output_tokens": 1}, {"output_tokens": 130}, metrics(702, 98)],
        Kinds(702, visible_output_tokens=130),
        1,
        id="the body goes before the invocation metrics",
    ),
    pytest.param(
        [{"input_tokens": 3, "output_tokens": 44, "cache_read_input_tokens": 9511},
         head(3, 44, **{"cache-read-input-token-count": 9511})],
        Kinds(3, 9511, visible_output_tokens=44),
        0,
        id="a head that says the same",
    ),
    pytest.param(
        [{"input_tokens": 3, "output_tokens": 44}, head(3, 40)],
        Kinds(3, visible_output_tokens=44),
        1,
        id="the body goes before the head",
    ),
    pytest.param(
        [head(18, 50)], Kinds(18, visible_output_tokens=50), 0, id="cohere counts in the head only"
    ),
    pytest.param(
        [head(18, 50, **{"cache-read-input-token-count": 7, "cache-write-input-token-count": 2})],
        Kinds(18, 7, 2, visible_output_tokens=50),
        0,
        id="a head with cache counts alone",
    ),
    pytest.param(
        [{"inputTextTokenCount": 18}, head(18, 50)],
        Kinds(18, visible_output_tokens=50),
        0,
        id="the head fills what the body does not count",
    ),
    pytest.param(
        [{"inputTextTokenCount": 5, "tokenCount": 10}],
        Kinds(5, visible_output_tokens=10),
        0,
        id="titan",
    ),
    pytest.param(
        [{"prompt_token_count": 9, "generation_token_count": 1}, {"generation_token_count": 7}],
        Kinds(9, visible_output_tokens=7),
        0,
        id="llama counts output cumulatively",
    ),
    pytest.param(
        [{"prompt_tokens": 6, "completion_tokens": 100, "total_tokens": 106}, head(6, 100)],
        Kinds(6, visible_output_tokens=100),
        0,
        id="an imported model that speaks like OpenAI",
    ),
    pytest.param(
        [{"inputTextTokenCount": 5, "embeddings": True}],
        Kinds(5),
        0,
        id="embeddings behind a profile",
    ),
    pytest.param([{"embeddings": True}, head(5)], Kinds(5), 0, id="embeddings of cohere"),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "kinds", "problems"), CASES)
def test_usage(usage: list[dict[str, Any]], kinds: Kinds, problems: int) -> None:
    measured = measure(*usage)
    assert (measured.kinds, measured.source) == (kinds, UsageSource.REPORTED)
    assert len(measured.problems) == problems, measured.problems


def test_guardrail_units_are_not_tokens() -> None:
    measured = measure({"topicPolicyUnits": 1, "contentPolicyUnits": 1}, output_chars=8)
    assert measured.source is UsageSource.ESTIMATED
    assert measured.kinds == Kinds(10, visible_output_tokens=2)


def test_embeddings_have_no_output() -> None:
    measured = measure({"inputTextTokenCount": 5}, operation="embeddings")
    assert (measured.kinds, measured.source) == (Kinds(5), UsageSource.REPORTED)


def test_passes_of_other_models_are_parts() -> None:
    passes = [
        {"type": "message", "input_tokens": 1, "output_tokens": 1},
        {
            "type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 5,
            "output_tokens": 6,
        },
    ]  # fmt: skip
    measured = measure({"input_tokens": 1, "output_tokens": 1, "iterations": passes})
    assert measured.kinds == Kinds(1, visible_output_tokens=1)
    kinds = Kinds(5, visible_output_tokens=6, requests=0)
    assert measured.further == (Part(kinds, "claude-opus-4-8", "advisor_message"),)


@pytest.mark.parametrize(
    ("model", "usage", "told", "tier"),
    [
        ("x.y", {}, "flex", None),
        ("x.y", {"speed": "fast"}, None, "fast"),
        ("x.y", {"speed": "fast"}, "priority", "priority+fast"),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/a", {}, None, "provisioned"),
        (None, {}, None, None),
    ],
)
def test_what_the_price_depends_on(
    model: str | None, usage: dict[str, Any], told: str | None, tier: str | None
) -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "inference_geo": "us", **usage}
    measured = measure(usage, model=model, service_tier=told)
    assert measured.tier == tier, "None: the answer's own tier"
    assert measured.region is None, "the inference profile tells, not the model's maker"


@pytest.mark.parametrize(
    ("documents", "searches"), [(1, 1), (100, 1), (101, 2), (1000, 10), (None, 1)]
)
def test_rerank_is_billed_by_the_search(documents: int | None, searches: int) -> None:
    asked: dict[str, str | int] | None = None if documents is None else {"documents": documents}
    measured = measure(operation="rerank", asked=asked)
    assert (measured.kinds, measured.source) == (
        Kinds(search_units=searches),
        UsageSource.ESTIMATED,
    )
    assert len(measured.problems) == 1
    assert measure(operation="rerank", is_billable=False).kinds is None


def test_images_are_billed_by_the_piece() -> None:
    asked: dict[str, str | int] = {"images": 3, "quality": "premium", "size": "1024x1024"}
    made = measure({"images": 2}, operation="image", asked=asked)
    assert (made.kinds, made.source) == (Kinds(images=2), UsageSource.REPORTED)
    assert made.tier == "premium+1024x1024"
    unseen = measure(operation="image", asked=asked)
    assert (unseen.kinds, unseen.source) == (Kinds(images=3), UsageSource.ESTIMATED)
    assert measure(operation="image", is_billable=False).kinds is None


_name = st.sampled_from(
    [
        "inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens",
        "cacheReadInputTokenCount", "cacheWriteInputTokens", "cacheDetails", "inputTextTokenCount",
        "tokenCount", "prompt_token_count", "generation_token_count", "images", "embeddings",
        "inputTokenCount", "outputTokenCount", "x-amzn-bedrock-input-token-count",
        "x-amzn-bedrock-output-token-count", "input_tokens", "output_tokens", "prompt_tokens",
        "completion_tokens",
    ]
)  # fmt: skip
_odd = (
    st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.booleans()
    | st.lists(st.dictionaries(st.sampled_from(["ttl", "inputTokens"]), st.integers()), max_size=2)
)  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(_name, st.integers(0, 10**6) | _odd, max_size=6), max_size=4),
    st.sampled_from(["chat", "embeddings", "rerank", "image"]),
)
def test_no_usage_raises_and_no_kind_is_negative(
    usages: list[dict[str, Any]], operation: str
) -> None:
    measured = measure(*usages, operation=operation)
    assert measured.kinds is not None
    assert min(measured.kinds) >= 0


class Row(NamedTuple):
    """One recorded answer."""

    endpoint: str
    model: str
    bodies: list[Any]
    counted: dict[str, int]
    measured: Measured

    @property
    def kinds(self) -> Kinds:
        assert self.measured.kinds is not None, self
        return self.measured.kinds


NOT_RUNTIME = frozenset({"apply", "responses", "chat/completions", "text", "default_session_id2"})
"""Guardrails, Bedrock's OpenAI endpoints (dialect openai) and agents."""


@cache
def rows() -> tuple[Row, ...]:
    found = []
    with gzip.open(CORPUS, "rt", encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if record["provider"] != "bedrock" or record["endpoint"] in NOT_RUNTIME:
                continue
            model = unquote(record["host_path"].partition("/model/")[2]).rpartition("/")[0]
            bodies = [body for each in record["usages"] for body in each]
            counted = {
                name: int(n) for name, n in record["headers"].items() if name.endswith("count")
            }
            route = BEDROCK.route("POST", f"/model/{model}/{record['endpoint']}")
            if "profile_embed" in record["path"]:
                bodies.append({"embeddings": True})  # what the meter sees beside the count
            kept = [*bodies, counted] if counted else bodies
            measured = measure(*kept, operation=route.operation, model=route.model)
            found.append(Row(record["endpoint"], model, bodies, counted, measured))
    return tuple(found)


needs_corpus = pytest.mark.skipif(
    not CORPUS.exists(), reason="the recorded usage objects are absent"
)


@needs_corpus
def test_recorded_usage_is_large_enough_to_mean_something() -> None:
    assert Counter(row.endpoint for row in rows()) == {
        "converse": 181, "converse-stream": 34, "invoke": 42, "invoke-with-response-stream": 32,
    }  # fmt: skip


@needs_corpus
def test_every_recorded_usage_is_reported_but_guardrails_alone() -> None:
    estimated: Counter[str] = Counter()
    for row in rows():
        assert min(row.kinds) >= 0, row
        if row.measured.source is not UsageSource.REPORTED:
            assert all("topicPolicyUnits" in body for body in row.bodies), row
            estimated[row.endpoint] += 1
    # The recorder kept the guardrail's units of this stream, not the invocation metrics.
    assert estimated == {"invoke-with-response-stream": 1}


@needs_corpus
def test_recorded_totals_are_the_sum_of_the_kinds() -> None:
    cached = 0
    for row in rows():
        for body in row.bodies:
            if "totalTokens" in body:
                kinds = row.kinds
                assert kinds.input_tokens + kinds.output_tokens == body["totalTokens"], row
                assert kinds.uncached_input_tokens == body["inputTokens"], row
                read = body.get("cacheReadInputTokens") or body.get("cacheReadInputTokenCount")
                assert kinds.cache_read_tokens == (read or 0), row
                cached += kinds.input_tokens > kinds.uncached_input_tokens
    assert cached > 5


@needs_corpus
def test_recorded_heads_say_what_the_bodies_say() -> None:
    seen = 0
    for row in rows():
        if row.counted:
            given = row.counted["x-amzn-bedrock-input-token-count"]
            out = row.counted.get("x-amzn-bedrock-output-token-count", 0)
            assert (row.kinds.uncached_input_tokens, row.kinds.output_tokens) == (given, out), row
            seen += 1
    assert seen == 42


@needs_corpus
def test_recorded_contradictions_are_the_frames_of_tool_calls() -> None:
    differing = [row for row in rows() if row.measured.problems and row.bodies]
    differing = [row for row in differing if row.measured.source is UsageSource.REPORTED]
    assert len(differing) == 4
    for row in differing:
        (problem,) = row.measured.problems
        assert "invocation metrics" in problem
        counted = next(
            each["outputTokenCount"] for each in row.bodies if "outputTokenCount" in each
        )
        assert 0.67 * row.kinds.output_tokens < counted < row.kinds.output_tokens, row


def _answer(row: Row) -> tuple[bytes, dict[bytes, bytes]]:
    heads = {name.encode(): str(n).encode() for name, n in row.counted.items()}
    body: dict[str, Any] = {}
    for usage in row.bodies:
        if usage.keys() & {"inputTextTokenCount", "prompt_token_count", "embeddings"}:
            body |= usage
        elif "topicPolicyUnits" in usage:
            body["trace"] = {"guardrail": {"usage": usage}}
        else:
            body["usage"] = usage
    return json.dumps(body).encode(), {b"content-type": b"application/json", **heads}


@needs_corpus
def test_the_meter_hands_recorded_answers_over_unchanged() -> None:
    replayed = 0
    for row in rows():
        if row.endpoint not in {"converse", "invoke"}:
            continue
        body, heads = _answer(row)
        route = BEDROCK.route("POST", f"/model/{row.model}/{row.endpoint}")
        meter = BEDROCK.meter(route, RequestFacts(b""), 200, heads)
        assert meter.feed(body) == body
        seen = meter.result()
        again = measure(
            *seen.usage, operation=route.operation, model=route.model,
            usage_complete=seen.usage_complete, output_chars=seen.output_chars,
        )  # fmt: skip
        if row.measured.source is UsageSource.REPORTED:
            assert again.kinds == row.kinds, row
            replayed += 1
    assert replayed > 215

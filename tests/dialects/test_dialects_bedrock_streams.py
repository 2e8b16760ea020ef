"""Bedrock's event streams: converse, and invoke of each model family, whole and broken off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dialects.aws_kit import event, exception
from tests.dialects.bedrock_kit import (
    ARN,
    CLAUDE,
    JSON,
    USAGE,
    chunk,
    converse_event,
    objects,
    route,
    run,
)

CONVERSE = (
    converse_event("messageStart", {"role": "assistant"})
    + converse_event("contentBlockDelta", {"delta": {"reasoningContent": {"text": "hm"}}})
    + converse_event("contentBlockDelta", {"delta": {"text": "Hello"}})
    + converse_event("contentBlockStart", {"start": {"toolUse": {"name": "find"}}})
    + converse_event("contentBlockDelta", {"delta": {"toolUse": {"input": "{}"}}})
    + converse_event("contentBlockStop", {"contentBlockIndex": 0})
    + converse_event("messageStop", {"stopReason": "end_turn"})
)
END = converse_event(
    "metadata",
    {"usage": USAGE, "metrics": {"latencyMs": 5}, "serviceTier": {"type": "flex"},
     "trace": {"guardrail": {"usage": {"topicPolicyUnits": 9}}}},
)  # fmt: skip


def test_a_converse_stream() -> None:
    seen = run(CONVERSE + END)
    assert objects(seen) == [USAGE]
    assert (seen.usage_complete, seen.stream_ended) == (True, True)
    assert (seen.output_chars, seen.output_events) == (13, 4)
    assert (seen.model_actual, seen.service_tier, seen.error_type) == (CLAUDE, "flex", None)


def test_a_converse_stream_that_breaks_off() -> None:
    seen = run(CONVERSE + END[:-3])
    assert (seen.usage, seen.usage_complete, seen.stream_ended) == ((), False, False)
    assert seen.output_chars == 13


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=30))
def test_any_chunking_gives_the_same(cuts: list[int]) -> None:
    assert run(CONVERSE + END, cuts=cuts) == run(CONVERSE + END)


def test_an_exception_in_a_stream() -> None:
    seen = run(CONVERSE + exception("throttlingException"))
    assert (seen.error_type, seen.usage_complete) == ("throttlingException", False)
    assert seen.output_events == 4


@pytest.mark.parametrize("odd", [b"[1]", b'{"delta":{"text":3}}', b'{"delta":3}', b"\xff", b""])
def test_unexpected_events_do_not_lose_the_usage(odd: bytes) -> None:
    assert objects(run(event("contentBlockDelta", odd) + event("odd", odd) + END)) == [USAGE]


def test_the_model_behind_a_prompt_router() -> None:
    router = ARN + "default-prompt-router/anthropic.claude:1"
    used = ARN + "inference-profile/eu.anthropic.claude-3-haiku-20240307-v1:0"
    answer = json.dumps({"usage": USAGE, "trace": {"promptRouter": {"invokedModelId": used}}})
    plain = run(answer.encode(), JSON, on=route("converse", router))
    assert plain.model_actual == "eu.anthropic.claude-3-haiku-20240307-v1:0"


METRICS = {"inputTokenCount": 21, "outputTokenCount": 22, "invocationLatency": 1}


def test_a_stream_of_anthropic_events() -> None:
    body = b"".join(
        (
            chunk(
                {
                    "type": "message_start",
                    "message": {
                        "id": "msg_1", "model": "claude-sonnet-4-5-20250929",
                        "usage": {"input_tokens": 21, "output_tokens": 2},
                    },
                }
            ),
            chunk(
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}}
            ),
            chunk({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 22}}),
            chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS}),
        )
    )  # fmt: skip
    seen = run(body, on=route("invoke-with-response-stream"), cuts=range(0, len(body), 7))
    assert objects(seen) == [
        {"input_tokens": 21, "output_tokens": 2}, {"output_tokens": 22}, METRICS,
    ]  # fmt: skip
    assert (seen.usage_complete, seen.stream_ended, seen.output_chars) == (True, True, 5)
    assert seen.provider_response_id == "msg_1"
    assert seen.model_actual == CLAUDE, "the profile's geography decides the price"
    profile = ARN + "application-inference-profile/ab12"
    told = run(body, on=route("invoke-with-response-stream", profile))
    assert told.model_actual == "claude-sonnet-4-5-20250929", "all there is to tell the model"


FAMILIES = [
    pytest.param(
        [
            {"contentBlockDelta": {"delta": {"text": "Hello"}}},
            {"metadata": {"usage": {"inputTokens": 12, "outputTokens": 13}, "metrics": {}}},
            {"messageStop": {}, "amazon-bedrock-invocationMetrics": METRICS},
        ],
        [{"inputTokens": 12, "outputTokens": 13}, METRICS],
        id="nova",
    ),
    pytest.param(
        [
            {
                "outputText": "Hello", "inputTextTokenCount": 5, "totalOutputTextTokenCount": 10,
                "amazon-bedrock-invocationMetrics": METRICS,
            }
        ],
        [{"inputTextTokenCount": 5, "totalOutputTextTokenCount": 10}, METRICS],
        id="titan",
    ),
    pytest.param(
        [
            {"generation": "Hel", "prompt_token_count": 9, "generation_token_count": 1},
            {"generation": "lo", "prompt_token_count": None, "generation_token_count": 2},
            {"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": METRICS},
        ],
        [
            {"prompt_token_count": 9, "generation_token_count": 1},
            {"generation_token_count": 2},
            METRICS,
        ],
        id="llama",
    ),
    pytest.param(
        [
            {"text": "Hello", "is_finished": False},
            {"is_finished": True, "amazon-bedrock-invocationMetrics": METRICS},
        ],
        [METRICS],
        id="cohere",
    ),
    pytest.param(
        [
            {"outputs": [{"text": "Hello", "stop_reason": None}]},
            {"outputs": [{"text": ""}], "amazon-bedrock-invocationMetrics": METRICS},
        ],
        [METRICS],
        id="mistral",
    ),
    pytest.param(
        [{"completion": "Hello", "amazon-bedrock-invocationMetrics": METRICS}],
        [METRICS],
        id="claude 2",
    ),
    pytest.param(
        [
            {"choices": [{"delta": {"content": "Hello"}}]},
            {
                "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4},
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ],
        [{"prompt_tokens": 3, "completion_tokens": 4}, METRICS],
        id="openai",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("documents", "usage"), FAMILIES)
def test_streams_of_every_family(documents: list[dict[str, Any]], usage: list[Any]) -> None:
    seen = run(b"".join(map(chunk, documents)), on=route("invoke-with-response-stream", "x.y"))
    assert objects(seen) == usage
    assert (seen.usage_complete, seen.stream_ended) == (True, True)
    assert (seen.output_chars, seen.model_actual) == (5, "x.y")


@pytest.mark.parametrize("odd", [b'{"bytes":"%%%"}', b'{"bytes":7}', b'{"bytes":"W10="}', b"x"])
def test_unexpected_chunks_do_not_lose_the_usage(odd: bytes) -> None:
    assert objects(run(event("chunk", odd) + chunk({"amazon-bedrock-invocationMetrics": METRICS})))

"""Anthropic usage: passes of several models, tiers, regions, fees; each billed once."""

from __future__ import annotations

import json
from typing import Any

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
from tollbook.dialects.anthropic_passes import same_model
from tollbook.dialects.base import Measured, Part, RequestFacts
from tollbook.dialects.registry import dialect_named
from tollbook.usage import Kinds

ANTHROPIC = dialect_named("anthropic")


def measure(*usage: Any, model: str | None = None, complete: bool = True) -> Measured:
    opened = CallOpened(
        call_id=b"0" * 16, started_at_ns=1, identity=Identity(), provider="p",
        dialect="anthropic", operation="chat", metering=Metering.METERED, method="POST", path="/",
    )  # fmt: skip
    closed = CallClosed(
        call_id=b"0" * 16, closed_at_ns=2, status=Status.OK, model_actual=model,
        usage=tuple(json.dumps(each).encode() for each in usage), usage_complete=complete,
    )  # fmt: skip
    return ANTHROPIC.measure(Call(opened, closed, Evidence("w", 0, 0, "1")))


def usage(given: int, out: int, **more: Any) -> dict[str, Any]:
    return {"input_tokens": given, "output_tokens": out, **more}


def made(kind: str, given: int, out: int, model: str | None = None, **more: Any) -> dict[str, Any]:
    named = {} if model is None else {"model": model}
    return {"type": kind, "input_tokens": given, "output_tokens": out, **named, **more}


def part(label: str, given: int, out: int, model: str | None = None, **more: int) -> Part:
    kinds = Kinds(given, visible_output_tokens=out, requests=0)._replace(**more)
    return Part(kinds, model, label)


PASSES = [
    pytest.param(
        usage(220, 8, iterations=[made("compaction", 55196, 125), made("message", 220, 8)]),
        "claude-sonnet-4-6",
        Kinds(220, visible_output_tokens=8),
        (part("compaction", 55196, 125),),
        id="compaction is billed beside the answer",
    ),
    pytest.param(
        usage(0, 0, iterations=[made("compaction", 900, 20)]),
        "claude-sonnet-4-6",
        Kinds(),
        (part("compaction", 900, 20),),
        id="an answer that pauses after compaction",
    ),
    pytest.param(
        usage(30, 4, iterations=[made("message", 10, 2), made("message", 20, 2)]),
        "claude-sonnet-4-6",
        Kinds(30, visible_output_tokens=4),
        (),
        id="turns of a tool loop are the answer's own",
    ),
    pytest.param(
        usage(
            30,
            4,
            iterations=[
                made("message", 10, 2, "claude-sonnet-5-20260901"),
                made("message", 20, 2, "claude-sonnet-5"),
            ],
        ),
        "claude-sonnet-5",
        Kinds(30, visible_output_tokens=4),
        (),
        id="turns that name their model with its date",
    ),
    pytest.param(
        usage(
            2390,
            121,
            output_tokens_details={"thinking_tokens": 28},
            server_tool_use={"web_search_requests": 2},
            iterations=[
                made("message", 1128, 110),
                made("advisor_message", 2518, 22, "claude-opus-4-8"),
                made("message", 1262, 11),
            ],
        ),
        "claude-sonnet-5",
        Kinds(2390, visible_output_tokens=93, reasoning_tokens=28, web_search_requests=2),
        (part("advisor_message", 2518, 22, "claude-opus-4-8"),),
        id="an advisor is priced at its own model",
    ),
    pytest.param(
        usage(
            412,
            264,
            iterations=[
                made("message", 408, 0, "claude-fable-5"),
                made("fallback_message", 412, 264, "claude-opus-4-8"),
            ],
        ),
        "claude-opus-4-8",
        Kinds(412, visible_output_tokens=264),
        (),
        id="a pass that was declined at once is not billed",
    ),
    pytest.param(
        usage(
            8,
            20,
            cache_creation_input_tokens=6,
            cache_creation={"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 6},
            output_tokens_details={"thinking_tokens": 5},
            iterations=[
                made("message", 10, 4, "claude-fable-5"),
                made("fallback_message", 8, 20, "claude-opus-4-8", cache_creation_input_tokens=6),
            ],
        ),
        "claude-opus-4-8",
        Kinds(8, 0, 0, 6, visible_output_tokens=15, reasoning_tokens=5),
        (part("message", 10, 4, "claude-fable-5"),),
        id="a pass that was declined late is billed at the model that made it",
    ),
    pytest.param(
        usage(
            8,
            20,
            iterations=[
                made("message", 10, 4, "claude-fable-5"),
                made("message", 30, 1, "claude-opus-4-8"),
                made("fallback_message", 8, 20, "claude-opus-4-8"),
            ],
        ),
        None,
        Kinds(38, visible_output_tokens=21),
        (part("message", 10, 4, "claude-fable-5"),),
        id="without a model in the answer the fallback is the answer",
    ),
    pytest.param(
        usage(
            8,
            20,
            iterations=[
                made("message", 10, 4, "claude-opus-4-8"),
                made("fallback_message", 8, 20, "claude-sonnet-5"),
            ],
        ),
        "claude-opus-4-8",
        Kinds(10, visible_output_tokens=4),
        (part("fallback_message", 8, 20, "claude-sonnet-5"),),
        id="a fallback of another model than the answer names",
    ),
]


@pytest.mark.parametrize(("raw", "model", "kinds", "further"), PASSES)
def test_each_pass_is_billed_at_its_own_model(
    raw: dict[str, Any], model: str | None, kinds: Kinds, further: tuple[Part, ...]
) -> None:
    measured = measure(raw, model=model)
    assert measured.source is UsageSource.REPORTED
    assert measured.problems == ()
    assert (measured.kinds, measured.further) == (kinds, further)


def test_passes_that_cannot_be_told_apart_are_named() -> None:
    unnamed = [made("message", 10, 4), made("fallback_message", 8, 20, "claude-opus-4-8")]
    measured = measure(usage(8, 20, iterations=unnamed), model="claude-opus-4-8")
    assert measured.kinds == Kinds(18, visible_output_tokens=24)
    assert "names no model" in measured.problems[0]

    uncounted = measure(usage(8, 2, iterations=[{"type": "message"}, {"type": "fallback_message"}]))
    assert uncounted.kinds == Kinds(8, visible_output_tokens=2)
    assert "only the top level" in uncounted.problems[0]


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("claude-opus-4-8", "claude-opus-4-8", True),
        ("claude-opus-4-8", "claude-opus-4-8-20260101", True),
        ("claude-opus-4-8@20260101", "claude-opus-4-8", True),
        ("claude-opus-4", "claude-opus-4-8", False),
        ("claude-opus-4-20250514", "claude-opus-4-8", False),
        (None, "claude-opus-4-8", True),
    ],
)
def test_same_model(one: str | None, other: str, are_same: bool) -> None:  # noqa: FBT001 -- a table
    assert same_model(one, other) is are_same


_count = st.integers(min_value=0, max_value=10**6)
_pass = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["message", "compaction", "advisor_message", "fallback_message"]),
        "input_tokens": _count,
        "output_tokens": _count,
    },
    optional={
        "model": st.sampled_from(["a", "b", "c"]),
        "cache_read_input_tokens": _count,
        "cache_creation_input_tokens": _count,
    },
)


@settings(deadline=None)
@given(st.lists(_pass, min_size=1, max_size=8), st.sampled_from([None, "a", "b"]), _count)
def test_the_parts_sum_up_to_the_passes_that_are_billed(
    passes: list[dict[str, Any]], model: str | None, thinking: int
) -> None:
    whole = usage(1, thinking, iterations=passes, output_tokens_details={"thinking_tokens": 3})
    measured = measure(whole, model=model)
    assert measured.kinds is not None
    billed = [measured.kinds, *(each.kinds for each in measured.further)]
    assert min(min(kinds) for kinds in billed) >= 0
    assert sum(kinds.requests for kinds in billed) == 1
    if len(passes) == 1 and passes[0]["type"] == "message":
        return
    if any(each["type"] == "fallback_message" for each in passes):
        passes = [
            each
            for each in passes
            if each["type"] != "message"
            or each["output_tokens"]
            or each.get("cache_read_input_tokens")
            or each.get("cache_creation_input_tokens")
        ]
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    told = sum(each.get(name, 0) for each in passes for name in names)
    assert sum(kinds.input_tokens for kinds in billed) == told
    assert sum(kinds.output_tokens for kinds in billed) == sum(
        each["output_tokens"] for each in passes
    )


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ({"service_tier": "standard"}, None),
        ({"service_tier": "batch"}, "batch"),
        ({"service_tier": "priority"}, "priority"),
        ({"speed": "standard", "service_tier": "standard"}, None),
        ({"speed": "fast", "service_tier": "standard"}, "fast"),
        ({"speed": "fast"}, "fast"),
        ({"speed": "fast", "service_tier": "batch"}, "batch+fast"),
    ],
)
def test_the_tier_that_served(told: dict[str, str], tier: str | None) -> None:
    assert measure(usage(3, 4, **told)).tier == tier
    assert measure(usage(3, 1, **told), usage(3, 4)).tier == tier, "only message_start has it"
    body = json.dumps({"id": "m", "usage": usage(3, 4, **told)}).encode()
    meter = ANTHROPIC.meter(ANTHROPIC.route("POST", "/v1/messages"), RequestFacts(b""), 200, {})
    meter.feed(body)
    assert (meter.result().service_tier or "standard") == (tier or "standard")


@pytest.mark.parametrize(
    ("geo", "region"), [("us", "us"), ("global", None), ("not_available", None), (None, None)]
)
def test_where_inference_was_kept(geo: str | None, region: str | None) -> None:
    measured = measure(usage(3, 4, inference_geo=geo))
    assert (measured.region, measured.problems) == (region, ())


@pytest.mark.parametrize(
    ("told", "searches", "sessions"),
    [
        ({"web_search_requests": 3, "web_fetch_requests": 2}, 3, 0),
        ({"web_fetch_requests": 2}, 0, 0),
        ({"code_execution_requests": 4}, 0, 1),
    ],
)
def test_fees_of_server_tools(told: dict[str, int], searches: int, sessions: int) -> None:
    measured = measure(usage(3, 4, server_tool_use=told))
    assert measured.kinds is not None
    assert measured.kinds.web_search_requests == searches
    assert measured.kinds.code_sessions == sessions
    assert len(measured.problems) == sessions


CONTAINER = {"id": "container_1", "expires_at": "2026-11-21T00:00:00Z"}


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(("searches", "sessions"), [(0, 1), (1, 0)])
def test_code_in_a_container_is_said(is_stream: bool, searches: int, sessions: int) -> None:  # noqa: FBT001 -- a table
    told = usage(3, 4, server_tool_use={"web_search_requests": searches})
    if is_stream:
        head = {b"content-type": b"text/event-stream"}
        start = {"id": "m", "model": "x", "usage": usage(3, 1)}
        delta = {"stop_reason": "end_turn", "container": CONTAINER}
        body = _event("message_start", message=start)
        body += _event("message_delta", delta=delta, usage=told) + _event("message_stop")
    else:
        head = {b"content-type": b"application/json"}
        body = json.dumps({"id": "m", "container": CONTAINER, "usage": told}).encode()
    meter = ANTHROPIC.meter(ANTHROPIC.route("POST", "/v1/messages"), RequestFacts(b""), 200, head)
    assert meter.feed(body) == body
    kept = [json.loads(raw) for raw in meter.result().usage]
    measured = measure(*kept)
    assert measured.kinds == Kinds(
        3, visible_output_tokens=4, web_search_requests=searches, code_sessions=sessions
    )
    assert len(measured.problems) == sessions, "billed by hours that nobody tells"


COMPATIBLE = [
    pytest.param(
        usage(0, 0), usage(93, 7, cache_read_input_tokens=50, cache_creation_input_tokens=None),
        Kinds(93, 50, visible_output_tokens=7), id="zeros first, everything at the end",
    ),
    pytest.param(
        usage(93, 0, cache_read_input_tokens=50), {"output_tokens": 7},
        Kinds(93, 50, visible_output_tokens=7), id="output alone at the end",
    ),
    pytest.param(
        usage(93, 0, cache_read_input_tokens=50), usage(0, 7),
        Kinds(93, 50, visible_output_tokens=7), id="a zero for input at the end",
    ),
    pytest.param(
        usage(93, 1, service_tier="standard"),
        usage(40, 7, cache_read_input_tokens=53, prompt_tokens=93, cached_tokens=53),
        Kinds(40, 53, visible_output_tokens=7), id="members of another API beside them",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("start", "end", "kinds"), COMPATIBLE)
def test_streams_of_servers_that_speak_like_it(
    start: dict[str, Any], end: dict[str, Any], kinds: Kinds
) -> None:
    body = b"".join(
        (
            _event("message_start", message={"id": "m", "model": "other-1", "usage": start}),
            _event("content_block_delta", delta={"type": "text_delta", "text": "Hello"}),
            _event("message_delta", delta={"stop_reason": "end_turn"}, usage=end),
            _event("message_stop"),
        )
    )
    head = {b"content-type": b"text/event-stream"}
    meter = ANTHROPIC.meter(ANTHROPIC.route("POST", "/v1/messages"), RequestFacts(b""), 200, head)
    assert meter.feed(body) == body
    seen = meter.result()
    assert (seen.usage_complete, seen.stream_ended, seen.model_actual) == (True, True, "other-1")
    assert measure(*[json.loads(raw) for raw in seen.usage]).kinds == kinds

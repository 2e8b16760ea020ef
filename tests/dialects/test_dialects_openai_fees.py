"""Fees of built-in tools, what providers say a call cost, and modalities in the usage."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
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
from tollbook.dialects.base import Measured, Part, RequestFacts
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.openai_cost import reported_cost
from tollbook.usage import Kinds

OPENAI = OpenAI()
RESPONSES = OPENAI.route("POST", "/v1/responses")
USAGE = {"input_tokens": 40, "output_tokens": 10, "total_tokens": 50}


def measured_of(
    usages: tuple[bytes, ...],
    operation: str = "chat",
    *,
    complete: bool = True,
    model: str = "m",
    asked: dict[str, str | int] | None = None,
) -> Measured:
    opened = CallOpened(
        b"0" * 16, 1, Identity(), "p", "openai", operation, Metering.METERED, "POST", "/",
        input_chars=400, asked=asked,
    )  # fmt: skip
    closed = CallClosed(
        b"0" * 16, 2, Status.OK, usage=usages, usage_complete=complete, model_actual=model
    )
    return OPENAI.measure(Call(opened, closed, Evidence("w", 0, 0, "1")))


def usage(**members: Any) -> Measured:
    return measured_of((json.dumps(members).encode(),))


def response(*items: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"id": "resp_1", "model": "gpt-5", "output": list(items), "usage": USAGE} | members


def plain(document: dict[str, Any]) -> Measured:
    meter = OPENAI.meter(RESPONSES, RequestFacts(b""), 200, {})
    meter.feed(json.dumps(document).encode())
    return measured_of(meter.result().usage, "responses")


def streamed(*events: dict[str, Any]) -> Measured:
    head = {b"content-type": b"text/event-stream"}
    meter = OPENAI.meter(RESPONSES, RequestFacts(b""), 200, head)
    for event in events:
        meter.feed(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n")
    seen = meter.result()
    return measured_of(seen.usage, "responses", complete=seen.usage_complete)


SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}
READING = {"type": "web_search_call", "action": {"type": "open_page", "url": "https://x"}}
FILES = {"type": "file_search_call", "queries": ["q"]}
CODE = {"type": "code_interpreter_call", "container_id": "cntr_1", "code": "1"}
COMPUTER = {"type": "computer_call", "action": {"type": "click"}}
CALL = {"type": "function_call", "name": "web_search_call", "arguments": '{"a":"search_call"}'}
IMAGE = {"type": "image_generation_call", "size": "1024x1024", "quality": "low", "result": "AAAA"}


@pytest.mark.parametrize(
    ("items", "fees"),
    [
        ((), {}),
        ((SEARCH, READING, SEARCH), {"web_search_requests": 2}),
        (({"type": "web_search_call"},), {"web_search_requests": 1}),
        ((FILES, FILES), {"file_search_requests": 2}),
        ((CODE, CODE, CODE | {"container_id": "cntr_2"}), {"code_sessions": 2}),
        ((COMPUTER, CALL), {}),
        (
            (SEARCH, FILES, CODE),
            {"web_search_requests": 1, "file_search_requests": 1, "code_sessions": 1},
        ),
    ],
)
def test_calls_of_built_in_tools_are_counted_from_the_output(
    items: tuple[dict[str, Any], ...], fees: dict[str, int]
) -> None:
    expected = Kinds(40, visible_output_tokens=10)._replace(**fees)
    for measured in (
        plain(response(*items)),
        streamed({"type": "response.completed", "response": response(*items)}),
        streamed(
            *[{"type": "response.output_item.done", "item": item} for item in items],
            {"type": "response.completed", "response": response()},
        ),
        streamed(
            *[{"type": "response.output_item.done", "item": item} for item in items],
            {"type": "response.completed", "response": response(*items)},
        ),
    ):
        assert measured == Measured(expected, UsageSource.REPORTED)


def test_the_count_of_the_usage_goes_before_that_of_the_output() -> None:
    tools = {"web_search": {"num_requests": 5}}
    measured = plain(response(SEARCH, tool_usage=tools))
    assert measured.kinds == Kinds(40, visible_output_tokens=10, web_search_requests=5)


def test_tools_of_a_stream_that_broke_off_are_billed_beside_the_estimate() -> None:
    measured = streamed(
        {"type": "response.output_text.delta", "delta": "x" * 40},
        {"type": "response.output_item.done", "item": SEARCH},
        {"type": "response.output_item.done", "item": CODE},
    )
    assert measured.source is UsageSource.ESTIMATED
    assert measured.kinds is not None
    assert measured.kinds.web_search_requests == 1
    assert measured.kinds.code_sessions == 1
    assert measured.kinds.uncached_input_tokens == 100


def test_images_made_by_a_tool_are_billed_at_their_own_model() -> None:
    tools = {
        "image_gen": {
            "input_tokens": 7,
            "output_tokens": 272,
            "total_tokens": 279,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": 7},
            "output_tokens_details": {"image_tokens": 272, "text_tokens": 0},
        }
    }
    named = [{"type": "image_generation", "model": "gpt-image-1.5"}]
    measured = plain(response(IMAGE, tool_usage=tools, tools=named))
    assert measured == Measured(
        Kinds(40, visible_output_tokens=10),
        UsageSource.REPORTED,
        further=(
            Part(
                Kinds(7, output_image_tokens=272, requests=0), "gpt-image-1.5", "image_generation"
            ),
        ),
    )


def test_images_of_a_tool_without_usage_are_estimated_by_size_and_quality() -> None:
    measured = plain(response(IMAGE, IMAGE, IMAGE | {"status": "failed"}))
    assert measured.source is UsageSource.ESTIMATED
    (part,) = measured.further
    assert (part.kinds, part.model) == (Kinds(output_image_tokens=544, requests=0), "gpt-image-1")
    assert any("gpt-image-1 is assumed" in problem for problem in measured.problems)
    assert measured.kinds == Kinds(40, visible_output_tokens=10)


def test_a_response_in_the_background_says_that_its_usage_comes_later() -> None:
    body = b'{"model":"o3","input":"think","background":true}'
    facts = OPENAI.read_request(RESPONSES, body, inject_stream_usage=True, user_is="user")
    assert facts.asked == {"background": 1}
    queued: dict[str, Any] = {"id": "resp_1", "status": "queued", "usage": None, "output": []}
    meter = OPENAI.meter(RESPONSES, facts, 200, {})
    meter.feed(json.dumps(queued).encode())
    assert meter.result().usage == ()
    measured = measured_of((), "responses", asked=facts.asked)
    assert measured.source is UsageSource.ESTIMATED
    assert "later retrieval" in measured.problems[-1]
    retrieval = OPENAI.route("GET", "/v1/responses/resp_1")
    assert (retrieval.metering, retrieval.operation) == (Metering.FREE, "retrieval")


@pytest.mark.parametrize(
    ("model", "searches"),
    [
        ("gpt-4o-search-preview-2025-03-11", 1),
        ("gpt-5-search-api", 1),
        ("gpt-4o", 0),
        ("research-model", 0),
    ],
)
def test_a_search_model_searches_once_for_each_chat(model: str, searches: int) -> None:
    usages = (b'{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}',)
    measured = measured_of(usages, model=model)
    assert measured.kinds == Kinds(5, visible_output_tokens=6, web_search_requests=searches)


OPENROUTER = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}


@pytest.mark.parametrize(
    ("members", "usd"),
    [
        # What OpenRouter charges is all of it: the upstream's share is within.
        (
            {"cost": 0.00014375, "is_byok": False, "cost_details": {"upstream_inference_cost": 1}},
            "0.00014375",
        ),
        ({"cost": 6e-08, "is_byok": False, "cost_details": {"upstream_inference_cost": 6e-08}},
         "0.00000006"),
        # With the caller's own key its fee is charged, and the upstream bills the rest.
        ({"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 1}}, "1.05"),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}, "0.5"),
        ({"cost": 0, "cost_details": {"upstream_inference_cost": 0.5}}, "0.5"),
        ({"cost": 0, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}, "0"),
        ({"cost_in_usd_ticks": 10959000}, "0.0010959"),
        ({"cost": {"total_cost": 0.00995, "request_cost": 0.006}}, "0.00995"),
        ({"cost": {"total_cost": 1.2e-08, "currency": "USD"}}, "0.000000012"),
    ],
)  # fmt: skip
def test_what_the_provider_says_that_it_cost_is_exact(members: dict[str, Any], usd: str) -> None:
    measured = usage(**OPENROUTER, **members)
    assert measured.reported_cost_pico == int(Decimal(usd) * 10**12)
    assert measured.kinds == Kinds(5, visible_output_tokens=6)
    assert measured.problems == ()


@pytest.mark.parametrize(
    "members",
    [
        {"cost": "much"},
        {"cost": -1},
        {"cost": 1e999},
        {"cost": [1]},
        {"cost": {"total_cost": {}}},
        {"cost_in_usd_ticks": 1.5},
    ],
)
def test_a_cost_that_is_none_is_said_and_harms_nothing(members: dict[str, Any]) -> None:
    raw = json.dumps({**OPENROUTER, **members}).replace("Infinity", "1e999").encode()
    measured = measured_of((raw,))
    assert measured.reported_cost_pico is None
    assert measured.kinds == Kinds(5, visible_output_tokens=6)
    assert any("cost" in problem for problem in measured.problems)


@pytest.mark.parametrize(
    "members", [{}, {"cost": None}, {"cost": {"total_cost": 1, "currency": "EUR"}}]
)
def test_no_cost_is_not_zero(members: dict[str, Any]) -> None:
    measured = usage(**OPENROUTER, **members)
    assert (measured.reported_cost_pico, measured.problems) == (None, ())


def test_of_a_growing_stream_the_last_cost_counts() -> None:
    chunks = tuple(
        json.dumps({**OPENROUTER, "cost": {"total_cost": cost}}).encode() for cost in (0, 0, 0.006)
    )
    assert measured_of(chunks).reported_cost_pico == 6 * 10**9


def test_perplexity_deep_research_bills_beside_the_completion() -> None:
    measured = usage(
        prompt_tokens=33,
        completion_tokens=7395,
        total_tokens=7428,
        citation_tokens=19028,
        num_search_queries=18,
        reasoning_tokens=73997,
        search_context_size="low",
    )
    assert measured == Measured(
        Kinds(
            33,
            visible_output_tokens=7395,
            reasoning_tokens=73997,
            citation_tokens=19028,
            web_search_requests=18,
        ),
        UsageSource.REPORTED,
        (),
        "search-low",
    )


def test_xai_bills_searches_and_sources() -> None:
    tools = {"web_search_calls": 2, "x_search_calls": 1, "code_interpreter_calls": 3,
             "file_search_calls": 4, "document_search_calls": 1}  # fmt: skip
    measured = usage(**OPENROUTER, server_side_tool_usage_details=tools)
    assert measured.kinds == Kinds(
        5, visible_output_tokens=6, web_search_requests=3, file_search_requests=5, code_sessions=3
    )
    live = usage(**OPENROUTER, num_sources_used=7)
    assert live.kinds is not None
    assert live.kinds.web_search_requests == 7


def test_xai_in_a_batch_counts_reasoning_beside_the_completion() -> None:
    measured = usage(
        prompt_tokens=20,
        completion_tokens=2,
        total_tokens=84,
        completion_tokens_details={"reasoning_tokens": 62},
    )
    assert measured.kinds == Kinds(20, visible_output_tokens=2, reasoning_tokens=62)


@given(
    st.integers(0, 500),
    st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(0, 300)
            for name in ("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens",
                         "video_tokens")
        }
        | {
            "cached_tokens_details": st.fixed_dictionaries(
                {"audio_tokens": st.integers(0, 300), "image_tokens": st.integers(0, 300)}
            )
        },
    ),
    st.integers(0, 500),
    st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(0, 300)
            for name in ("reasoning_tokens", "audio_tokens", "image_tokens")
        },
    ),
)  # fmt: skip
def test_kinds_are_disjoint_whatever_the_details_say(
    given_in: int, details: dict[str, Any], out: int, below: dict[str, Any]
) -> None:
    measured = usage(
        prompt_tokens=given_in,
        completion_tokens=out,
        total_tokens=given_in + out,
        prompt_tokens_details=details,
        completion_tokens_details=below,
    )
    assert measured.kinds is not None
    assert min(measured.kinds) >= 0
    assert measured.kinds.input_tokens == given_in
    assert measured.kinds.output_tokens == out


@given(
    st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=15).map(str)
    | st.floats(0, 10**6).map(repr)
)
def test_every_cost_is_rounded_once_to_pico(text: str) -> None:
    cost = reported_cost((b'{"cost":' + text.encode() + b"}",))
    assert cost.problems == ()
    assert cost.pico is not None
    assert abs(Decimal(cost.pico) - Decimal(text) * 10**12) <= Decimal("0.5")


@given(st.binary(max_size=60))
def test_no_cost_raises(raw: bytes) -> None:
    reported_cost((b'{"cost":' + raw, b'{"cost":{' + raw, raw))

"""The Cohere dialect: what was billed against what was consumed, plain and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.dialects.cohere import Cohere
from tollbook.dialects.cohere_usage import read_cohere_usage
from tollbook.dialects.hosted import HostedRoute
from tollbook.usage import Kinds

DIALECT = Cohere()
SSE = b"text/event-stream"
LINES = b"application/stream+json"
BILLED = {"billed_units": {"input_tokens": 65, "output_tokens": 63}}
USAGE = {
    **BILLED,
    "tokens": {"input_tokens": 508, "output_tokens": 86, "reasoning_tokens": 28},
    "cached_tokens": 144,
}


def read(*objects: dict[str, Any]) -> Any:
    return read_cohere_usage([json.dumps(each).encode() for each in objects])


@pytest.mark.parametrize(
    ("path", "operation", "metering"),
    [
        ("/v2/chat", "chat", "metered"),
        ("/v1/chat", "chat", "metered"),
        ("/v2/embed", "embeddings", "metered"),
        ("/v1/rerank", "rerank", "metered"),
        ("/v1/generate", "text_completion", "metered"),
        ("/v1/tokenize", "count_tokens", "free"),
        ("/v1/check-api-key", "check_api_key", "free"),
        ("/v1/classify", "other", "unmetered"),
        ("/v1/embed-jobs", "other", "unmetered"),
        ("/v1/datasets", "other", "unmetered"),
    ],
)
def test_paths(path: str, operation: str, metering: str) -> None:
    route = DIALECT.route("POST", path)
    assert (route.operation, route.metering) == (operation, metering)
    assert DIALECT.route("GET", "/v1/models").metering is Metering.FREE
    assert DIALECT.route("GET", "/v2/chat").metering is Metering.UNMETERED


def test_openai_s_api_is_read_as_such() -> None:
    route = DIALECT.route("POST", "/compatibility/v1/chat/completions")
    assert isinstance(route, HostedRoute)
    facts = DIALECT.read_request(
        route, b'{"model":"m","stream":true}', inject_stream_usage=True, user_is="user"
    )
    assert facts.hides_usage


def test_what_was_billed_wins_over_what_was_consumed() -> None:
    reading = read(USAGE)
    assert reading.kinds == Kinds(65, visible_output_tokens=35, reasoning_tokens=28)
    assert (reading.problems, reading.lacks) == ((), ())
    consumed = read({"tokens": {"input_tokens": 5.0, "output_tokens": 2}})
    assert consumed.kinds == Kinds(5, visible_output_tokens=2)
    assert "consumed" in consumed.problems[0]


def test_a_rerank_is_billed_by_the_search() -> None:
    """Case E2: the units are under meta.billed_units, and there are no tokens."""
    reading = read({"api_version": {"version": "2"}, "billed_units": {"search_units": 3}})
    assert (reading.kinds, reading.lacks) == (Kinds(search_units=3), ())


@pytest.mark.parametrize(
    ("billed", "kinds"),
    [
        ({"input_tokens": 3, "image_tokens": 0}, Kinds(3)),
        ({"input_tokens": 3, "image_tokens": 500, "images": 1}, Kinds(3, input_image_tokens=500)),
        ({"input_tokens": 503, "image_tokens": 500, "text_tokens": 3},
         Kinds(3, input_image_tokens=500)),
        ({"images": 2}, Kinds(images=2)),
        ({"classifications": 4}, Kinds()),
        ({"input_tokens": 3.5}, Kinds(4)),
    ],
)  # fmt: skip
def test_embeddings_of_texts_and_images(billed: dict[str, Any], kinds: Kinds) -> None:
    assert read({"billed_units": billed}).kinds == kinds


def test_what_is_no_count_is_named() -> None:
    reading = read({"billed_units": {"input_tokens": -1.0, "output_tokens": 4}})
    assert (reading.kinds, reading.lacks) == (Kinds(visible_output_tokens=4), ("input",))
    assert "not a count" in reading.problems[0]
    assert read({"billed_units": {}}).kinds is None
    assert read_cohere_usage([b"5"]).kinds is None


def metered(
    body: bytes, kind: bytes, size: int = 9, path: str = "/v2/chat", status: int = 200
) -> Any:
    route = DIALECT.route("POST", path)
    asked = b'{"model":"command-a","stream":true,"messages":[]}'
    facts = DIALECT.read_request(route, asked, inject_stream_usage=True, user_is="user")
    meter = DIALECT.meter(route, facts, status, {b"content-type": kind})
    shown = [meter.feed(body[at : at + size]) for at in range(0, len(body), size)]
    assert b"".join(shown) + meter.flush() == body
    return meter.result()


EVENTS: list[dict[str, Any]] = [
    {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant"}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will look"}}},
    {"type": "content-start", "index": 0, "delta": {"message": {"content": {"text": ""}}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hello"}}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": " you"}}}},
    {"type": "message-end", "id": "c-1", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}},
]
STREAM = b"".join(
    b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode())
    for each in EVENTS
)
OLD_END = {"response_id": "r-1", "text": "Hello you", "meta": BILLED}
OLD_EVENTS: list[dict[str, Any]] = [
    {"event_type": "stream-start", "generation_id": "g-1", "is_finished": False},
    {"event_type": "text-generation", "text": "Hello", "is_finished": False},
    {"event_type": "text-generation", "text": " you", "is_finished": False},
    {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": OLD_END},
]
OLD_STREAM = b"".join(json.dumps(each).encode() + b"\n" for each in OLD_EVENTS)


@pytest.mark.parametrize("size", [1, 5, 64, 10_000])
def test_streams_of_both_versions(size: int) -> None:
    seen = metered(STREAM, SSE, size)
    assert (seen.provider_response_id, seen.stream_ended, seen.usage_complete) == (
        "c-1",
        True,
        True,
    )
    assert (seen.output_events, seen.output_chars) == (3, 20)
    assert [json.loads(usage) for usage in seen.usage] == [USAGE]
    for body, kind in ((OLD_STREAM, LINES), (OLD_STREAM[:-1], LINES)):
        old = metered(body, kind, size, "/v1/chat")
        assert (old.provider_response_id, old.stream_ended, old.usage_complete) == (
            "g-1",
            True,
            True,
        )
        assert (old.output_events, old.output_chars) == (2, 9)
        assert read_cohere_usage(old.usage).kinds == Kinds(65, visible_output_tokens=63)


@pytest.mark.parametrize(("body", "kind"), [(STREAM, SSE), (OLD_STREAM, LINES)])
def test_streams_cut_anywhere(body: bytes, kind: bytes) -> None:
    whole = metered(body, kind)
    for at in range(len(body)):
        seen = metered(body[:at], kind)
        if seen.usage_complete:
            assert seen.usage == whole.usage
        assert seen.output_chars <= whole.output_chars or not seen.usage


def test_errors() -> None:
    body = b'{"id":"x","message":"model not found"}'
    assert metered(body, b"application/json", status=404).error_type == "error"
    failed: dict[str, Any] = {
        "type": "message-end",
        "delta": {"finish_reason": "ERROR", "error": "e"},
    }
    data = b"data: " + json.dumps(failed).encode() + b"\n\n"
    assert metered(data, SSE).error_type == "ERROR"
    old = b'{"event_type":"stream-end","finish_reason":"ERROR_TOXIC"}\n'
    assert metered(old, LINES, path="/v1/chat").error_type == "ERROR_TOXIC"
    answer: dict[str, Any] = {"message": {"content": [{"type": "text", "text": "hi"}]}, "id": "c"}
    seen = metered(json.dumps(answer).encode(), b"application/json")
    assert (seen.error_type, seen.output_chars) == (None, 2)
    assert json.loads(DIALECT.error_body(401, "invalid_api_key", "no"))["message"] == "no"


def test_a_rerank_without_usage_is_estimated_by_its_documents() -> None:
    route = DIALECT.route("POST", "/v2/rerank")
    body = json.dumps({"model": "rerank-v3.5", "query": "q", "documents": ["d"] * 250}).encode()
    facts = DIALECT.read_request(route, body, inject_stream_usage=True, user_is="user")
    assert facts.asked == {"search_units": 3}
    opened = CallOpened(
        bytes(16), 0, Identity(), "p", "cohere", "rerank", Metering.METERED, "POST", "/v2/rerank",
        asked=facts.asked, input_chars=facts.input_chars,
    )  # fmt: skip
    closed = CallClosed(bytes(16), 0, Status.OK)
    measured = DIALECT.measure(Call(opened, closed, Evidence("w", 1, 0, "v")))
    assert (measured.kinds, measured.source) == (Kinds(search_units=3), "estimated")


def test_litellm_s_own_field_is_read_and_taken_out() -> None:
    body = b'{"model":"m","messages":[],"litellm_metadata":{"tenant_id":"acme"}}'
    route = DIALECT.route("POST", "/v2/chat")
    facts = DIALECT.read_request(route, body, inject_stream_usage=True, user_is="user")
    assert facts.body == b'{"model":"m","messages":[]}'
    assert facts.claims[0].fields == {"tenant_id": "acme"}


@given(
    st.binary(max_size=300), st.integers(1, 40), st.sampled_from([SSE, LINES, b"", b"text/plain"])
)
def test_any_body_is_metered(body: bytes, size: int, kind: bytes) -> None:
    for path in ("/v2/chat", "/v1/chat", "/v2/embed", "/v2/rerank"):
        metered(body, kind, size, path)
        route = DIALECT.route("POST", path)
        facts = DIALECT.read_request(route, body, inject_stream_usage=True, user_is="user")
        assert facts.body == body


numbers = st.integers(0, 10**7) | st.floats(allow_nan=False, allow_infinity=False) | st.none()
names = ("input_tokens", "output_tokens", "image_tokens", "text_tokens", "images", "search_units")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(names, numbers)))
def test_kinds_are_never_negative(billed: dict[str, Any]) -> None:
    kinds = read({"billed_units": billed}).kinds
    assert kinds is None or min(kinds) >= 0

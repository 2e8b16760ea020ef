"""Streams of Gemini: events and arrays, at any chunking, whole and cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.dialects.gemini import Gemini
from tollbook.dialects.gemini_array import ObjectSplitter
from tollbook.dialects.gemini_usage import read_gemini_usage
from tollbook.dialects.sse import Fragment
from tollbook.usage import Kinds

DIALECT = Gemini()
PATH = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
SSE = b"text/event-stream"
ARRAY = b"application/json; charset=UTF-8"


def chunk(text: str | None, out: int, *, last: bool = False, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0}
    if text is not None:
        candidate["content"] = {"parts": [{"text": text}], "role": "model"}
    if last:
        candidate["finishReason"] = "STOP"
    usage = {"promptTokenCount": 10, "candidatesTokenCount": out, "totalTokenCount": 10 + out}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r",
    } | more


CHUNKS = [chunk('a "{quote}" \\ ü', 3), chunk("b" * 20, 7), chunk("", 7, last=True)]


def framed(chunks: list[dict[str, Any]], kind: bytes) -> bytes:
    texts = [json.dumps(each, indent=2) if kind == ARRAY else json.dumps(each) for each in chunks]
    if kind == ARRAY:
        return b"[" + ",\r\n".join(texts).encode() + b"]\n"
    return b"".join(b"data: " + text.encode() + b"\r\n\r\n" for text in texts)


def meter_of(kind: bytes) -> Any:
    route = DIALECT.route("POST", PATH)
    facts = DIALECT.read_request(route, b"{}", inject_stream_usage=True, user_is="user")
    return DIALECT.meter(route, facts, 200, {b"content-type": kind})


def metered(body: bytes, kind: bytes, size: int) -> Any:
    meter = meter_of(kind)
    shown = [meter.feed(body[at : at + size]) for at in range(0, len(body), size)]
    assert b"".join(shown) + meter.flush() == body
    return meter.result()


@pytest.mark.parametrize("kind", [SSE, ARRAY])
@pytest.mark.parametrize("size", [1, 2, 7, 64, 100_000])
def test_a_stream_is_read_at_any_chunking(kind: bytes, size: int) -> None:
    seen = metered(framed(CHUNKS, kind), kind, size)
    assert (seen.model_actual, seen.provider_response_id) == ("gemini-2.5-flash", "r")
    assert (seen.stream_ended, seen.usage_complete) == (True, True)
    assert (seen.output_events, seen.output_chars) == (2, 35)
    kinds = read_gemini_usage(seen.usage, None).kinds
    assert kinds == Kinds(10, visible_output_tokens=7)
    assert len(seen.usage) == 1, "each chunk has the counts of all so far"


@pytest.mark.parametrize("kind", [SSE, ARRAY])
def test_a_stream_cut_anywhere_has_the_counts_so_far(kind: bytes) -> None:
    body = framed(CHUNKS, kind)
    for at in range(len(body)):
        seen = metered(body[:at], kind, 33)
        kinds = read_gemini_usage(seen.usage, None).kinds if seen.usage else None
        assert kinds is None or kinds.visible_output_tokens in {3, 7}
        if seen.usage_complete:
            assert kinds == Kinds(10, visible_output_tokens=7)


def test_events_that_say_they_are_json_are_read_all_the_same() -> None:
    seen = metered(framed(CHUNKS, SSE), b"", 11)
    assert (seen.usage_complete, seen.output_events) == (True, 2)


def test_every_candidate_has_to_finish() -> None:
    second = {"content": {"parts": [{"text": "x"}]}, "index": 1}
    first = chunk("a", 2, last=True)
    first["candidates"].append(second)
    meter = meter_of(SSE)
    meter.feed(framed([first], SSE))
    assert not meter.result().usage_complete
    end = chunk(None, 3)
    end["candidates"] = [{"index": 1, "finishReason": "STOP"}]
    meter.feed(framed([end], SSE))
    assert meter.result().usage_complete
    assert meter.result().stream_ended


def test_a_blocked_prompt_has_an_end() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5},
    }
    seen = metered(framed([blocked], SSE), SSE, 50)
    assert (seen.stream_ended, seen.usage_complete) == (True, True)


def test_usage_may_come_after_the_end_or_lack_the_output_there() -> None:
    bare = {"candidates": [{"finishReason": "STOP", "index": 0}]}
    late = {"usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 17}}
    seen = metered(framed([chunk("a", 7), bare, late], SSE), SSE, 50)
    assert len(seen.usage) == 2
    assert read_gemini_usage(seen.usage, None).kinds == Kinds(10, visible_output_tokens=7)


def test_tools_code_and_images_are_content() -> None:
    parts: list[dict[str, Any]] = [
        {"functionCall": {"name": "look", "args": {"q": "ab"}}},
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
    ]
    body = {"candidates": [{"content": {"parts": parts}}]}
    seen = metered(framed([body], SSE), SSE, 50)
    assert (seen.output_chars, seen.output_events) == (4 + len('{"q": "ab"}') + 3, 1)
    image = {"candidates": [{"content": {"parts": [{"inlineData": {"data": "AA"}}]}}]}
    meter = meter_of(SSE)
    meter.feed(framed([image], SSE))
    assert meter.has_content


def test_groundings_of_all_chunks_are_joined() -> None:
    def grounded(*queries: str) -> dict[str, Any]:
        body = chunk("x", 1)
        body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": list(queries)}
        return body

    seen = metered(framed([grounded("a", "b"), grounded("b", "c", "")], SSE), SSE, 17)
    assert json.loads(seen.usage[-1]) == {"grounding": {"webSearchQueries": 3}}


@pytest.mark.parametrize("kind", [SSE, ARRAY])
def test_an_error_in_the_middle(kind: bytes) -> None:
    error = {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}
    seen = metered(framed([CHUNKS[0], error], kind), kind, 30)
    assert (seen.error_type, seen.usage_complete) == ("UNAVAILABLE", False)
    assert len(seen.usage) == 1


def test_other_types_are_read_as_far_as_they_go() -> None:
    odd = chunk("a", 3)
    odd["candidates"][0]["index"] = "first"
    odd["modelVersion"] = 5
    odd["candidates"][0]["finishReason"] = "STOP"
    seen = metered(framed([odd], SSE), SSE, 30)
    assert (seen.usage_complete, seen.output_chars, seen.model_actual) == (True, 1, None)


words = st.text(max_size=12)
documents = st.recursive(
    st.integers() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=10,
)
objects = st.lists(st.dictionaries(words, documents, max_size=3), max_size=4)


@given(objects, st.integers(1, 40), st.booleans())
def test_objects_come_out_as_they_went_in(
    made: list[dict[str, Any]],
    size: int,
    ascii_only: bool,  # noqa: FBT001 -- Hypothesis
) -> None:
    texts = [json.dumps(each, ensure_ascii=ascii_only).encode() for each in made]
    data = b"[\n" + b",\r\n".join(texts) + b"]"
    splitter = ObjectSplitter(1_000_000)
    found: list[bytes] = []
    for at in range(0, len(data), size):
        found += splitter.push(data[at : at + size])
    assert found == texts
    assert splitter.rest() == b""


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_are_split_and_the_tail_stays_small(data: bytes, size: int) -> None:
    splitter = ObjectSplitter(32)
    for at in range(0, len(data), size):
        for each in splitter.push(data[at : at + size]):
            assert each.endswith(b"}")
        assert len(splitter._tail) <= 32 + size
    splitter.rest()


def test_an_object_that_is_too_long_is_passed_over() -> None:
    splitter = ObjectSplitter(16)
    long = b'{"a":"' + b"x" * 50 + b'"}'
    found: list[bytes] = []
    for byte in b"[" + long + b',{"b":1}':
        found += splitter.push(bytes([byte]))
    assert [type(each) is Fragment for each in found] == [True, False]
    assert found[1] == b'{"b":1}'

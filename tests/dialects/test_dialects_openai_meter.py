"""Metering OpenAI answers: chunks, Responses events, documents, errors; hiding what was asked."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.dialects.base import Metered, RequestFacts
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from collections.abc import Iterable

OPENAI = dialect_named("openai")
CHAT = OPENAI.route("POST", "/v1/chat/completions")
SSE = {b"content-type": b"text/event-stream; charset=utf-8"}
JSON = {b"content-type": b"application/json"}
USAGE = b'{"prompt_tokens": 5,"completion_tokens":2, "total_tokens":7}'


def run(
    body: bytes,
    *,
    path: str = "/v1/chat/completions",
    status: int = 200,
    headers: dict[bytes, bytes] = SSE,
    hides: bool = False,
    cuts: Iterable[int] = (),
) -> tuple[bytes, Metered]:
    meter = OPENAI.meter(
        OPENAI.route("POST", path), RequestFacts(b"", hides_usage=hides), status, headers
    )
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    shown = b"".join(meter.feed(body[start:end]) for start, end in pairwise(edges))
    return shown + meter.flush(), meter.result()


def chunk(delta: dict[str, Any] | None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None}]
    value = {"id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "choices": choices, **more}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


TEXT = (
    chunk({"role": "assistant", "content": ""})
    + chunk({"content": "Hé"})
    + chunk({"content": "llo"})
)
LAST = b'data: {"id":"chatcmpl-1","choices":[],"usage":' + USAGE + b"}\n\n"
DONE = b"data: [DONE]\n\n"


def test_a_chat_stream() -> None:
    shown, seen = run(TEXT + LAST + DONE)
    assert shown == TEXT + LAST + DONE
    assert seen == Metered(
        usage=(USAGE,),
        usage_complete=True,
        provider_response_id="chatcmpl-1",
        model_actual="gpt-4o-2024-08-06",
        output_chars=5,
        output_events=2,
        stream_ended=True,
    )


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_chunk_that_was_asked_for_is_hidden_and_nothing_else(end: bytes) -> None:
    before, last, done = (part.replace(b"\n", end) for part in (b": hi\n" + TEXT, LAST, DONE))
    shown, seen = run(before + last + done, hides=True)
    assert shown == before + done
    assert seen.usage == (USAGE,)


def test_a_comment_in_the_hidden_event_stays() -> None:
    shown, _ = run(TEXT + b": keep\n" + LAST + DONE, hides=True)
    assert shown == TEXT + b": keep\n" + DONE


def test_the_hidden_chunk_may_lack_its_blank_line() -> None:
    shown, seen = run(TEXT + LAST[:-2], hides=True)
    assert (shown, seen.usage) == (TEXT, (USAGE,))


def test_usage_beside_choices_is_kept_for_the_client() -> None:
    last = chunk({"content": "x"}, usage=json.loads(USAGE))
    shown, seen = run(last + DONE, hides=True)
    assert shown == last + DONE
    assert len(seen.usage) == 1


def test_an_empty_choices_chunk_without_usage_is_kept() -> None:
    first = chunk(None, prompt_filter_results=[], usage=None)
    assert run(first + TEXT, hides=True)[0] == first + TEXT


_streams = st.lists(
    st.sampled_from(
        [TEXT, LAST, DONE, b": ping\n\n", b": ping\r\n\r\n", LAST.replace(b"\n", b"\r\n"),
         b"data: {not json}\n\n", b"\n", b"event: x\ndata: 1\n\n", b"data: {}\ndata: {}\n\n"]
    ),
    max_size=6,
).map(b"".join)  # fmt: skip
_cuts = st.lists(st.integers(min_value=0, max_value=2000), max_size=30)


@settings(deadline=None)
@given(_streams, _cuts, st.booleans())
def test_any_chunking_gives_the_same_bytes_and_result(
    body: bytes,
    cuts: list[int],
    hides: bool,  # noqa: FBT001 -- drawn
) -> None:
    assert run(body, hides=hides, cuts=cuts) == run(body, hides=hides)
    if not hides:
        assert run(body, cuts=cuts)[0] == body


@settings(deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from(["/v1/chat/completions", "/v1/responses"]),
    st.booleans(),
)
def test_no_bytes_raise_or_are_lost(body: bytes, path: str, hides: bool) -> None:  # noqa: FBT001 -- drawn
    assert run(body, path=path, hides=hides)[0] == body
    assert run(b"data: " + body + b"\n\n", path=path, hides=hides)[0] == b"data: " + body + b"\n\n"
    assert run(body, path=path, headers=JSON)[0] == body


def test_a_cut_stream_is_not_complete() -> None:
    _, seen = run(TEXT + LAST[:40])
    assert (seen.usage, seen.usage_complete, seen.stream_ended) == ((), False, False)
    assert (seen.output_chars, seen.output_events) == (5, 2)


def test_a_result_can_be_asked_for_at_any_moment() -> None:
    meter = OPENAI.meter(OPENAI.route("POST", "/chat/completions"), RequestFacts(b""), 200, SSE)
    assert meter.result() == Metered()
    seen = []
    for delta in ({"role": "assistant", "content": ""}, {"content": "a"}):
        meter.feed(chunk(delta))
        seen.append((meter.has_content, meter.result().output_chars))
    assert seen == [(False, 0), (True, 1)]


@pytest.mark.parametrize(
    ("delta", "chars"),
    [
        ({"reasoning_content": "abc"}, 3),
        ({"reasoning": "abcd"}, 4),
        ({"refusal": "no"}, 2),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}, 3),
        ({"function_call": {"name": "f", "arguments": None}}, 1),
        ({"content": None}, 0),
    ],
)
def test_all_generated_text_counts(delta: dict[str, Any], chars: int) -> None:
    assert run(chunk(delta))[1].output_chars == chars


def test_text_completions_count_too() -> None:
    body = b'data: {"id":"cmpl-1","model":"m","choices":[{"text":"abc"}]}\n\n'
    seen = run(body, path="/v1/completions")[1]
    assert (seen.output_chars, seen.model_actual) == (3, "m")


def test_unexpected_types_do_not_lose_the_usage() -> None:
    choices = b'"choices":[{"delta":{"content":[{"text":"abc"}]},"finish_reason":"stop"}]'
    body = b'data: {"id":3,"model":"m",' + choices + b',"usage":{"prompt_tokens":1}}\n\n'
    seen = run(body)[1]
    assert (seen.usage, seen.usage_complete) == ((b'{"prompt_tokens":1}',), True)
    assert (seen.output_events, seen.output_chars, seen.model_actual) == (1, 3, "m")


def test_a_long_answer_without_usage_is_measured_by_its_beginning() -> None:
    body = b'{"choices":[{"text":"' + b"x" * 3_000_000
    assert abs(run(body, headers=JSON)[1].output_chars - 3_000_000) < 1000


def test_usage_that_grows_with_every_chunk_is_bounded_and_complete_at_the_end() -> None:
    body = b"".join(chunk({"content": "x"}, usage={"completion_tokens": n}) for n in range(100))
    _, cut = run(body)
    assert len(cut.usage) == 16
    assert (cut.usage[0], cut.usage[-1]) == (
        b'{"completion_tokens": 0}',
        b'{"completion_tokens": 99}',
    )
    assert not cut.usage_complete
    assert run(body + DONE)[1].usage_complete
    last = (
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n'
    )
    assert run(body + last)[1].usage_complete


def test_groq_reports_beside_the_chunk() -> None:
    end = b'"choices":[{"delta":{},"finish_reason":"stop"}]'
    seen = run(b"data: {" + end + b',"x_groq":{"usage":{"prompt_tokens":4}}}\n\n')[1]
    assert seen.usage == (b'{"prompt_tokens":4}',)
    assert seen.usage_complete


def test_an_error_inside_a_stream() -> None:
    body = TEXT + b'data: {"error":{"message":"x","type":"server_error","code":null}}\n\n'
    seen = run(body)[1]
    assert (seen.error_type, seen.usage_complete) == ("server_error", False)


def event(kind: str, **more: Any) -> bytes:
    data = json.dumps({"type": kind, **more})
    return f"event: {kind}\ndata: {data}\n\n".encode()


def response(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "model": "gpt-5-2026", "status": status, "service_tier": "auto"} | more


@pytest.mark.parametrize("last", ["completed", "incomplete", "failed"])
def test_a_responses_stream(last: str) -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    tools = {"web_search": {"num_requests": 2}}
    body = (
        event("response.created", response=response("in_progress", usage=None))
        + event("response.output_text.delta", delta="Hello")
        + event("response.reasoning_summary_text.delta", delta="hm")
        + event("response.function_call_arguments.delta", delta="{}")
        + event("response.output_text.done", text="Hello")
        + event(
            f"response.{last}",
            response=response(last, usage=usage, service_tier="flex", tool_usage=tools),
        )
    )
    shown, seen = run(body, path="/v1/responses", hides=True)
    assert shown == body
    assert [json.loads(each) for each in seen.usage] == [usage, tools]
    assert (seen.usage_complete, seen.stream_ended) == (True, True)
    assert (seen.provider_response_id, seen.model_actual) == ("resp_1", "gpt-5-2026")
    assert (seen.service_tier, seen.output_chars, seen.output_events) == ("flex", 9, 3)


def test_a_responses_stream_that_fails() -> None:
    failed = response("failed", usage=None, error={"code": "server_error", "message": "x"})
    seen = run(event("response.failed", response=failed), path="/v1/responses")[1]
    assert (seen.error_type, seen.usage_complete, seen.stream_ended) == (
        "server_error",
        False,
        True,
    )
    seen = run(event("error", code="rate_limit_exceeded", message="x"), path="/v1/responses")[1]
    assert seen.error_type == "rate_limit_exceeded"


def test_a_document() -> None:
    body = (
        b'{"id":"chatcmpl-1","model":"m","service_tier":"priority","choices":[],"usage":'
        + USAGE
        + b"}"
    )
    shown, seen = run(body, headers=JSON, hides=True, cuts=[10, 50])
    assert shown == body
    assert seen == Metered(
        usage=(USAGE,),
        usage_complete=True,
        provider_response_id="chatcmpl-1",
        model_actual="m",
        service_tier="priority",
    )


@pytest.mark.parametrize("cut", [None, 60])
def test_a_document_without_usage_is_measured_by_its_text(cut: int | None) -> None:
    body = b'{"id":"a","choices":[{"message":{"role":"assistant","content":"0123456789"}}]}'
    seen = run(body[:cut], headers=JSON)[1]
    assert (seen.usage, seen.usage_complete) == ((), False)
    assert seen.output_chars == (
        10 if cut is None else body[:cut].partition(b'content":"')[2].__len__()
    )


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (
            b'{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}',
            "rate_limit_exceeded",
        ),
        (
            b'{"error":{"message":"m","type":"invalid_request_error","code":null}}',
            "invalid_request_error",
        ),
        (b'{"error":{"message":"m","code":404}}', "404"),
        (b'{"error":"model not found"}', "error"),
        (
            b'{"object":"error","message":"m","type":"BadRequestError","code":400}',
            "BadRequestError",
        ),
        (b"<html>Bad gateway</html>", None),
        (b"", None),
        (b"[1,2]", None),
    ],
)
def test_error_bodies(body: bytes, error_type: str | None) -> None:
    shown, seen = run(body, status=429, headers=JSON)
    assert shown == body
    assert (seen.error_type, seen.usage, seen.usage_complete) == (error_type, (), False)


def test_what_the_answer_is_decides_not_what_was_asked() -> None:
    assert run(TEXT + LAST, headers={b"content-type": b"Text/Event-Stream"})[1].usage == (USAGE,)
    document = b'{"usage":' + USAGE + b"}"
    assert run(document, headers={}, hides=True)[1].usage == (USAGE,)


def test_an_unmetered_answer_passes_unread() -> None:
    meter = OPENAI.meter(OPENAI.route("GET", "/v1/responses/r"), RequestFacts(b""), 200, JSON)
    assert meter.feed(b'{"usage":' + USAGE + b"}") == b'{"usage":' + USAGE + b"}"
    assert (meter.flush(), meter.result()) == (b"", Metered())
    assert meter.has_content


def test_a_stream_holds_little_memory() -> None:
    meter = OPENAI.meter(CHAT, RequestFacts(b"", hides_usage=True), 200, SSE)
    for _ in range(2000):
        meter.feed(TEXT)
    assert len(meter._splitter._tail) == 0  # type: ignore[attr-defined]
    assert len(meter.result().usage) <= 16

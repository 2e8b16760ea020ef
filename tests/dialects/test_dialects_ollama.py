"""Ollama's own API: lines, counts in the last one, what it hosts of other APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Metering
from tollbook.dialects.hosted import HostedRoute
from tollbook.dialects.ndjson import LineSplitter
from tollbook.dialects.ollama import Ollama
from tollbook.dialects.ollama_usage import read_ollama_usage
from tollbook.dialects.sse import Fragment
from tollbook.usage import Kinds

DIALECT = Ollama()
NDJSON = b"application/x-ndjson"
JSON = b"application/json; charset=utf-8"


def line(**members: Any) -> bytes:
    return json.dumps({"model": "llama3", "created_at": "2026-11-21"} | members).encode() + b"\n"


def said(text: str) -> bytes:
    return line(message={"role": "assistant", "content": text}, done=False)


END = line(
    message={"role": "assistant", "content": ""}, done=True, done_reason="stop",
    prompt_eval_count=17, eval_count=9,
)  # fmt: skip
STREAM = said("Hel") + said("lo \u00fc") + END


def metered(
    body: bytes, kind: bytes, size: int = 9, path: str = "/api/chat", asked: bytes = b"{}"
) -> Any:
    route = DIALECT.route("POST", path)
    facts = DIALECT.read_request(route, asked, inject_stream_usage=True, user_is="user")
    meter = DIALECT.meter(route, facts, 200, {b"content-type": kind})
    shown = [meter.feed(body[at : at + size]) for at in range(0, len(body), size)]
    assert b"".join(shown) + meter.flush() == body
    return meter.result()


@pytest.mark.parametrize(
    ("path", "operation"),
    [("/api/chat", "chat"), ("/api/generate", "text_completion"), ("/api/embed", "embeddings"),
     ("/api/embeddings", "embeddings"), ("/prefix/api/chat", "chat")],
)  # fmt: skip
def test_paths(path: str, operation: str) -> None:
    route = DIALECT.route("POST", path)
    assert (route.operation, route.metering) == (operation, Metering.METERED)
    assert DIALECT.route("GET", "/api/tags").metering is Metering.FREE
    assert DIALECT.route("POST", "/api/pull").metering is Metering.UNMETERED


@pytest.mark.parametrize(
    ("path", "api"), [("/v1/chat/completions", "openai"), ("/v1/messages", "anthropic")]
)
def test_other_apis(path: str, api: str) -> None:
    route = DIALECT.route("POST", path)
    assert isinstance(route, HostedRoute)
    assert (route.api, route.operation, route.metering) == (api, "chat", Metering.METERED)


def test_a_request_streams_unless_told_not_to() -> None:
    def facts(path: str, **body: Any) -> Any:
        raw = json.dumps(body).encode()
        route = DIALECT.route("POST", path)
        return DIALECT.read_request(route, raw, inject_stream_usage=True, user_is="user")

    chat = facts("/api/chat", model="llama3", messages=[1], options={"num_predict": 40})
    assert (chat.model, chat.is_stream, chat.max_output_tokens) == ("llama3", True, 40)
    assert not facts("/api/chat", stream=False).is_stream
    assert not facts("/api/embed", input=["a"]).is_stream
    assert facts("/api/generate", prompt="four").input_chars == 6
    assert facts("/api/chat", options=[]).max_output_tokens is None


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
@pytest.mark.parametrize("kind", [NDJSON, b"", JSON])
def test_lines_at_any_chunking(size: int, kind: bytes) -> None:
    for body in (STREAM, STREAM.rstrip()):
        seen = metered(body, kind, size)
        assert (seen.model_actual, seen.stream_ended, seen.usage_complete) == ("llama3", True, True)
        assert (seen.output_chars, seen.output_events) == (7, 2)
        assert seen.usage == (b'{"prompt_eval_count":17,"eval_count":9}',)
        assert read_ollama_usage(seen.usage).kinds == Kinds(17, visible_output_tokens=9)


def test_lines_cut_anywhere() -> None:
    for at in range(len(STREAM)):
        seen = metered(STREAM[:at], NDJSON)
        assert seen.usage_complete == (at >= len(STREAM) - 1)
        assert seen.output_chars <= 12


def test_one_document_is_read_whether_asked_for_or_not() -> None:
    body = END.rstrip()
    plain = metered(body, JSON, asked=b'{"stream":false}')
    assert (plain.usage_complete, plain.model_actual) == (True, "llama3")
    generated = line(response="Hello", done=True, eval_count=2).rstrip()
    seen = metered(generated, JSON, path="/api/generate", asked=b'{"stream":false}')
    assert read_ollama_usage(seen.usage).lacks == ("input",), "the prompt was still in memory"
    silent = metered(line(response="Hello", done=True), JSON, asked=b'{"stream":false}')
    assert (silent.usage, silent.output_chars) == ((), 5)


def test_tools_and_thinking_are_content() -> None:
    calls = [{"function": {"name": "look", "arguments": {"q": "ab"}}}]
    body = line(message={"content": "", "tool_calls": calls}, done=False)
    body += line(message={"content": "", "thinking": "hmm"}, done=False)
    seen = metered(body, NDJSON)
    assert (seen.output_events, seen.output_chars) == (2, 4 + len('{"q": "ab"}') + 3)


def test_errors() -> None:
    assert metered(b'{"error":"model not found"}', JSON).error_type == "error"
    assert metered(said("a") + b'{"error":"out of memory"}\n', NDJSON).error_type == "error"
    assert json.loads(DIALECT.error_body(401, "invalid_api_key", "no")) == {
        "error": "no (invalid_api_key)"
    }


def test_other_types_are_read_as_far_as_they_go() -> None:
    odd = line(model=5, message={"content": "abc"}, done=True, prompt_eval_count="x", eval_count=3)
    seen = metered(odd, NDJSON)
    assert (seen.usage_complete, seen.model_actual) == (True, None)
    reading = read_ollama_usage(seen.usage)
    assert (reading.kinds, reading.lacks) == (Kinds(visible_output_tokens=3), ("input",))
    assert reading.problems
    assert read_ollama_usage([b"[]"]).kinds is None


@given(st.lists(st.binary(max_size=40).map(lambda one: one.replace(b"\n", b"")), max_size=6),
       st.integers(1, 30))  # fmt: skip
def test_lines_come_out_as_they_went_in(lines: list[bytes], size: int) -> None:
    data = b"".join(one + b"\n" for one in lines)
    splitter = LineSplitter(10_000)
    found: list[bytes] = []
    for at in range(0, len(data), size):
        found += splitter.push(data[at : at + size])
    assert found == [one + b"\n" for one in lines]
    assert splitter.rest() == b""


def test_a_line_that_is_too_long_is_passed_over() -> None:
    splitter = LineSplitter(8)
    found: list[bytes] = []
    for byte in b"x" * 30 + b"\n{}\n":
        found += splitter.push(bytes([byte]))
    assert b"".join(found) == b"x" * 30 + b"\n{}\n"
    assert [one for one in found if type(one) is not Fragment] == [b"{}\n"]


@given(st.binary(max_size=300), st.integers(1, 40), st.sampled_from([NDJSON, JSON, b""]))
def test_any_body_is_metered(body: bytes, size: int, kind: bytes) -> None:
    for path in ("/api/chat", "/api/embed", "/v1/chat/completions", "/v1/messages"):
        metered(body, kind, size, path, b'{"stream":true}')
        route = DIALECT.route("POST", path)
        facts = DIALECT.read_request(route, body, inject_stream_usage=False, user_is="user")
        assert facts.body == body

"""The Anthropic dialect: requests, streams, documents, errors."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.call import Metering
from tollbook.dialects.base import Metered, RequestFacts
from tollbook.dialects.registry import dialect_named
from tollbook.identity import Mechanism

if TYPE_CHECKING:
    from collections.abc import Iterable

ANTHROPIC = dialect_named("anthropic")
MESSAGES = ANTHROPIC.route("POST", "/v1/messages")
SSE = {b"content-type": b"text/event-stream; charset=utf-8"}
JSON = {b"content-type": b"application/json"}


def read(body: bytes | dict[str, Any], *, user_is: str = "user") -> RequestFacts:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ANTHROPIC.read_request(MESSAGES, raw, inject_stream_usage=True, user_is=user_is)


def run(
    body: bytes, headers: dict[bytes, bytes] = SSE, status: int = 200, cuts: Iterable[int] = ()
) -> tuple[bytes, Metered]:
    meter = ANTHROPIC.meter(MESSAGES, RequestFacts(b""), status, headers)
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    shown = b"".join(meter.feed(body[start:end]) for start, end in pairwise(edges))
    return shown + meter.flush(), meter.result()


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


START_USAGE = {"input_tokens": 9, "output_tokens": 1, "service_tier": "priority"}
END_USAGE = {"output_tokens": 42}
START = event("message_start", message={"id": "msg_1", "model": "claude-x", "usage": START_USAGE})
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"})
THINK = event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"})
TOOL = event("content_block_start", index=1, content_block={"type": "tool_use", "name": "find"})
ARGS = event(
    "content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": "{}"}
)
PING = event("ping")
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage=END_USAGE)
STOP = event("message_stop")
WHOLE = START + PING + BLOCK + THINK + TEXT + TOOL + ARGS + END + STOP


@pytest.mark.parametrize(
    ("method", "path", "metering"),
    [
        ("POST", "/v1/messages", Metering.METERED),
        ("POST", "/messages/", Metering.METERED),
        ("POST", "/v1/messages/count_tokens", Metering.FREE),
        ("POST", "/v1/messages/batches", Metering.FREE),
        ("GET", "/v1/messages", Metering.UNMETERED),
        ("GET", "/v1/models", Metering.UNMETERED),
    ],
)
def test_routes(method: str, path: str, metering: Metering) -> None:
    route = ANTHROPIC.route(method, path)
    assert route.metering is metering
    assert route.inspects_body == (metering is Metering.METERED)


def test_a_request_is_forwarded_as_it_is() -> None:
    body = b'{"model":"claude-x","max_tokens":64,"stream":true,"system":"be brief","messages":[]}'
    facts = read(body)
    assert facts.body is body
    assert not facts.hides_usage
    assert (facts.model, facts.is_stream, facts.max_output_tokens) == ("claude-x", True, 64)
    assert facts.input_chars == len('"be brief"') + len("[]")


@pytest.mark.parametrize(("user_is", "field"), [("user", "user_id"), ("tenant", "tenant_id")])
def test_metadata_user_id(user_is: str, field: str) -> None:
    (claims,) = read({"metadata": {"user_id": "u1"}}, user_is=user_is).claims
    assert claims.mechanism is Mechanism.PROVIDER_NATIVE
    assert claims.fields == {field: "u1"}


def test_a_session_blob_in_user_id_does_not_become_a_user() -> None:
    blob = json.dumps({"device_id": "d" * 64, "session_id": "s"})
    (claims,) = read({"metadata": {"user_id": blob}}).claims
    assert claims.fields == {}
    assert "JSON" in claims.problems[0] or "characters" in claims.problems[0]
    assert "session_id" not in claims.problems[0]


@pytest.mark.parametrize("account", ["", "8f3c0b1e-1111-4222-8333-444455556666"])
def test_a_session_of_claude_code_is_not_a_user(account: str) -> None:
    session = f"user_{'0a' * 32}_account_{account}_session_8f3c0b1e-1111-4222-8333-444455556666"
    (claims,) = read({"metadata": {"user_id": session}}).claims
    assert claims.fields == {}
    assert "Claude Code" in claims.problems[0]
    assert session not in claims.problems[0]
    (kept,) = read({"metadata": {"user_id": "user_42_account_7"}}).claims
    assert kept.fields == {"user_id": "user_42_account_7"}


def test_litellm_fields_in_the_body() -> None:
    facts = read(
        {"metadata": {"tenant_id": "acme", "tags": ["gold"]}, "litellm_metadata": {"team": "s"}}
    )
    assert b"litellm_metadata" not in facts.body
    litellm, native = facts.claims
    assert (litellm.fields, litellm.tags) == ({"team_id": "s"}, {"gold": "true"})
    assert native.fields == {"tenant_id": "acme"}


def test_unexpected_types_do_not_hide_the_rest() -> None:
    facts = read({"model": 1, "stream": True, "max_tokens": "x", "metadata": {"user_id": "u"}})
    assert (facts.model, facts.is_stream, facts.max_output_tokens) == (None, True, None)
    assert facts.claims[0].fields == {"user_id": "u"}


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_body_raises(body: bytes) -> None:
    assert read(body).body is body


def test_a_stream() -> None:
    shown, seen = run(WHOLE)
    assert shown == WHOLE
    assert [json.loads(usage) for usage in seen.usage] == [START_USAGE, END_USAGE]
    assert (seen.usage_complete, seen.stream_ended) == (True, True)
    assert (seen.provider_response_id, seen.model_actual) == ("msg_1", "claude-x")
    assert (seen.service_tier, seen.output_chars, seen.output_events) == ("priority", 13, 4)
    assert seen.error_type is None


def test_a_stream_that_breaks_off_keeps_what_the_start_said() -> None:
    _, seen = run(START + BLOCK + TEXT + TEXT[:30])
    assert [json.loads(usage) for usage in seen.usage] == [START_USAGE]
    assert (seen.usage_complete, seen.stream_ended) == (False, False)
    assert seen.output_chars == 5


def test_an_error_inside_a_stream() -> None:
    seen = run(START + event("error", error={"type": "overloaded_error", "message": "x"}))[1]
    assert (seen.error_type, seen.usage_complete) == ("overloaded_error", False)


def test_unexpected_types_do_not_lose_the_usage() -> None:
    odd = event("message_delta", delta={"text": 3}, usage=END_USAGE)
    assert len(run(START + odd)[1].usage) == 2


@settings(deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=2000), max_size=30), st.booleans())
def test_any_chunking_gives_the_same(cuts: list[int], crlf: bool) -> None:  # noqa: FBT001 -- drawn
    body = WHOLE.replace(b"\n", b"\r\n") if crlf else WHOLE
    shown, seen = run(body, cuts=cuts)
    assert shown == body
    assert seen == run(WHOLE)[1]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_or_are_lost(body: bytes) -> None:
    for raw in (body, b"event: message_delta\ndata: " + body + b"\n\n"):
        assert run(raw)[0] == raw
        assert run(raw, JSON)[0] == raw


def test_a_document() -> None:
    usage = b'{"input_tokens":3, "output_tokens":5,"service_tier":"standard"}'
    body = b'{"id":"msg_1","model":"claude-x","content":[],"usage":' + usage + b"}"
    assert run(body, JSON)[1] == Metered(
        usage=(usage,),
        usage_complete=True,
        provider_response_id="msg_1",
        model_actual="claude-x",
        service_tier="standard",
    )


def test_a_document_that_is_cut_is_measured_by_its_text() -> None:
    body = b'{"id":"msg_1","content":[{"type":"text","text":"0123456789'
    seen = run(body, JSON)[1]
    assert (seen.usage, seen.output_chars) == ((), 10)


def test_an_error_document() -> None:
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}'
    seen = run(body, JSON, 429)[1]
    assert (seen.error_type, seen.usage) == ("rate_limit_error", ())


def test_credentials_and_heads() -> None:
    assert ANTHROPIC.read_credential([(b"x-api-key", b"k")]) == "k"
    assert ANTHROPIC.read_credential([(b"authorization", b"Bearer t")]) == "t"
    assert ANTHROPIC.credential_headers("k") == [(b"x-api-key", b"k")]
    assert ANTHROPIC.is_credential(b"x-api-key")
    assert ANTHROPIC.provider_request_id({b"request-id": b"req_1"}) == "req_1"
    assert ANTHROPIC.attempt([(b"x-stainless-retry-count", b"1")]) == 2
    error = json.loads(ANTHROPIC.error_body(429, "rate_limit_error", "slow"))
    assert error == {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}


def test_an_unmetered_answer_passes_unread() -> None:
    route = ANTHROPIC.route("POST", "/v1/messages/count_tokens")
    meter = ANTHROPIC.meter(route, RequestFacts(b""), 200, JSON)
    assert meter.feed(b'{"input_tokens":3}') == b'{"input_tokens":3}'
    assert meter.result() == Metered()

"""What every dialect promises, whatever arrives: it never raises, and bytes pass as they came.

A new dialect is held to these as soon as it is in the registry; it adds one line to ``METERED``.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dialects.aws_kit import event

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
from tollbook.dialects.base import NativeTags, Route
from tollbook.dialects.registry import dialect_named, dialect_names
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.dialects.base import Dialect, Metered, RequestFacts

METERED: dict[str, list[str]] = {
    "openai": ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"],
    "anthropic": ["/v1/messages"],
    "azure": ["/openai/deployments/d/chat/completions", "/openai/v1/responses"],
    "gemini": [
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
        "/v1beta/models/gemini-embedding-001:embedContent",
    ],
    "bedrock": [
        "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
        "/model/amazon.nova-micro-v1%3A0/converse-stream",
        "/model/meta.llama3-1-8b-instruct-v1%3A0/invoke",
        "/model/anthropic.claude-v2/invoke-with-response-stream",
        "/model/amazon.titan-embed-text-v2%3A0/invoke",
        "/model/cohere.rerank-v3-5%3A0/invoke",
        "/model/amazon.nova-canvas-v1%3A0/invoke",
    ],
    "cohere": ["/v2/chat", "/v2/embed", "/v2/rerank"],
    "ollama": ["/api/chat", "/api/generate", "/api/embed"],
}
"""Some metered paths of each dialect, asked for by POST."""

every_dialect = pytest.mark.parametrize("name", dialect_names())
every_metered_path = pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, paths in METERED.items() for path in paths]
)
quickly = settings(deadline=None, max_examples=20)

_scalars = st.none() | st.booleans() | st.integers(-9, 10**13) | st.floats() | st.text(max_size=5)
_words = st.sampled_from(
    [
        "id", "model", "type", "object", "usage", "error", "code", "message", "choices", "delta",
        "content", "text", "stream", "messages", "input", "prompt", "metadata", "user", "system",
        "tools", "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens",
        "total_tokens", "prompt_tokens_details", "cached_tokens", "completion_tokens_details",
        "reasoning_tokens", "cache_read_input_tokens", "cache_creation", "iterations", "response",
        "usageMetadata", "promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
        "candidates", "inputTokens", "outputTokens", "totalTokens", "cacheDetails", "bytes",
        "images", "billed_units", "meta", "tokens", "search_units", "prompt_eval_count",
        "eval_count", "done", "service_tier", "speed", "output", "data", "results", "documents",
    ]
)  # fmt: skip
_json = st.recursive(
    _scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_words, below, max_size=5),
    max_leaves=8,
)
_objects = st.dictionaries(_words, _json, max_size=5)
_cuts = st.lists(st.integers(0, 5000), max_size=8)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def heads(dialect: Dialect) -> list[dict[bytes, bytes]]:
    """Return response heads of every kind that the dialect tells apart."""
    types = (*dialect.stream_types, b"application/json", b"text/event-stream", b"text/html")
    return [{}, *({b"content-type": media_type} for media_type in types)]


def framed(documents: list[Any]) -> list[bytes]:
    """Return documents as they may come: one, server-sent events, lines, an AWS event stream."""
    raw = [encoded(document) for document in documents]
    return [
        b"".join(raw),
        b"".join(b"data: " + each + b"\n\n" for each in raw) + b"data: [DONE]\n\n",
        b"".join(b"event: message\r\ndata: " + each + b"\r\n\r\n" for each in raw),
        b"".join(each + b"\n" for each in raw),
        b"[" + b",\r\n".join(raw) + b"]",
        b"".join(event(name, each) for each in raw for name in ("metadata", "chunk", "x")),
    ]


def facts_of(dialect: Dialect, route: Route, body: bytes) -> RequestFacts:
    return dialect.read_request(route, body, inject_stream_usage=True, user_is="user")


def passed(
    dialect: Dialect,
    path: str,
    body: bytes,
    *,
    head: dict[bytes, bytes],
    status: int = 200,
    cuts: Iterable[int] = (),
) -> tuple[bytes, Metered]:
    """Return what the client gets, and what was seen; also asks in the middle."""
    route = dialect.route("POST", path)
    facts = facts_of(dialect, route, b'{"model":"m","stream":true,"messages":[]}')
    meter = dialect.meter(route, facts, status, head)
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    shown = b""
    for start, end in pairwise(edges):
        shown += meter.feed(body[start:end])
        meter.result()
        assert isinstance(meter.has_content, bool)
    shown += meter.flush()
    if facts.hides_usage:
        # Only whole events may be kept back, never a byte of another one.
        assert len(shown) <= len(body)
        shown = body
    return shown, meter.result()


def call(name: str, path: str, usage: tuple[bytes, ...], **closed: Any) -> Call:
    route = dialect_named(name).route("POST", path)
    opened = CallOpened(
        call_id=b"0" * 16, started_at_ns=1, identity=Identity(), provider="p", dialect=name,
        operation=route.operation, metering=route.metering, method="POST", path=path,
        model_requested=route.model, input_chars=40,
    )  # fmt: skip
    how: dict[str, Any] = {"status": Status.OK, "usage_complete": True, "output_chars": 9} | closed
    ended = CallClosed(call_id=b"0" * 16, closed_at_ns=2, usage=usage, **how)
    return Call(opened, ended, Evidence("w", 0, 0, "1"))


def test_every_dialect_is_held_to_this() -> None:
    assert set(METERED) == set(dialect_names()), "add the metered paths of the new dialect"


@every_metered_path
def test_the_paths_are_metered_and_their_bodies_read(name: str, path: str) -> None:
    dialect = dialect_named(name)
    assert dialect.name == name
    route = dialect.route("POST", path)
    assert route.metering is Metering.METERED
    assert route.inspects_body
    assert dialect.route("GET", path).metering is not Metering.METERED


@every_dialect
@quickly
@given(method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"]), path=st.text())
def test_any_path_has_a_route(name: str, method: str, path: str) -> None:
    for odd in ("/" + path, "/" + path.encode().hex(), path + "%2F%", "/model/" + path + "/x"):
        assert isinstance(dialect_named(name).route(method, odd), Route)


@every_metered_path
@quickly
@given(body=st.binary(max_size=60) | _objects.map(encoded))
def test_any_request_is_read(name: str, path: str, body: bytes) -> None:
    dialect = dialect_named(name)
    facts = facts_of(dialect, dialect.route("POST", path), body)
    assert facts.input_chars >= 0
    assert facts.max_output_tokens is None or facts.max_output_tokens > 0
    if not body.startswith(b"{"):
        assert facts.body == body, "what is no JSON object is forwarded as it is"
    if not facts.hides_usage and b"litellm_metadata" not in body:
        assert facts.body == body


@every_metered_path
@quickly
@given(
    body=st.binary(max_size=200),
    cuts=_cuts,
    status=st.sampled_from([200, 429, 500]),
    which=st.integers(0, 99),
)
def test_any_bytes_pass_as_they_came(
    name: str, path: str, body: bytes, cuts: list[int], status: int, which: int
) -> None:
    dialect = dialect_named(name)
    kinds = heads(dialect)
    head = kinds[which % len(kinds)]
    assert passed(dialect, path, body, head=head, status=status, cuts=cuts)[0] == body


@every_metered_path
@quickly
@given(
    documents=st.lists(_objects, min_size=1, max_size=3),
    cuts=_cuts,
    which=st.integers(0, 99),
    framing=st.integers(0, 5),
)
def test_any_documents_pass_and_are_seen_alike_however_cut(
    name: str, path: str, documents: list[Any], cuts: list[int], which: int, framing: int
) -> None:
    dialect = dialect_named(name)
    kinds = heads(dialect)
    head, body = kinds[which % len(kinds)], framed(documents)[framing]
    shown, seen = passed(dialect, path, body, head=head, cuts=cuts)
    assert shown == body
    assert seen == passed(dialect, path, body, head=head)[1]
    assert seen.output_chars >= 0


@every_metered_path
@quickly
@given(
    usage=st.lists(_objects.map(encoded) | st.binary(max_size=20), max_size=3),
    status=st.sampled_from(list(Status)),
    is_billable=st.booleans(),
)
def test_any_usage_makes_kinds_that_are_not_negative(
    name: str,
    path: str,
    usage: list[bytes],
    status: Status,
    is_billable: bool,  # noqa: FBT001 -- drawn
) -> None:
    made = call(name, path, tuple(usage), status=status, is_billable=is_billable)
    measured = dialect_named(name).measure(made)
    if not is_billable or status is Status.REJECTED:
        assert measured.kinds is None
        assert measured.source is UsageSource.NONE
        return
    assert measured.kinds is not None, "missing is estimated, not left out"
    for kinds in (measured.kinds, *(part.kinds for part in measured.further)):
        assert isinstance(kinds, Kinds)
        assert min(kinds) >= 0
        assert all(type(quantity) is int for quantity in kinds)
    assert measured.kinds.requests == 1
    assert all(part.kinds.requests == 0 for part in measured.further)
    assert all(problem.isprintable() for problem in measured.problems)


@every_metered_path
def test_a_call_without_usage_is_estimated_and_says_so(name: str, path: str) -> None:
    measured = dialect_named(name).measure(call(name, path, (), usage_complete=False))
    assert measured.source is UsageSource.ESTIMATED
    assert measured.problems


@every_dialect
def test_what_is_free_or_unmetered_has_no_usage(name: str) -> None:
    dialect = dialect_named(name)
    route = dialect.route("POST", "/no/such/endpoint")
    assert route.metering is Metering.UNMETERED
    meter = dialect.meter(route, facts_of(dialect, route, b""), 200, {})
    assert meter.feed(b"anything") == b"anything"
    assert meter.result().usage == ()
    assert dialect.measure(call(name, "/no/such/endpoint", (b"{}",))).kinds is None


@every_dialect
def test_a_key_goes_out_as_it_is_read(name: str) -> None:
    dialect = dialect_named(name)
    sent = dialect.credential_headers("sk-key")
    assert dialect.read_credential(sent) == "sk-key"
    assert all(dialect.is_credential(header) for header, _ in sent)
    assert dialect.read_credential([]) is None
    assert not dialect.is_credential(b"content-type")


@every_dialect
@quickly
@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [b"authorization", b"x-api-key", b"api-key", b"x-stainless-retry-count",
                 b"amz-sdk-request", b"retry-after", b"retry-after-ms", b"x-request-id"]
            ),
            st.binary(max_size=20),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_any_head_is_read(name: str, headers: list[tuple[bytes, bytes]]) -> None:
    dialect = dialect_named(name)
    assert 1 <= dialect.attempt(headers) <= 1000
    credential = dialect.read_credential(headers)
    assert credential is None or credential
    table = dict(headers)
    wait_s = dialect.retry_after_s(429, table)
    assert wait_s is None or wait_s >= 0
    told = dialect.provider_request_id(table)
    assert told is None or told.isprintable()


@every_dialect
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 499, 500, 502, 503, 529])
def test_errors_are_documents_that_hold_the_message(name: str, status: int) -> None:
    raw = dialect_named(name).error_body(status, "rate_limited", 'wait "now"')
    assert 'wait "now"' in json.dumps(json.loads(raw)).replace('\\"', '"')


@every_metered_path
@quickly
@given(body=_objects.map(encoded) | st.binary(max_size=20))
def test_another_model_and_tags_change_nothing_else(name: str, path: str, body: bytes) -> None:
    dialect = dialect_named(name)
    route = dialect.route("POST", path)
    changed = dialect.with_model(route, path.encode(), body, "other-model")
    if changed is not None:
        again = dialect.route("POST", changed.target.decode())
        assert again.operation in {route.operation, "chat"}, "Bedrock tells it by the model"
        if changed.body != body:
            assert json.loads(changed.body)["model"] == "other-model"
    assert dialect.with_tags(route, body, NativeTags()) == body, "nothing to say, nothing changed"
    tagged = dialect.with_tags(route, body, NativeTags(tenant="acme"))
    if tagged != body:
        before, after = json.loads(body), json.loads(tagged)
        for member, value in before.items():
            assert isinstance(value, dict) or value is None or after[member] == value
    assert isinstance(dialect.tag_headers(route, NativeTags()), list)


@every_dialect
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_failures_are_worth_another_attempt(name: str, status: int) -> None:
    assert dialect_named(name).is_retryable(status, None)
    assert not dialect_named(name).is_retryable(400, None)
    assert not dialect_named(name).is_retryable(403, None)

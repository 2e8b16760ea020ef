"""Reading OpenAI requests, and asking for usage with the least change to the body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.call import Metering
from tollbook.dialects.base import RequestFacts
from tollbook.dialects.registry import UnknownDialectError, dialect_named
from tollbook.identity import Mechanism

OPENAI = dialect_named("openai")


def read(
    body: bytes | dict[str, Any],
    path: str = "/v1/chat/completions",
    *,
    inject: bool = True,
    user_is: str = "user",
) -> RequestFacts:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    route = OPENAI.route("POST", path)
    return OPENAI.read_request(route, raw, inject_stream_usage=inject, user_is=user_is)


@pytest.mark.parametrize(
    ("method", "path", "operation", "metering"),
    [
        ("POST", "/v1/chat/completions", "chat", Metering.METERED),
        ("POST", "/chat/completions", "chat", Metering.METERED),
        ("POST", "/api/v3/chat/completions/", "chat", Metering.METERED),
        ("POST", "/v1/responses", "responses", Metering.METERED),
        ("POST", "/v1/completions", "text_completion", Metering.METERED),
        ("POST", "/v1/embeddings", "embeddings", Metering.METERED),
        ("GET", "/v1/models", "models", Metering.FREE),
        ("GET", "/v1/models/gpt-4o", "models", Metering.FREE),
        ("GET", "/v1/responses/resp_1", "retrieval", Metering.FREE),
        ("GET", "/v1/chat/completions/chatcmpl-1", "retrieval", Metering.FREE),
        ("GET", "/v1/responses/resp_1/input_items", "other", Metering.UNMETERED),
        ("POST", "/v1/responses/compact", "responses", Metering.METERED),
        ("POST", "/v1/responses/input_tokens", "count_tokens", Metering.FREE),
        ("GET", "/v1/responses", "other", Metering.UNMETERED),
        ("GET", "/v1/chat/completions", "other", Metering.UNMETERED),
        ("POST", "/v1/chat/completions/id", "other", Metering.UNMETERED),
        ("POST", "/v1/responses/resp_1/cancel", "retrieval", Metering.FREE),
        ("DELETE", "/v1/models/ft-1", "other", Metering.UNMETERED),
        ("POST", "/v1/images/generations", "image", Metering.METERED),
        ("POST", "/v1/images/edits", "image", Metering.METERED),
        ("POST", "/v1/images/variations", "image", Metering.METERED),
        ("POST", "/api/v1/images", "image", Metering.METERED),
        ("POST", "/v1/audio/speech", "speech", Metering.METERED),
        ("POST", "/v1/audio/transcriptions", "transcription", Metering.METERED),
        ("POST", "/v1/audio/translations", "translation", Metering.METERED),
        ("POST", "/v1/rerank", "rerank", Metering.METERED),
        ("POST", "/v1/moderations", "moderation", Metering.FREE),
        ("POST", "/v1/agents/completions", "chat", Metering.METERED),
        ("POST", "/v1/fim/completions", "text_completion", Metering.METERED),
        ("POST", "/serving-endpoints/llama/invocations", "chat", Metering.METERED),
        ("POST", "/v1/vector_stores", "other", Metering.UNMETERED),
        ("POST", "/v1/threads/t_1/runs", "other", Metering.UNMETERED),
        ("POST", "/v1/videos", "other", Metering.UNMETERED),
        ("POST", "/", "other", Metering.UNMETERED),
        ("GET", "", "other", Metering.UNMETERED),
    ],
)
def test_routes(method: str, path: str, operation: str, metering: Metering) -> None:
    route = OPENAI.route(method, path)
    assert (route.operation, route.metering) == (operation, metering)
    assert route.inspects_body == (metering is Metering.METERED)


def test_an_unknown_dialect_is_one_line_that_names_the_known() -> None:
    with pytest.raises(UnknownDialectError, match="openai, anthropic"):
        dialect_named("esperanto")


def test_facts_of_a_plain_request() -> None:
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}],"max_tokens":9}'
    facts = read(body)
    assert facts.body is body
    assert (facts.model, facts.is_stream, facts.max_output_tokens) == ("gpt-4o", False, 9)
    assert facts.input_chars == len('[{"role":"user","content":"hello"}]')
    assert not facts.hides_usage
    assert facts.claims == ()


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_every_name_of_the_output_limit(name: str) -> None:
    assert read({"model": "m", name: 7}).max_output_tokens == 7


def test_usage_is_asked_for_by_one_splice() -> None:
    body = b' {"stream" : true,\n "model":"m", "messages":[]}'
    facts = read(body)
    added = b'"stream_options":{"include_usage":true},'
    assert facts.body == b" {" + added + body[2:]
    assert facts.hides_usage
    assert json.loads(facts.body)["stream_options"] == {"include_usage": True}


def test_own_stream_options_are_kept_and_only_include_usage_is_set() -> None:
    body = b'{"a": 1.0, "stream_options": {"x": [1, 2], "include_usage": false}, "stream": true}'
    facts = read(body)
    assert facts.hides_usage
    assert json.loads(facts.body) == {
        "a": 1.0,
        "stream_options": {"x": [1, 2], "include_usage": True},
        "stream": True,
    }
    assert b'"a":1.0' in facts.body
    assert b"[1, 2]" in facts.body


def test_null_stream_options_are_replaced() -> None:
    facts = read(b'{"stream_options":null,"stream":true}')
    assert json.loads(facts.body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("body", "path", "inject"),
    [
        (b'{"stream":true,"stream_options":{"include_usage":true}}', "/v1/chat/completions", True),
        (b'{"stream":true,"stream_options":"odd"}', "/v1/chat/completions", True),
        (b'{"stream":true}', "/v1/chat/completions", False),
        (b'{"stream":true}', "/v1/responses", True),
        (b'{"stream":false}', "/v1/chat/completions", True),
        (b'{"stream":null}', "/v1/completions", True),
        (b'{"stream":"true"}', "/v1/chat/completions", True),
    ],
)
def test_untouched_and_nothing_hidden(body: bytes, path: str, inject: bool) -> None:  # noqa: FBT001 -- a test parameter
    facts = read(body, path, inject=inject)
    assert facts.body is body
    assert not facts.hides_usage


def test_text_completions_are_asked_too() -> None:
    assert read({"stream": True, "prompt": "x"}, "/v1/completions").hides_usage


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[1]", b'"x"', b"\xff", b"\xef\xbb\xbf{}", b"[" * 50_000, b'{"model":"a'],
)
def test_what_is_not_a_json_object_is_forwarded_as_it_is(body: bytes) -> None:
    facts = read(body)
    assert facts == RequestFacts(body)


def test_unexpected_types_do_not_hide_the_rest() -> None:
    facts = read({"model": 3, "stream": True, "max_tokens": "many", "user": ["u"], "prompt": "abc"})
    assert (facts.model, facts.is_stream, facts.max_output_tokens) == (None, True, None)
    assert facts.claims == ()
    assert facts.input_chars == 5


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_body_raises(body: bytes) -> None:
    assert read(body).body.endswith(body[-1:])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_members = st.sampled_from(
    ["model", "stream", "stream_options", "max_tokens", "user", "metadata", "tags", "messages", "x"]
)


@settings(deadline=None)
@given(st.dictionaries(_members, _json))
def test_no_json_raises_and_only_include_usage_changes(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    facts = read(raw)
    if not facts.hides_usage:
        assert facts.body is raw
        return
    sent = json.loads(facts.body)
    assert sent["stream_options"]["include_usage"] is True
    options = sent.pop("stream_options")
    own = body.pop("stream_options", None) or {}
    assert {**own, "include_usage": True} == options
    assert sent == body


def test_images_do_not_count_as_text() -> None:
    image = "data:image/png;base64," + "QUJD" * 5000
    content = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": image}}]
    facts = read({"messages": [{"role": "user", "content": content}]})
    assert facts.input_chars < 200


def test_escaped_letters_count_as_their_utf8_bytes() -> None:
    text = "\u6f22\u5b57" * 50
    escaped = read(json.dumps({"prompt": text}).encode()).input_chars
    plain = read(json.dumps({"prompt": text}, ensure_ascii=False).encode()).input_chars
    assert escaped == plain


def test_owners_in_the_body() -> None:
    facts = read(
        {
            "metadata": {
                "tenant_id": "acme",
                "feature": "review",
                "colour": "blue",
                "tags": ["team:search", "nightly"],
                "spend_logs_metadata": {"cost_center": "R&D"},
            },
            "tags": ["gold"],
            "litellm_metadata": {"workflow_id": "w1"},
            "user": "u1",
        }
    )
    litellm, native = facts.claims
    assert litellm.mechanism is Mechanism.LITELLM
    assert litellm.fields == {"team_id": "search", "cost_center": "R&D", "workflow_id": "w1"}
    assert litellm.tags == {"nightly": "true", "gold": "true"}
    assert native.mechanism is Mechanism.PROVIDER_NATIVE
    assert native.fields == {"tenant_id": "acme", "feature": "review", "user_id": "u1"}
    assert native.tags == {"colour": "blue"}


@pytest.mark.parametrize("field", ["user", "safety_identifier"])
def test_the_end_user_field_can_mean_the_tenant(field: str) -> None:
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
        (as_user,) = read({field: "x1"}, path).claims
        (as_tenant,) = read({field: "x1"}, path, user_is="tenant").claims
        assert (as_user.fields, as_tenant.fields) == ({"user_id": "x1"}, {"tenant_id": "x1"})


def test_an_owner_in_a_field_of_another_gateway_does_not_leave() -> None:
    body = b'{"model":"m", "litellm_metadata":{"tenant":"acme"},"stream":true, "n":1.0}'
    facts = read(body)
    assert facts.claims[0].fields == {"tenant_id": "acme"}
    assert b"acme" not in facts.body
    assert json.loads(facts.body) == {
        "model": "m",
        "stream": True,
        "n": 1.0,
        "stream_options": {"include_usage": True},
    }
    assert b'"n":1.0' in facts.body


def test_a_user_that_contradicts_the_metadata_is_recorded_and_a_hash_is_not() -> None:
    (named,) = read({"metadata": {"user_id": "u1"}, "user": "u2"}).claims
    assert named.fields == {"user_id": "u1"}
    assert len(named.problems) == 1
    (hashed,) = read({"metadata": {"user_id": "u1"}, "safety_identifier": "0af3"}).claims
    assert (hashed.fields, hashed.problems) == ({"user_id": "u1"}, ())


def test_credentials_and_heads() -> None:
    assert OPENAI.read_credential([(b"authorization", b"Bearer sk-1")]) == "sk-1"
    assert OPENAI.read_credential([(b"authorization", b"bearer  sk-1 ")]) == "sk-1"
    assert OPENAI.read_credential([(b"api-key", b"k")]) == "k"
    assert OPENAI.read_credential([(b"authorization", b"Basic x")]) is None
    assert OPENAI.credential_headers("k") == [(b"authorization", b"Bearer k")]
    assert OPENAI.is_credential(b"authorization")
    assert not OPENAI.is_credential(b"content-type")
    assert OPENAI.provider_request_id({b"x-request-id": b"req_1"}) == "req_1"
    assert OPENAI.provider_request_id({}) is None


@pytest.mark.parametrize(
    ("value", "attempt"),
    [(b"0", 1), (b"2", 3), (b"-1", 1), (b"x", 1), (b"", 1), (b"99999999", 1), (b"9999", 1000)],
)
def test_attempts(value: bytes, attempt: int) -> None:
    assert OPENAI.attempt([(b"x-stainless-retry-count", value)]) == attempt


def test_the_first_attempt_needs_no_header() -> None:
    assert OPENAI.attempt([]) == 1


def test_errors_have_the_shape_of_the_api() -> None:
    error = json.loads(OPENAI.error_body(502, "upstream_error", "it is down"))["error"]
    assert (error["message"], error["type"], error["param"]) == (
        "it is down",
        "upstream_error",
        None,
    )

"""The Gemini dialect: paths, credentials, requests, answers, errors, rewriting."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Metering
from tollbook.dialects.base import NativeTags, RequestFacts
from tollbook.dialects.gemini import Gemini
from tollbook.dialects.hosted import HostedRoute

DIALECT = Gemini()
JSON = {b"content-type": b"application/json; charset=UTF-8"}
FLASH = "/v1beta/models/gemini-2.5-flash"
VERTEX = "/v1/projects/p-1/locations/europe-west4/publishers"


@pytest.mark.parametrize(
    ("path", "operation", "model", "is_stream", "region"),
    [
        (f"{FLASH}:generateContent", "generate_content", "gemini-2.5-flash", False, None),
        (f"{FLASH}:streamGenerateContent", "generate_content", "gemini-2.5-flash", True, None),
        ("/v1/models/m%3AgenerateContent", "generate_content", "m", False, None),
        ("/v1beta/tunedModels/t-1:generateContent", "generate_content", "tunedModels/t-1", False,
         None),
        ("/v1beta/models/gemini-embedding-2:batchEmbedContents", "embeddings",
         "gemini-embedding-2", False, None),
        ("/v1beta/models/imagen-4.0-generate-001:predict", "image", "imagen-4.0-generate-001",
         False, None),
        ("/v1beta/interactions", "interactions", None, None, None),
        (f"{VERTEX}/google/models/gemini-2.5-pro:streamGenerateContent", "generate_content",
         "gemini-2.5-pro", True, "europe-west4"),
        (f"{VERTEX}/google/models/text-embedding-005:predict", "embeddings",
         "text-embedding-005", False, "europe-west4"),
        ("/v1/projects/p/locations/global/endpoints/77:generateContent", "generate_content",
         "endpoints/77", False, "global"),
        ("/v1/publishers/google/models/gemini-2.5-flash:generateContent", "generate_content",
         "gemini-2.5-flash", False, None),
    ],
)  # fmt: skip
def test_paths_that_are_metered(
    path: str,
    operation: str,
    model: str | None,
    is_stream: bool | None,  # noqa: FBT001 -- pytest
    region: str | None,
) -> None:
    route = DIALECT.route("POST", path)
    assert (route.operation, route.model, route.is_stream) == (operation, model, is_stream)
    assert (route.region, route.metering, route.inspects_body) == (region, "metered", True)


@pytest.mark.parametrize(
    ("method", "path", "metering"),
    [
        ("POST", f"{FLASH}:countTokens", "free"),
        ("GET", "/v1beta/models", "free"),
        ("GET", FLASH, "free"),
        ("GET", f"{FLASH}:generateContent", "free"),
        ("POST", "/v1beta/cachedContents", "unmetered"),
        ("POST", "/upload/v1beta/files", "unmetered"),
        ("POST", "/v1beta/models/veo-3.1:predictLongRunning", "unmetered"),
        ("POST", f"{VERTEX}/google/models/multimodalembedding@001:predict", "unmetered"),
        ("POST", f"{VERTEX}/unknown/models/m:rawPredict", "unmetered"),
        ("GET", "/v1beta/interactions/i-1", "free"),
        ("POST", "/v1beta/interactions/i-1/cancel", "free"),
        ("DELETE", "/v1beta/interactions/i-1", "unmetered"),
        ("POST", "/", "unmetered"),
    ],
)
def test_paths_that_are_not(method: str, path: str, metering: str) -> None:
    route = DIALECT.route(method, path)
    assert (route.metering, route.inspects_body) == (metering, False)


@pytest.mark.parametrize(
    ("path", "api", "operation", "model", "is_stream"),
    [
        ("/v1beta/openai/chat/completions", "openai", "chat", None, None),
        ("/v1beta/openai/embeddings", "openai", "embeddings", None, None),
        ("/v1/projects/p/locations/us-east5/endpoints/openapi/chat/completions", "openai", "chat",
         None, None),
        (f"{VERTEX}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict", "anthropic", "chat",
         "claude-sonnet-4-5@20250929", None),
        (f"{VERTEX}/anthropic/models/claude-opus-4-6:streamRawPredict", "anthropic", "chat",
         "claude-opus-4-6", True),
        (f"{VERTEX}/anthropic/models/count-tokens:rawPredict", "anthropic", "count_tokens",
         "count-tokens", None),
        (f"{VERTEX}/mistralai/models/mistral-small-2503:streamRawPredict", "openai", "chat",
         "mistral-small-2503", True),
    ],
)  # fmt: skip
def test_paths_that_speak_another_api(
    path: str,
    api: str,
    operation: str,
    model: str | None,
    is_stream: bool | None,  # noqa: FBT001 -- pytest
) -> None:
    route = DIALECT.route("POST", path)
    assert isinstance(route, HostedRoute)
    assert (route.api, route.operation, route.model) == (api, operation, model)
    assert route.is_stream is is_stream
    assert (route.metering is Metering.FREE) == (operation == "count_tokens")


def test_batches_of_a_hosted_api_are_not_called_free() -> None:
    for path in ("/v1beta/openai/batches", "/v1beta/openai/files"):
        route = DIALECT.route("POST", path)
        assert (route.metering, route.watch, route.inspects_body) == ("unmetered", None, False)


@pytest.mark.parametrize(
    ("target", "rest", "key"),
    [
        (b"/v1/models?key=AIzaX", b"/v1/models", "AIzaX"),
        (b"/v1/models?a=1&key=tb_x&b=2", b"/v1/models?a=1&b=2", "tb_x"),
        (b"/v1/models?%6bey=tb_x&a=%20", b"/v1/models?a=%20", "tb_x"),
        (b"/v1/models?access_token=ya29.x", b"/v1/models", "ya29.x"),
        (b"/v1/models?monkey=1", b"/v1/models?monkey=1", None),
        (b"/v1/models?key=one&key=two", b"/v1/models", "one"),
        (b"/v1/models?key=", b"/v1/models", None),
        (b"/v1/models?key=a%0d%0ab", b"/v1/models", None),
        (b"/v1/models?alt=sse", b"/v1/models?alt=sse", None),
    ],
)
def test_a_key_in_the_query_is_taken_out(target: bytes, rest: bytes, key: str | None) -> None:
    assert DIALECT.split_query_credential(target) == (rest, key)


def test_credentials() -> None:
    assert DIALECT.read_credential([(b"x-goog-api-key", b"AIza"), (b"authorization", b"Bearer t")])
    assert DIALECT.read_credential([(b"authorization", b"Bearer tb_1")]) == "tb_1"
    assert DIALECT.read_credential([]) is None
    assert DIALECT.is_credential(b"x-goog-api-key")
    assert DIALECT.is_credential(b"authorization")
    assert DIALECT.credential_headers("AIza") == [(b"x-goog-api-key", b"AIza")]
    assert DIALECT.credential_headers("ya29.t") == [(b"authorization", b"Bearer ya29.t")]


def facts_of(path: str, body: Any) -> RequestFacts:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    route = DIALECT.route("POST", path)
    return DIALECT.read_request(route, raw, inject_stream_usage=True, user_is="user")


def test_a_request_is_read_in_both_spellings() -> None:
    contents = [{"parts": [{"text": "four words of text"}]}]
    camel = facts_of(
        f"{FLASH}:streamGenerateContent",
        {
            "contents": contents,
            "systemInstruction": {"parts": [{"text": "be short"}]},
            "generationConfig": {"maxOutputTokens": 77},
        },
    )
    snake = facts_of(
        f"{FLASH}:streamGenerateContent",
        {
            "contents": contents,
            "system_instruction": {"parts": [{"text": "be short"}]},
            "generation_config": {"max_output_tokens": 77},
        },
    )
    assert (camel.max_output_tokens, camel.is_stream) == (77, True)
    assert camel.input_chars == snake.input_chars > 40
    assert snake.max_output_tokens == 77
    assert facts_of(f"{FLASH}:generateContent", b"no JSON").body == b"no JSON"


def test_labels_name_the_owner() -> None:
    body = {"contents": [], "labels": {"tenant": "acme", "workflow_id": "nightly", "shop": "b"}}
    facts = facts_of(f"{VERTEX}/google/models/m:generateContent", body)
    (claims,) = facts.claims
    assert claims.fields["tenant_id"] == "acme"
    assert claims.fields["workflow_id"] == "nightly"


def test_images_that_are_asked_for() -> None:
    path = "/v1beta/models/imagen-4.0-generate-001:predict"
    parameters = {"sampleCount": 4, "sampleImageSize": "2K", "aspectRatio": "16:9"}
    body = {"instances": [{"prompt": "a cat"}], "parameters": parameters}
    assert facts_of(path, body).asked == {"images": 4, "size": "2K", "aspect_ratio": "16:9"}
    assert facts_of(path, {"instances": []}).asked == {"images": 1}
    assert facts_of(path, {"parameters": {"sampleCount": 10**9}}).asked == {"images": 16}


def metered(path: str, body: Any, status: int = 200) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    route = DIALECT.route("POST", path)
    meter = DIALECT.meter(route, facts_of(path, {}), status, JSON)
    assert b"".join(meter.feed(raw[at : at + 9]) for at in range(0, len(raw), 9)) == raw
    assert meter.flush() == b""
    return meter.result()


def test_an_answer_is_read() -> None:
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6,
             "serviceTier": "flex"}  # fmt: skip
    seen = metered(
        f"{FLASH}:generateContent",
        {
            "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-flash-001",
            "responseId": "r-1",
        },
    )
    assert (seen.model_actual, seen.provider_response_id) == ("gemini-2.5-flash-001", "r-1")
    assert (seen.service_tier, seen.usage_complete, seen.output_chars) == ("flex", True, 0)
    assert json.loads(seen.usage[0]) == usage


def test_searches_are_counted_and_not_kept() -> None:
    queries = ["Who is Ada", "", "Who is Ada", "  ", "What of Bob"]
    grounding = {"webSearchQueries": queries, "groundingChunks": [{"web": {"uri": "u"}}, {}, 3]}
    seen = metered(
        f"{FLASH}:generateContent",
        {
            "candidates": [{"groundingMetadata": grounding}, {"groundingMetadata": 5}, 7],
            "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
        },
    )
    assert json.loads(seen.usage[1]) == {"grounding": {"webSearchQueries": 2, "webResults": 1}}
    assert b"Ada" not in b"".join(seen.usage)


def test_an_answer_without_counts_is_measured_by_its_text() -> None:
    seen = metered(
        f"{FLASH}:generateContent",
        {"candidates": [{"content": {"parts": [{"text": "x" * 90}]}}]},
    )
    assert (seen.usage, seen.output_chars) == ((), 90)


@pytest.mark.parametrize("listed", [False, True])
def test_errors_are_told_by_their_status(*, listed: bool) -> None:
    error: Any = {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}
    body = [error] if listed else error
    for path in (f"{FLASH}:generateContent", f"{FLASH}:streamGenerateContent"):
        seen = metered(path, body, 429)
        assert (seen.error_type, seen.usage) == ("RESOURCE_EXHAUSTED", ())
    path = "/v1beta/models/imagen-4.0-generate-001:predict"
    assert metered(path, error, 429).error_type == "RESOURCE_EXHAUSTED"


def test_only_images_that_came_are_counted() -> None:
    path = "/v1beta/models/imagen-4.0-generate-001:predict"
    made: Any = {"bytesBase64Encoded": "AAAA", "mimeType": "image/png"}
    seen = metered(path, {"predictions": [made, {"raiFilteredReason": "no"}, {"gcsUri": "gs://a"}]})
    assert seen.usage == (b'{"images":2}',)
    assert metered(path, {}).usage == (b'{"images":0}',)


def test_vectors_are_counted_one_by_one() -> None:
    path = f"{VERTEX}/google/models/text-embedding-005:predict"

    def vector(count: Any) -> dict[str, Any]:
        return {"embeddings": {"values": [0.1], "statistics": {"token_count": count}}}

    seen = metered(path, {"predictions": [vector(6.0), vector(4)]})
    assert json.loads(seen.usage[0]) == {"statistics": {"token_count": 10}}
    assert metered(path, {"predictions": [vector(6), vector("?")]}).usage == ()
    newer = metered(
        "/v1beta/models/gemini-embedding-2:embedContent",
        {"embedding": {"values": []}, "usageMetadata": {"promptTokenCount": 3}},
    )
    assert (newer.usage, newer.usage_complete) == ((b'{"promptTokenCount": 3}',), True)


def test_an_interaction_is_read_plain_and_streamed() -> None:
    usage = {"total_input_tokens": 9, "total_output_tokens": 13, "total_tokens": 22}
    whole = {"id": "i-1", "model": "gemini-3-flash", "status": "completed", "usage": usage}
    assert metered("/v1beta/interactions", whole).usage_complete
    facts = facts_of(
        "/v1beta/interactions", {"model": "gemini-3-flash", "stream": True, "input": "x"}
    )
    assert (facts.model, facts.is_stream, facts.input_chars) == ("gemini-3-flash", True, 3)
    events: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": {"id": "i-1", "model": "g"}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "hello"}},
        {"event_type": "step.stop", "usage": {"total_input_tokens": 9, "total_output_tokens": 5}},
        {"event_type": "interaction.completed", "interaction": whole},
    ]
    body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    meter = DIALECT.meter(
        DIALECT.route("POST", "/v1beta/interactions"), facts, 200,
        {b"content-type": b"text/event-stream"},
    )  # fmt: skip
    assert meter.feed(body + b"event: done\ndata: [DONE]\n\n")
    seen = meter.result()
    assert (seen.provider_response_id, seen.stream_ended, seen.usage_complete) == (
        "i-1",
        True,
        True,
    )
    assert (seen.output_chars, seen.model_actual) == (5, "gemini-3-flash")
    assert [json.loads(each) for each in seen.usage] == [usage]


def test_the_gateway_s_own_errors_are_google_s() -> None:
    error = json.loads(DIALECT.error_body(401, "invalid_api_key", "the key is refused"))["error"]
    assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
    assert error["details"][0]["reason"] == "INVALID_API_KEY"
    assert json.loads(DIALECT.error_body(413, "x", "m"))["error"]["status"] == "INVALID_ARGUMENT"
    assert json.loads(DIALECT.error_body(502, "x", "m"))["error"]["status"] == "INTERNAL"


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        (f"{FLASH}:generateContent", "/v1beta/models/gemini-3-pro:generateContent"),
        (f"{FLASH}:streamGenerateContent?alt=sse",
         "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"),
        (f"{VERTEX}/google/models/m:generateContent",
         f"{VERTEX}/google/models/gemini-3-pro:generateContent"),
        (f"{VERTEX}/anthropic/models/claude:rawPredict",
         f"{VERTEX}/anthropic/models/gemini-3-pro:rawPredict"),
    ],
)  # fmt: skip
def test_another_model_is_written_into_the_path(path: str, changed: str) -> None:
    route = DIALECT.route("POST", path.partition("?")[0])
    rewritten = DIALECT.with_model(route, path.encode(), b"{}", "gemini-3-pro")
    assert rewritten == (changed.encode(), b"{}")


def test_another_model_is_written_into_the_body_where_that_names_it() -> None:
    target = b"/v1beta/openai/chat/completions"
    route = DIALECT.route("POST", target.decode())
    rewritten = DIALECT.with_model(route, target, b'{"model":"a","n":1}', "b")
    assert rewritten == (target, b'{"model":"b","n":1}')
    tuned = DIALECT.route("POST", "/v1beta/tunedModels/t:generateContent")
    assert DIALECT.with_model(tuned, b"/v1beta/tunedModels/t:generateContent", b"{}", "b") is None


def test_tags_become_labels_on_vertex_only() -> None:
    tags = NativeTags(tenant="Acme GmbH", feature="search")
    route = DIALECT.route("POST", f"{VERTEX}/google/models/m:generateContent")
    tagged = json.loads(DIALECT.with_tags(route, b'{"contents":[],"labels":{"a":"b"}}', tags))
    assert tagged["labels"] == {
        "tollbook_tenant": "acme_gmbh", "tollbook_feature": "search", "a": "b",
    }  # fmt: skip
    kept = json.loads(DIALECT.with_tags(route, b'{"labels":{"tollbook_tenant":"mine"}}', tags))
    assert kept["labels"]["tollbook_tenant"] == "mine"
    for body in (b"no JSON", b'{"labels":5}'):
        assert DIALECT.with_tags(route, body, tags) == body
    assert (
        DIALECT.with_tags(DIALECT.route("POST", f"{FLASH}:generateContent"), b"{}", tags) == b"{}"
    )


def test_hosted_apis_get_tags_where_they_keep_them() -> None:
    tags = NativeTags(tenant="acme", end_user="acme")
    openai = DIALECT.route("POST", "/v1beta/openai/chat/completions")
    assert DIALECT.with_tags(openai, b'{"model":"m"}', tags) == b'{"model":"m"}'
    claude = DIALECT.route("POST", f"{VERTEX}/anthropic/models/claude:rawPredict")
    tagged = json.loads(DIALECT.with_tags(claude, b'{"messages":[]}', tags))
    assert tagged["metadata"] == {"user_id": "acme"}


@given(st.binary(max_size=300), st.sampled_from([200, 429, 500]), st.integers(1, 64))
def test_any_body_is_metered(body: bytes, status: int, size: int) -> None:
    for path in (
        f"{FLASH}:generateContent",
        f"{FLASH}:streamGenerateContent",
        "/v1beta/models/imagen-4:predict",
        "/v1beta/models/gemini-embedding-2:embedContent",
        "/v1beta/interactions",
        "/v1beta/openai/chat/completions",
        f"{VERTEX}/anthropic/models/claude:streamRawPredict",
    ):
        route = DIALECT.route("POST", path)
        facts = DIALECT.read_request(route, body, inject_stream_usage=False, user_is="user")
        assert facts.body == body
        for kind in (b"text/event-stream", b"application/json", b""):
            meter = DIALECT.meter(route, facts, status, {b"content-type": kind})
            shown = [meter.feed(body[at : at + size]) for at in range(0, len(body), size)]
            assert b"".join(shown) + meter.flush() == body
            meter.result()


@given(st.text(max_size=80))
def test_any_path_is_classified(path: str) -> None:
    for method in ("GET", "POST"):
        assert DIALECT.route(method, "/" + path).operation

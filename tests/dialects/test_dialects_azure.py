"""Azure: deployments for models, API versions, credentials, errors, its own stream chunks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tollbook.call import Metering
from tollbook.dialects.azure import Azure
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from tollbook.dialects.base import Route

AZURE = Azure()
BODY = b'{"messages":[{"role":"user","content":"hello"}],"stream":true}'


@pytest.mark.parametrize(
    ("path", "operation", "model"),
    [
        ("/openai/deployments/prod-4o/chat/completions", "chat", "prod-4o"),
        ("/openai/deployments/my%20own/embeddings", "embeddings", "my own"),
        ("/openai/deployments/pics/images/generations", "image", "pics"),
        ("/openai/deployments/ears/audio/transcriptions", "transcription", "ears"),
        ("/openai/v1/chat/completions", "chat", None),
        ("/openai/v1/responses", "responses", None),
        ("/openai/responses", "responses", None),
        ("/models/chat/completions", "chat", None),
    ],
)
def test_the_deployment_in_the_path_is_the_model(
    path: str, operation: str, model: str | None
) -> None:
    route = AZURE.route("POST", path)
    assert (route.operation, route.model, route.metering) == (operation, model, Metering.METERED)


def test_it_is_known_by_name() -> None:
    assert dialect_named("azure").name == "azure"


def route_at(query: str) -> Route:
    route = AZURE.route("POST", "/openai/deployments/d/chat/completions")
    return AZURE.with_query(route, query.encode())


@pytest.mark.parametrize(
    ("query", "is_asked"),
    [
        ("api-version=2023-05-15", False),
        ("api-version=2024-06-01", False),
        ("x=1&api-version=2024-08-01-preview", False),
        ("api-version=2024-09-01-preview", True),
        ("api-version=2024-10-21", True),
        ("api-version=2025-04-01-preview", True),
        ("api-version=preview", True),
        ("api-version=", True),
        ("", True),
    ],
)
def test_usage_is_asked_for_where_the_version_knows_of_it(query: str, is_asked: bool) -> None:  # noqa: FBT001 -- a case
    facts = AZURE.read_request(route_at(query), BODY, inject_stream_usage=True, user_is="user")
    assert facts.hides_usage is is_asked
    assert (b"include_usage" in facts.body) is is_asked
    refused = AZURE.read_request(route_at(query), BODY, inject_stream_usage=False, user_is="user")
    assert refused.body is BODY


def test_keys_and_tokens_travel_as_azure_has_them() -> None:
    assert AZURE.read_credential([(b"api-key", b"k")]) == "k"
    assert AZURE.read_credential([(b"authorization", b"Bearer eyJ.x")]) == "eyJ.x"
    assert AZURE.credential_headers("k") == [(b"api-key", b"k")]
    assert AZURE.credential_headers("eyJ.x") == [(b"authorization", b"Bearer eyJ.x")]
    assert AZURE.is_credential(b"api-key")
    assert AZURE.provider_request_id({b"apim-request-id": b"a", b"x-request-id": b"b"}) == "a"
    assert AZURE.provider_request_id({b"x-request-id": b"b"}) == "b"


def test_errors_have_a_code_and_a_message() -> None:
    body = json.loads(AZURE.error_body(404, "DeploymentNotFound", "no such"))
    assert body == {"error": {"code": "DeploymentNotFound", "message": "no such"}}


def test_another_deployment_is_written_into_the_path() -> None:
    route = AZURE.route("POST", "/openai/deployments/prod-4o/chat/completions")
    target = b"/openai/deployments/prod-4o/chat/completions?api-version=2024-10-21"
    rewritten = AZURE.with_model(route, target, b'{"messages":[]}', "spare 4o/x")
    assert rewritten == (
        b"/openai/deployments/spare%204o%2Fx/chat/completions?api-version=2024-10-21",
        b'{"messages":[]}',
    )
    named = AZURE.with_model(route, target, b'{"model":"prod-4o"}', "b")
    assert named is not None
    assert named.body == b'{"model":"b"}'
    v1 = AZURE.route("POST", "/openai/v1/chat/completions")
    moved = AZURE.with_model(v1, b"/openai/v1/chat/completions", b'{"model":"a"}', "b")
    assert moved == (b"/openai/v1/chat/completions", b'{"model":"b"}')


def test_a_stream_begins_with_the_results_of_its_filter() -> None:
    route = route_at("api-version=2024-10-21")
    facts = AZURE.read_request(route, BODY, inject_stream_usage=True, user_is="user")
    meter = AZURE.meter(route, facts, 200, {b"content-type": b"text/event-stream"})
    chunks = [
        {"choices": [], "created": 0, "id": "", "model": "", "object": "",
         "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
        {"choices": [{"delta": {"content": "Hi"}, "index": 0, "content_filter_results": {}}],
         "id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "usage": None},
        {"choices": [{"delta": {}, "finish_reason": "stop", "index": 0}], "id": "chatcmpl-1",
         "model": "gpt-4o-2024-08-06", "usage": None},
        {"choices": [], "id": "chatcmpl-1", "model": "gpt-4o-2024-08-06",
         "usage": {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9}},
    ]  # fmt: skip
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    events.append(b"data: [DONE]\n\n")
    shown = b"".join(meter.feed(event) for event in events) + meter.flush()
    assert shown == b"".join(events[:3] + events[4:])
    seen = meter.result()
    assert (seen.model_actual, seen.provider_response_id) == ("gpt-4o-2024-08-06", "chatcmpl-1")
    assert seen.usage_complete

"""Answers that are shown again: only final usage is taken, from a document or from events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.dialects.base import Metered, Watch
from tollbook.dialects.registry import dialect_named
from tollbook.dialects.shown_answers import is_final, shown_answer_meter

RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "status": "completed", "model": "m-1", "background": True,
    "service_tier": "flex", "output": [], "usage": {"input_tokens": 5, "output_tokens": 7},
}  # fmt: skip
INTERACTION: dict[str, Any] = {
    "id": "v1_1", "status": "completed", "model": "g-1",
    "usage": {"total_input_tokens": 5, "total_output_tokens": 7},
}  # fmt: skip


def shown(path: str, body: bytes) -> Metered:
    meter = shown_answer_meter(path)
    assert meter.feed(body[:9]) + meter.feed(body[9:]) + meter.flush() == body
    return meter.result()


def document(path: str, body: dict[str, Any], **changed: Any) -> Metered:
    return shown(path, json.dumps(body | changed).encode())


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_a_finished_response_shows_its_usage(status: str) -> None:
    seen = document("/v1/responses/resp_1", RESPONSE, status=status)
    assert is_final(seen)
    assert (seen.provider_response_id, seen.model_actual, seen.service_tier) == (
        "resp_1", "m-1", "flex",
    )  # fmt: skip
    assert [json.loads(one) for one in seen.usage] == [RESPONSE["usage"]]
    seen = document("/v1beta/interactions/v1_1", INTERACTION, status=status)
    assert is_final(seen)
    assert (seen.provider_response_id, seen.model_actual) == ("v1_1", "g-1")


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/responses/resp_1", RESPONSE), ("/v1beta/interactions/v1_1", INTERACTION)],
)
@pytest.mark.parametrize(
    "changed",
    [{"status": "queued"}, {"status": "in_progress"}, {"usage": None}, {"id": None}, {"id": 5}],
)
def test_what_goes_on_or_has_no_usage_shows_nothing(
    path: str, body: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert not is_final(document(path, body, **changed))


def test_a_stored_chat_completion_has_no_status() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m-1", "usage": usage}
    assert is_final(document("/v1/chat/completions/chatcmpl-1", body))


def test_the_stream_of_a_response_shows_its_usage_at_the_end() -> None:
    begun = {"type": "response.created", "response": RESPONSE | {"usage": None}}
    ended = {"type": "response.completed", "response": RESPONSE}
    first, last = (f"data: {json.dumps(one)}\n\n".encode() for one in (begun, ended))
    assert not is_final(shown("/v1/responses/resp_1", first))
    assert is_final(shown("/v1/responses/resp_1", first + last))
    done = {"event_type": "interaction.completed", "interaction": INTERACTION}
    assert is_final(shown("/interactions/v1_1", f"data: {json.dumps(done)}\n\n".encode()))


@given(body=st.binary(max_size=300), path=st.sampled_from(["/responses/r", "/interactions/i"]))
def test_no_body_raises(body: bytes, path: str) -> None:
    assert not is_final(shown(path, body))


@pytest.mark.parametrize(
    ("dialect", "method", "path", "is_shown"),
    [
        ("openai", "GET", "/v1/responses/resp_1", True),
        ("openai", "POST", "/v1/responses/resp_1/cancel", True),
        ("openai", "GET", "/v1/chat/completions/chatcmpl-1", True),
        ("openai", "GET", "/v1/responses/resp_1/input_items", False),
        ("openai", "DELETE", "/v1/responses/resp_1", False),
        ("azure", "GET", "/openai/v1/responses/resp_1", True),
        ("gemini", "GET", "/v1beta/interactions/v1_1", True),
        ("gemini", "POST", "/v1beta/interactions/v1_1/cancel", True),
        ("gemini", "GET", "/v1beta/interactions/", False),
        ("gemini", "GET", "/v1beta/openai/chat/completions/c-1", True),
        ("openai", "POST", "/v1/responses", False),
    ],
)
def test_which_requests_show_an_answer(
    dialect: str, method: str, path: str, *, is_shown: bool
) -> None:
    route = dialect_named(dialect).route(method, path)
    assert (route.watch is Watch.ANSWER) is is_shown
    assert (route.metering == "free" and not route.inspects_body) or not is_shown

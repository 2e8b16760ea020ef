"""The version of the web search tool, and xAI's sources: what the fee of a search goes by."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.dialects.base import Measured, RequestFacts
from tollbook.dialects.openai import OpenAI

OPENAI = OpenAI()
RESPONSES = OPENAI.route("POST", "/v1/responses")
SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}
OPENED = {"type": "web_search_call", "status": "completed", "action": {"type": "open_page"}}


def measured(usages: tuple[bytes, ...], operation: str, tier: str | None = None) -> Measured:
    opened = CallOpened(
        b"0" * 16, 1, Identity(), "p", "openai", operation, Metering.METERED, "POST", "/",
        input_chars=400,
    )  # fmt: skip
    closed = CallClosed(
        b"0" * 16, 2, Status.OK, usage=usages, usage_complete=True, model_actual="gpt-4.1",
        service_tier=tier,
    )  # fmt: skip
    return OPENAI.measure(Call(opened, closed, Evidence("w", 0, 0, "1")))


def response(tool: str, *items: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": 40, "output_tokens": 10, "total_tokens": 50}
    return {"model": "gpt-4.1", "tools": [{"type": tool}], "output": list(items), "usage": usage}


def usages_of(document: dict[str, Any], *, is_stream: bool) -> tuple[bytes, ...]:
    kind = b"text/event-stream" if is_stream else b"application/json"
    meter = OPENAI.meter(RESPONSES, RequestFacts(b""), 200, {b"content-type": kind})
    body = json.dumps(document).encode()
    if is_stream:
        event = {"type": "response.completed", "response": document}
        body = b"event: response.completed\ndata: " + json.dumps(event).encode() + b"\n\n"
    meter.feed(body)
    return meter.result().usage


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("tool", "items", "service_tier", "tier", "searches"),
    [
        ("web_search", (SEARCH, SEARCH), None, None, 2),
        ("web_search_preview", (SEARCH, OPENED), None, "web_search_preview", 1),
        ("web_search_preview_2025_03_11", (SEARCH,), "flex", "flex+web_search_preview", 1),
        ("web_search_preview", (OPENED,), None, None, 0),
        ("web_search_preview", (), "flex", None, 0),
    ],
)
def test_the_older_search_tool_is_a_word_of_the_tier(
    tool: str, items: tuple[dict[str, Any], ...], service_tier: str | None, tier: str | None,
    searches: int, *, is_stream: bool,
) -> None:  # fmt: skip
    usages = usages_of(response(tool, *items), is_stream=is_stream)
    found = measured(usages, "responses", service_tier)
    assert found.tier == tier
    assert found.kinds is not None
    assert found.kinds.web_search_requests == searches


@pytest.mark.parametrize(
    ("members", "tier", "searches"),
    [
        ({"num_sources_used": 3}, "live-search", 3),
        ({"num_sources_used": 0}, None, 0),
        ({}, None, 0),
        (
            {"num_sources_used": 3, "server_side_tool_usage_details": {"web_search_calls": 2}},
            None,
            2,
        ),
    ],
)
def test_sources_of_xais_live_search_have_a_price_of_their_own(
    members: dict[str, Any], tier: str | None, searches: int
) -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5} | members
    found = measured((json.dumps(usage).encode(),), "chat")
    assert found.tier == tier
    assert found.kinds is not None
    assert found.kinds.web_search_requests == searches

"""Answers of Anthropic that cost more than their top level says, through the official client."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import anthropic
import pytest
from tests.accuracy.kit import Case, ScriptedProvider, json_answer, sse, streamed

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES: Any = [{"role": "user", "content": "Hi"}]


def usage(given: int, out: int, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": given, "output_tokens": out, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0, "service_tier": "standard", "inference_geo": "global", **more,
    }  # fmt: skip


def made(kind: str, given: int, out: int, model: str | None = None) -> dict[str, Any]:
    counts = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    named = {} if model is None else {"model": model}
    return {"type": kind, "input_tokens": given, "output_tokens": out, **counts, **named}


class Told(NamedTuple):
    """What an answer reports, and what its entries have to say: model, label, tokens, dollars."""

    model: str
    usage: dict[str, Any]
    entries: list[tuple[str, str, int, int, str]]
    container: dict[str, str] | None = None


CONTAINER = {"id": "container_1", "expires_at": "2026-11-21T00:00:00Z"}
SPLIT = {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}
CASES = {
    "advisor": Told(
        "claude-sonnet-5",
        usage(
            2390,
            121,
            iterations=[
                made("message", 1128, 110),
                made("advisor_message", 2518, 22, "claude-opus-4-8"),
                made("message", 1262, 11),
            ],
        ),
        [
            # 2390 x 2 + 121 x 10, and 2518 x 5 + 22 x 25 dollars per million
            ("claude-sonnet-5", "", 2390, 121, "0.005990"),
            ("claude-opus-4-8", "advisor_message", 2518, 22, "0.013140"),
        ],
    ),
    "compaction": Told(
        "claude-sonnet-4-6",
        usage(220, 8, iterations=[made("compaction", 55196, 125), made("message", 220, 8)]),
        [
            ("claude-sonnet-4-6", "", 220, 8, "0.000780"),
            ("claude-sonnet-4-6", "compaction", 55196, 125, "0.167463"),
        ],
    ),
    "fallback": Told(
        "claude-opus-4-8",
        usage(
            412,
            264,
            iterations=[
                made("message", 408, 90, "claude-fable-5"),
                made("fallback_message", 412, 264, "claude-opus-4-8"),
            ],
        ),
        [
            # 412 x 5 + 264 x 25, and 408 x 10 + 90 x 50 dollars per million
            ("claude-opus-4-8", "", 412, 264, "0.008660"),
            ("claude-fable-5", "message", 408, 90, "0.008580"),
        ],
    ),
    "declined": Told(
        "claude-opus-4-8",
        usage(
            412,
            264,
            iterations=[
                made("message", 408, 0, "claude-fable-5"),
                made("fallback_message", 412, 264, "claude-opus-4-8"),
            ],
        ),
        [("claude-opus-4-8", "", 412, 264, "0.008660")],
    ),
    "fast": Told(
        "claude-opus-4-8",
        usage(100, 10, speed="fast"),
        [("claude-opus-4-8", "", 100, 10, "0.001500")],  # twice the price
    ),
    "kept in the us": Told(
        "claude-sonnet-5",
        usage(100, 10, inference_geo="us"),
        [("claude-sonnet-5", "", 100, 10, "0.000330")],  # 1.1 times the price
    ),
    "searches": Told(
        "claude-sonnet-5",
        usage(100, 10, server_tool_use={"web_search_requests": 3, "web_fetch_requests": 2}),
        [("claude-sonnet-5", "", 100, 10, "0.030300")],  # ten dollars per thousand, fetches free
    ),
    "cache writes": Told(
        "claude-sonnet-5",
        usage(100, 10, cache_creation_input_tokens=3000, cache_creation=SPLIT),
        # 100 x 2 + 1000 x 2.5 + 2000 x 4 + 10 x 10 dollars per million
        [("claude-sonnet-5", "", 3100, 10, "0.010800")],
    ),
    "code beside searches": Told(
        "claude-sonnet-5",
        usage(100, 10, server_tool_use={"web_search_requests": 1, "web_fetch_requests": 0}),
        [("claude-sonnet-5", "", 100, 10, "0.010300")],
        CONTAINER,
    ),
}


def answer(name: str, told: Told) -> dict[str, Any]:
    more = {} if told.container is None else {"container": told.container}
    return {
        "id": f"msg_{name.replace(' ', '_')}", "type": "message", "role": "assistant",
        "model": told.model, "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": told.usage, **more,
    }  # fmt: skip


def events(name: str, told: Told) -> list[dict[str, Any]]:
    opening = {
        key: value
        for key, value in told.usage.items()
        if key not in {"iterations", "server_tool_use"}
    } | {"output_tokens": 1}
    closing = {
        key: value
        for key, value in told.usage.items()
        if key not in {"cache_creation", "service_tier", "inference_geo"}
    }
    message = {
        **answer(name, told), "id": f"msg_s_{name.replace(' ', '_')}", "content": [],
        "stop_reason": None, "usage": opening,
    }  # fmt: skip
    delta: dict[str, Any] = {"stop_reason": "end_turn", "stop_sequence": None}
    if told.container is not None:
        delta["container"] = message.pop("container")
    text = {"type": "text", "text": ""}
    hello = {"type": "text_delta", "text": "Hello"}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "content_block_delta", "index": 0, "delta": hello},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": delta, "usage": closing},
        {"type": "message_stop"},
    ]


SCRIPTS = [
    script
    for name, told in CASES.items()
    for script in (
        Case(id=f"{name} plain", steps=[json_answer(answer(name, told))]),
        Case(id=f"{name} streamed", steps=streamed(sse(*events(name, told), done=False))),
    )
]


@pytest.fixture
def rows(make_house: Callable[..., Any]) -> dict[str, list[dict[str, Any]]]:
    """Play every case, plain and streamed; return the entries by the answer's id."""
    with ScriptedProvider(SCRIPTS) as provider:
        settings = f"""
[providers.claude]
dialect = "anthropic"
base_url = "http://127.0.0.1:{provider.port}"
api_key_env = "SIM_KEY"
list_prices = "anthropic"
"""
        house = make_house(settings=settings)
        key = house.key("app", tenant_id="acme")
        with contextlib.closing(
            anthropic.Anthropic(base_url=f"{house.url}/claude", api_key=key, max_retries=0)
        ) as client:
            for name, told in CASES.items():
                plain = client.beta.messages.create(
                    model=told.model, max_tokens=99, messages=MESSAGES,
                    extra_headers={"x-case": f"{name} plain"},
                )  # fmt: skip
                assert plain.usage.input_tokens == told.usage["input_tokens"]
                with client.beta.messages.stream(
                    model=told.model,
                    max_tokens=99,
                    messages=MESSAGES,
                    extra_headers={"x-case": f"{name} streamed"},
                ) as stream:
                    final = stream.get_final_message()
                assert final.usage.output_tokens == told.usage["output_tokens"]
        house.stop()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in house.records("SELECT * FROM entries ORDER BY called_at, part"):
        found.setdefault(row["provider_response_id"], []).append(row)
    return found


def test_all_that_is_billed_is_booked_at_its_own_price(
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    for name, told in CASES.items():
        for way in ("msg_", "msg_s_"):
            entries = rows[way + name.replace(" ", "_")]
            seen = [
                (
                    row["model_actual"],
                    row["part_label"] or "",
                    row["uncached_input_tokens"]
                    + row["cache_write_5m_tokens"]
                    + row["cache_write_1h_tokens"],
                    row["visible_output_tokens"],
                    row["cost_usd"],
                )
                for row in entries
            ]
            assert seen == [(*one[:4], Decimal(one[4])) for one in told.entries], (name, way)
            assert sum(row["calls"] for row in entries) == 1, "one call, however many models"
            assert {row["usage_source"] for row in entries} == {"reported"}
            assert {row["tenant_id"] for row in entries} == {"acme"}
            assert {row["call_id"] for row in entries} == {entries[0]["call_id"]}
    kept = json.dumps([row["usage_raw"] for row in rows["msg_advisor"]], default=str)
    assert "advisor_message" in kept, "the evidence is the provider's own bytes"

"""Reads the layers of requests, as the gateway does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tollbook.dialects.registry import dialect_named
from tollbook.layers import Section

if TYPE_CHECKING:
    from tollbook.dialects.request_layers import Layered

PATHS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/gemini-3-flash:generateContent",
    "bedrock": "/model/anthropic.claude-sonnet-4-20250514-v1:0/converse",
    "cohere": "/v2/chat",
    "ollama": "/api/chat",
}


def layered_raw(api: str, body: bytes, path: str | None = None) -> Layered:
    dialect = dialect_named("openai" if api == "responses" else api)
    route = dialect.route("POST", path or PATHS[api])
    facts = dialect.read_request(route, body, inject_stream_usage=True, user_is="user")
    return facts.layered


def layered(api: str, body: Any, path: str | None = None) -> Layered:
    return layered_raw(api, json.dumps(body).encode(), path)


def names(found: Layered) -> list[str]:
    """Return the sections in order."""
    return [Section(each).name.lower() for each in (found.layers or ())[::2]]


def sums(found: Layered) -> dict[str, int]:
    """Return the weight of each section."""
    totals: dict[str, int] = {}
    layers = found.layers or ()
    for section, weight in zip(layers[::2], layers[1::2], strict=True):
        name = Section(section).name.lower()
        totals[name] = totals.get(name, 0) + weight
    return totals

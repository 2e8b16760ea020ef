"""A planned request as the product sends it: path, headers and JSON body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.simulator import carriers
from tollbook.simulator.provider.text import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.simulator.traffic import PlannedRequest

PATHS: Final = {
    "chat": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
    "completions": "/openai/v1/completions",
    "embeddings": "/openai/v1/embeddings",
    "messages": "/anthropic/v1/messages",
}
_SCHEMA: Final = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
    "required": ["query", "limit"],
}
_CHAT_TOOL: Final = {
    "type": "function",
    "function": {"name": "look_up", "description": "Look something up.", "parameters": _SCHEMA},
}
_RESPONSES_TOOL: Final = {
    "type": "function",
    "name": "look_up",
    "description": "Look something up.",
    "parameters": _SCHEMA,
    "strict": False,
}
_ANTHROPIC_TOOL: Final = {
    "name": "look_up",
    "description": "Look something up.",
    "input_schema": _SCHEMA,
}
_MAX_OUTPUT = 16_384


class Prepared(NamedTuple):
    """What goes on the wire, but for the credential's header."""

    path: str
    api_key: str
    headers: dict[str, str]
    body: dict[str, Any]


def prepare(
    planned: PlannedRequest,
    api_key: str,
    virtual_keys: Mapping[str, str],
    text_tokens_max: int,
) -> Prepared:
    """Return a planned request in full.

    Args:
        planned: the request.
        api_key: the product's own key, for requests that present no virtual key.
        virtual_keys: key by tenant. A request planned with a virtual key whose tenant has none
            names its tenant in ``x-tollbook-*`` headers instead.
        text_tokens_max: how much of the prompt's text is really sent; the size that counts is in
            ``x-sim-size`` either way.
    """
    carrier, key, owner = planned.carrier, api_key, planned.owner
    if carrier == carriers.VIRTUAL_KEY:
        known = virtual_keys.get(owner.tenant_id or "")
        if known is None:
            carrier = "tollbook_headers"
        else:
            key = known
    carried = carriers.carry(carrier, owner)
    headers = {
        "x-sim-request-id": planned.id,
        "x-sim-size": planned.size.to_header(),
        **carried.headers,
    }
    if planned.fault is not None:
        headers["x-sim-fault"] = planned.fault
    seed = sum(planned.id.encode())
    text = text_of(seed, max(1, min(planned.size.input, text_tokens_max)))
    return Prepared(PATHS[planned.api], key, headers, _body(planned, text) | carried.body)


_TOOLS: Final = {
    "chat": _CHAT_TOOL,
    "responses": _RESPONSES_TOOL,
    "messages": _ANTHROPIC_TOOL,
}


def _body(planned: PlannedRequest, text: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": planned.model}
    if planned.is_stream:
        body["stream"] = True
    match planned.api:
        case "embeddings" | "responses":
            body["input"] = text
        case "completions":
            body |= {"prompt": text, "max_tokens": 4096}
        case "chat" | "messages":
            body["messages"] = [{"role": "user", "content": text}]
    if planned.api == "messages":
        body["max_tokens"] = _MAX_OUTPUT
    if planned.has_tools:
        body["tools"] = [_TOOLS[planned.api]]
    if planned.is_stream and planned.asks_usage and planned.api in ("chat", "completions"):
        body["stream_options"] = {"include_usage": True}
    return body

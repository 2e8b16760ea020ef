"""The Anthropic API: endpoints, credentials, errors and headers.

Shapes as in https://docs.anthropic.com/en/api/overview, /errors, /messages-count-tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tollbook.simulator.pricelist import MODELS
from tollbook.simulator.provider import anthropic_messages, checks
from tollbook.simulator.provider.answers import Answer, Header, Plain, RefusedError
from tollbook.simulator.provider.api import Extent, Incoming, bearer_key, generate
from tollbook.simulator.provider.batch_anthropic import AnthropicBatches
from tollbook.simulator.provider.sizing import count_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.simulator.provider.checks import Json

NAME = "anthropic"
_INVALID = "invalid_request_error"
_ROLES = frozenset({"user", "assistant", "system"})
_encode = msgspec.json.Encoder().encode


class AnthropicApi:
    """Answers requests as Anthropic does."""

    name = NAME

    def __init__(self) -> None:
        self._batches = AnthropicBatches(self.error)

    def credential(self, headers: dict[str, str]) -> str | None:
        """Return the key: ``x-api-key``, or a bearer token as newer SDKs send it."""
        return headers.get("x-api-key") or bearer_key(headers)

    def head(self, request_id: str, processing_ms: int) -> list[Header]:  # noqa: ARG002 -- one seam for both APIs
        """Return the headers that every answer has."""
        return [
            (b"request-id", request_id.encode()),
            (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
        ]

    def rate_limit_headers(self, remaining: int) -> list[Header]:
        """Return the rate-limit headers (docs: api/rate-limits)."""
        return [
            (b"anthropic-ratelimit-requests-limit", b"4000"),
            (b"anthropic-ratelimit-requests-remaining", b"%d" % min(remaining, 4000)),
            (b"anthropic-ratelimit-requests-reset", b"2030-01-01T00:00:00Z"),
            (b"anthropic-ratelimit-tokens-limit", b"400000"),
            (b"anthropic-ratelimit-tokens-remaining", b"%d" % (min(remaining, 4000) * 100)),
            (b"anthropic-ratelimit-tokens-reset", b"2030-01-01T00:00:00Z"),
        ]

    def request_id(self, seed: int) -> str:
        """Return an id in this provider's form."""
        return f"req_{seed:024x}"

    def error(self, refused: RefusedError, request_id: str) -> Plain:
        """Return an error in this provider's shape."""
        error = {"type": refused.error_type, "message": refused.message}
        body = {"type": "error", "error": error, "request_id": request_id}
        return Plain(refused.status, _encode(body))

    def fault_error(self, kind: str) -> RefusedError:
        """Return the error that a planned fault stands for."""
        return {
            "bad_request": RefusedError(400, _INVALID, "messages: simulated bad request"),
            "unauthorized": RefusedError(401, "authentication_error", "invalid x-api-key"),
            "not_found": RefusedError(404, "not_found_error", "model: simulated"),
            "rate_limit": RefusedError(
                429, "rate_limit_error", "This request would exceed your rate limit."
            ),
            "server_error": RefusedError(500, "api_error", "Internal server error"),
            "overloaded": RefusedError(529, "overloaded_error", "Overloaded"),
        }[kind]

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        if not incoming.headers.get("anthropic-version"):
            raise RefusedError(400, _INVALID, "anthropic-version: header is required")
        of_batch = self._batches.answer(incoming, self.answer)
        if of_batch is not None:
            return of_batch
        match incoming.method, incoming.path:
            case "POST", "/v1/messages":
                return _messages(incoming)
            case "POST", "/v1/messages/count_tokens":
                checks.need_model(NAME, incoming.body, "messages")
                checks.need_messages(incoming.body, _ROLES)
                count = count_tokens(*_blocks(incoming.body))
                return Plain(200, _encode({"input_tokens": count}))
            case "GET", "/v1/models":
                return Plain(200, _encode(_models()))
        raise RefusedError(404, "not_found_error", "Not found")


def _models() -> Json:
    data = [
        {
            "type": "model",
            "id": model.snapshot,
            "display_name": name,
            "created_at": "2025-10-01T00:00:00Z",
            "lifecycle": "active",
        }
        for name, model in MODELS.items()
        if model.provider == NAME
    ]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"],
        "last_id": data[-1]["id"],
    }


def _blocks(body: Json) -> Sequence[object]:
    """Return the prompt in cache order: tools, system, messages."""
    found: list[object] = list(checks.tools_of(body))
    system = body.get("system")
    found += system if isinstance(system, list) else [system or ""]
    for message in body["messages"]:
        content = message.get("content")
        found += content if isinstance(content, list) else [content]
    return found


def _check_metadata(body: Json) -> None:
    metadata = body.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise RefusedError(400, _INVALID, "metadata: Input should be a valid dictionary")
    for key in metadata.keys() - {"user_id"}:
        raise RefusedError(400, _INVALID, f"metadata.{key}: Extra inputs are not permitted")


def _tool(body: Json) -> tuple[str, str] | None:
    """Return the tool the model calls: the chosen one, else the first offered."""
    tools, choice = body.get("tools"), body.get("tool_choice") or {}
    if not isinstance(tools, list) or not isinstance(choice, dict) or choice.get("type") == "none":
        return None
    wanted = choice.get("name")
    for tool in tools:
        name = tool.get("name") if isinstance(tool, dict) else None
        if isinstance(name, str) and wanted in (None, name):
            return name, checks.tool_arguments(tool.get("input_schema"))
    if wanted is not None:
        message = f"tool_choice: tool '{wanted}' is not among the tools"
        raise RefusedError(400, _INVALID, message)
    return None


def _follows_tool(messages: Sequence[Json]) -> bool:
    content = messages[-1].get("content")
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == "tool_result" for block in content
    )


def _messages(incoming: Incoming) -> Answer:
    body = incoming.body
    model = checks.need_model(NAME, body, "messages")
    messages = checks.need_messages(body, _ROLES)
    limit = checks.whole_or_none(body, "max_tokens")
    if limit is None:
        raise RefusedError(400, _INVALID, "max_tokens: Field required")
    _check_metadata(body)
    blocks = _blocks(body)
    read, write_5m, write_1h = incoming.cache.explicit(model.name, blocks)
    extent = Extent(
        count_tokens(*blocks),
        read,
        write_5m,
        write_1h,
        max_output=limit,
        tool=None if _follows_tool(messages) else _tool(body),
    )
    generation = generate(incoming, model, extent)
    if checks.is_true(body, "stream"):
        return anthropic_messages.stream(generation)
    return anthropic_messages.plain(generation)

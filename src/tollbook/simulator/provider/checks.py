"""Reading a request body strictly, with refusals in words like the providers' own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.simulator.pricelist import Model, find_model
from tollbook.simulator.provider.answers import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, Any]
_INVALID = "invalid_request_error"


def read_json(body: bytes) -> Json:
    """Return the body as a JSON object, or refuse with 400."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise RefusedError(
            400, _INVALID, "We could not parse the JSON body of your request."
        ) from error
    if not isinstance(value, dict):
        raise RefusedError(400, _INVALID, "The JSON body of your request must be an object.")
    return value


def need_list(body: Json, name: str) -> Sequence[Any]:
    """Return a required, non-empty list parameter."""
    value = body.get(name)
    if value is None:
        raise RefusedError(400, _INVALID, f"Missing required parameter: '{name}'.", name)
    if not isinstance(value, list) or not value:
        raise RefusedError(400, _INVALID, f"Invalid '{name}': expected a non-empty array.", name)
    return value


def tools_of(body: Json) -> list[Any]:
    """Return the optional ``tools``, refused if not a list."""
    tools = body.get("tools")
    if tools is None:
        return []
    if not isinstance(tools, list):
        raise RefusedError(400, _INVALID, "Invalid type for 'tools': expected an array.", "tools")
    return tools


def need_messages(body: Json, roles: frozenset[str]) -> Sequence[Json]:
    """Return ``messages``, each an object with a known role and some content."""
    messages = need_list(body, "messages")
    for at, message in enumerate(messages):
        name = f"messages[{at}]"
        if not isinstance(message, dict):
            raise RefusedError(
                400, _INVALID, f"Invalid type for '{name}': expected an object.", name
            )
        role = message.get("role")
        if not isinstance(role, str) or role not in roles:
            raise RefusedError(
                400,
                _INVALID,
                f"Invalid '{name}.role': supported values are {', '.join(sorted(roles))}.",
                f"{name}.role",
            )
        content = message.get("content")
        if not isinstance(content, str | list) and not message.get("tool_calls"):
            raise RefusedError(
                400, _INVALID, f"Invalid '{name}.content': expected text or blocks.", name
            )
    return messages


def whole_or_none(body: Json, name: str, least: int = 1) -> int | None:
    """Return an optional integer parameter of at least ``least``."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RefusedError(
            400, _INVALID, f"Invalid '{name}': integer of at least {least} expected.", name
        )
    return value


def is_true(body: Json, name: str) -> bool:
    """Return an optional boolean parameter."""
    value = body.get(name, False)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise RefusedError(400, _INVALID, f"Invalid type for '{name}': expected a boolean.", name)
    return value


def need_model(provider: str, body: Json, api: str) -> Model:
    """Return the model a request names, or refuse with the provider's 404 or 400."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise RefusedError(400, _INVALID, "you must provide a model parameter", "model")
    model = find_model(provider, name)
    if model is None:
        if provider != "anthropic":
            raise RefusedError(
                404,
                _INVALID,
                f"The model `{name}` does not exist or you do not have access to it.",
                code="model_not_found",
            )
        raise RefusedError(404, "not_found_error", f"model: {name}")
    if api not in model.apis:
        raise RefusedError(
            400, _INVALID, f"The model `{name}` is not supported with this endpoint.", "model"
        )
    return model


def check_metadata(body: Json) -> None:
    """Refuse OpenAI metadata that is not at most 16 pairs of short text."""
    metadata = body.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict) or len(metadata) > 16:  # noqa: PLR2004 -- the API's limit
        raise RefusedError(
            400, _INVALID, "Invalid 'metadata': expected at most 16 pairs.", "metadata"
        )
    for key, value in metadata.items():
        if not isinstance(value, str) or len(value) > 512 or len(key) > 64:  # noqa: PLR2004 -- ditto
            raise RefusedError(
                400,
                _INVALID,
                f"Invalid 'metadata.{key}': expected a string of at most 512 characters.",
                f"metadata.{key}",
            )


def tool_arguments(schema: object) -> str:
    """Return JSON arguments that satisfy the required properties of a tool's schema."""
    samples: Json = {
        "string": "value",
        "integer": 7,
        "number": 2.5,
        "boolean": True,
        "array": [],
        "object": {},
    }
    found: Json = {}
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if isinstance(schema, dict) and isinstance(properties, dict):
        required = schema.get("required")
        for name in properties:
            spec = properties[name]
            is_wanted = not isinstance(required, list) or name in required
            if is_wanted and isinstance(spec, dict):
                choices = spec.get("enum")
                sample = samples.get(str(spec.get("type")), "value")
                found[name] = choices[0] if isinstance(choices, list) and choices else sample
    return msgspec.json.encode(found).decode()

"""Sections of a request, from the content that a span carries where content is captured.

Every convention writes messages in its own way; they are put into the shape of a chat request and
read as one. Only weights come out: no text is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from tollbook.dialects.openai_layers import chat_layers
from tollbook.dialects.request_layers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.dialects.request_layers import Layered

_MAX_CHARS: Final = 2_000_000
"""Longer content is not read for its layers."""
_MAX_MESSAGES: Final = 2000
_INDEXED: Final = (
    ("llm.input_messages.", ".message.role", (".message.content",)),  # OpenInference
    ("gen_ai.prompt.", ".role", (".content",)),  # OpenLLMetry, LiteLLM, older versions
)
_decode: Final = msgspec.json.Decoder().decode
_NONE: Final = Raw()


def otel_layers(attributes: Mapping[str, Any]) -> Layered:
    """Return the sections of the request that a span carries, unknown where it has no content.

    Never raises on what the attributes hold.
    """
    messages = _messages(attributes)
    if not messages:
        return UNKNOWN
    tools = _tools(attributes)
    try:
        raw = Raw(msgspec.json.encode(messages))
        definitions = Raw(msgspec.json.encode(tools)) if tools else _NONE
        return chat_layers(raw, definitions, _NONE, _NONE)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return UNKNOWN


def _messages(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    told = _list(attributes.get("gen_ai.input.messages"))
    if told:
        system = _list(attributes.get("gen_ai.system_instructions"))
        first = [{"role": "system", "content": _text(system)}] if system else []
        return first + _turns(told)
    told = _list(attributes.get("ai.prompt.messages"))
    if told:
        return _turns(told)
    for prefix, role, contents in _INDEXED:
        found = _indexed(attributes, prefix, role, contents)
        if found:
            return found
    return []


def _turns(told: list[Any]) -> list[dict[str, Any]]:
    """Return messages with parts (GenAI, AI SDK) as those of a chat request."""
    turns: list[dict[str, Any]] = []
    for message in told[:_MAX_MESSAGES]:
        if not isinstance(message, dict):
            continue
        parts = message.get("parts", message.get("content"))
        calls = [one for one in parts if _is(one, "call")] if isinstance(parts, list) else []
        results = [one for one in parts if _is(one, "re")] if isinstance(parts, list) else []
        role = message.get("role")
        if results:
            turns += [{"role": "tool", "content": _text([one])} for one in results]
            continue
        turn: dict[str, Any] = {"role": role if isinstance(role, str) else "user"}
        turn["content"] = parts if isinstance(parts, str) else _text(parts, but=calls)
        if calls:
            turn["tool_calls"] = [{"type": "function", "function": _function(one)} for one in calls]
        turns.append(turn)
    return turns


def _is(part: Any, what: str) -> bool:
    """Whether a part calls a tool, or is the result (``tool_call_response``, ``tool-result``)."""
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or not kind.startswith("tool"):
        return False
    is_result = "response" in kind or "result" in kind
    return is_result if what == "re" else not is_result


def _function(call: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": call.get("name") or call.get("toolName") or "",
        "arguments": _plain(call.get("arguments", call.get("input", call.get("args", "")))),
    }


def _text(parts: Any, but: list[Any] | None = None) -> str:
    """Return the text of parts; what is not text counts as its JSON, but for binary data."""
    if not isinstance(parts, list):
        return _plain(parts)
    texts = []
    for part in parts:
        if but and part in but:
            continue
        if isinstance(part, dict):
            held = part.get("content", part.get("text", part.get("response", part.get("output"))))
            texts.append(_plain(held) if part.get("type") not in {"blob", "file", "image"} else "")
        else:
            texts.append(_plain(part))
    return "\n".join(texts)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _indexed(
    attributes: Mapping[str, Any], prefix: str, role: str, contents: tuple[str, ...]
) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    size = 0
    for at in range(_MAX_MESSAGES):
        who = attributes.get(f"{prefix}{at}{role}")
        if not isinstance(who, str):
            break
        texts = [attributes.get(f"{prefix}{at}{name}") for name in contents]
        text = "\n".join([one for one in texts if isinstance(one, str)])
        size += len(text)
        if size > _MAX_CHARS:
            return []
        turns.append({"role": who, "content": text})
    return turns


def _tools(attributes: Mapping[str, Any]) -> list[Any]:
    told = _list(attributes.get("gen_ai.tool.definitions"))
    if told:
        return told
    given = attributes.get("ai.prompt.tools")
    if not isinstance(given, list):
        given = []
        for at in range(128):
            schema = attributes.get(f"llm.tools.{at}.tool.json_schema")
            if schema is None:
                break
            given.append(schema)
    return [one for text in given[:128] if (one := _json(text)) is not None]


def _list(value: Any) -> list[Any]:
    read = _json(value) if isinstance(value, str) else value
    return read if isinstance(read, list) else []


def _json(text: Any) -> Any:
    if not isinstance(text, str) or len(text) > _MAX_CHARS:
        return None
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None

"""Bedrock ``converse`` and ``converse-stream``.

Shapes as in https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.simulator.provider import checks
from tollbook.simulator.provider.answers import Event, Generation, Plain, RefusedError, Stream
from tollbook.simulator.provider.bedrock_frames import MEDIA_TYPE, event_frame, exception_frame
from tollbook.simulator.provider.text import split_evenly, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.simulator.provider.checks import Json

_encode = msgspec.json.Encoder().encode
_REASONING_TEXT_MAX_TOKENS: Final = 64
ERROR_FRAME: Final = exception_frame("modelStreamErrorException", "The model failed.")
_METADATA_PAIRS_MAX: Final = 16
_METADATA_CHARS_MAX: Final = 256


def need_conversation(body: Json) -> list[object]:
    """Return the prompt in cache order (tools, system, messages), or refuse as the service does.

    A ``cachePoint`` becomes a mark on the block before it.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError(400, "ValidationException", "The messages field is required.")
    _check_metadata(body.get("requestMetadata"))
    tool_config = body.get("toolConfig")
    found: list[object] = []
    if isinstance(tool_config, dict):
        found += tool_config.get("tools") or []
    found += body.get("system") or []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in {"user", "assistant"}:
            raise RefusedError(400, "ValidationException", "messages: a role is not valid")
        content = message.get("content")
        if not isinstance(content, list):
            raise RefusedError(400, "ValidationException", "messages: content is not a list")
        found += content
    return _marked(found)


def _marked(blocks: Sequence[object]) -> list[object]:
    marked: list[object] = []
    for block in blocks:
        point = block.get("cachePoint") if isinstance(block, dict) else None
        if point is None:
            marked.append(block)
        elif marked and isinstance(marked[-1], dict):
            marked[-1] = {**marked[-1], "cache_control": {"ttl": point.get("ttl", "5m")}}
    return marked


def _check_metadata(metadata: object) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not 1 <= len(metadata) <= _METADATA_PAIRS_MAX:
        raise RefusedError(400, "ValidationException", "requestMetadata: 1 to 16 pairs expected")
    for key, value in metadata.items():
        if not isinstance(value, str) or max(len(key), len(value)) > _METADATA_CHARS_MAX:
            raise RefusedError(400, "ValidationException", f"requestMetadata.{key}: not valid")


def tool_of(body: Json) -> tuple[str, str] | None:
    """Return the tool the model calls, unless the last message brings a tool's result."""
    last = body["messages"][-1]["content"]
    if any(isinstance(block, dict) and "toolResult" in block for block in last):
        return None
    tool_config = body.get("toolConfig")
    tools = tool_config.get("tools") if isinstance(tool_config, dict) else None
    for tool in tools or ():
        spec = tool.get("toolSpec") if isinstance(tool, dict) else None
        if isinstance(spec, dict) and isinstance(spec.get("name"), str):
            schema = (spec.get("inputSchema") or {}).get("json")
            return spec["name"], checks.tool_arguments(schema)
    return None


def usage_of(generation: Generation) -> Json:
    """Return the usage: input without the cache, each cache count under both of its names."""
    kinds = generation.quantities
    written = kinds.cache_write_5m + kinds.cache_write_1h
    usage: Json = {
        "inputTokens": kinds.uncached_input,
        "outputTokens": kinds.output,
        "totalTokens": kinds.input + kinds.output,
        "serverToolUsage": {},
    }
    if "cache_read" in generation.model.usd_per_mtok:
        usage |= {
            "cacheReadInputTokens": kinds.cache_read,
            "cacheReadInputTokenCount": kinds.cache_read,
            "cacheWriteInputTokens": written,
            "cacheWriteInputTokenCount": written,
        }
    if written:
        split = (("1h", kinds.cache_write_1h), ("5m", kinds.cache_write_5m))
        usage["cacheDetails"] = [{"ttl": ttl, "inputTokens": n} for ttl, n in split if n]
    return usage


def _stop_reason(generation: Generation) -> str:
    if generation.is_cut_short:
        return "max_tokens"
    return "end_turn" if generation.tool is None else "tool_use"


def _tool_use(generation: Generation) -> Json:
    assert generation.tool is not None
    return {"toolUseId": f"tooluse_{generation.seed:022x}", "name": generation.tool[0]}


def _reasoning_text(generation: Generation) -> str:
    shown = min(generation.quantities.reasoning, _REASONING_TEXT_MAX_TOKENS)
    return text_of(generation.seed + 1, shown)


def plain(generation: Generation) -> Plain:
    """Build the answer of ``converse``."""
    content: list[Any] = []
    if generation.quantities.reasoning:
        thought = {"text": _reasoning_text(generation), "signature": "c2lnbmVk"}
        content.append({"reasoningContent": {"reasoningText": thought}})
    if generation.tool is not None:
        arguments = msgspec.json.decode(generation.tool[1])
        content.append({"toolUse": {**_tool_use(generation), "input": arguments}})
    else:
        text = text_of(generation.seed, generation.quantities.visible_output)
        content.append({"text": text + "x" * generation.shape.huge_bytes})
    body: Json = {
        "metrics": {"latencyMs": 12},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _stop_reason(generation),
    }
    has_usage = generation.shape.has_usage
    if has_usage:
        body["usage"] = usage_of(generation)
    return Plain(200, _encode(body), (), generation, None, has_usage=has_usage)


def stream(generation: Generation) -> Stream:
    """Build the events of ``converse-stream``; the usage comes last, in ``metadata``."""
    events = [Event(event_frame("messageStart", {"role": "assistant"}))]
    index = 0
    kinds = generation.quantities
    if kinds.reasoning:
        delta = {"reasoningContent": {"text": _reasoning_text(generation)}}
        events.append(_delta(index, delta, 0, kinds.reasoning))
        events.append(Event(event_frame("contentBlockStop", {"contentBlockIndex": index})))
        index += 1
    if generation.tool is not None:
        start = {"contentBlockIndex": index, "start": {"toolUse": _tool_use(generation)}}
        events.append(Event(event_frame("contentBlockStart", start)))
        arguments = generation.tool[1]
        half = len(arguments) // 2
        counts = split_evenly(kinds.visible_output, 2)
        for piece, count in zip((arguments[:half], arguments[half:]), counts, strict=True):
            events.append(_delta(index, {"toolUse": {"input": piece}}, count))
    else:
        at, tokens = generation.seed, kinds.visible_output
        for count in split_evenly(tokens, max(1, min(generation.events, tokens))):
            text = text_of(at, count)
            if at == generation.seed:
                text += "x" * generation.shape.huge_bytes
            events.append(_delta(index, {"text": text}, count))
            at += count
    events.append(Event(event_frame("contentBlockStop", {"contentBlockIndex": index})))
    events.append(Event(event_frame("messageStop", {"stopReason": _stop_reason(generation)})))
    end: Json = {"metrics": {"latencyMs": 12}}
    has_usage = generation.shape.has_usage
    if has_usage:
        end["usage"] = usage_of(generation)
    events.append(Event(event_frame("metadata", end), has_final_usage=has_usage))
    return Stream(tuple(events), generation, "", ERROR_FRAME, (), MEDIA_TYPE)


def _delta(index: int, delta: Json, visible: int, reasoning: int = 0) -> Event:
    frame = event_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
    return Event(frame, visible, reasoning, is_content=True)

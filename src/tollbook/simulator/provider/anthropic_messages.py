"""Anthropic messages, plain and streamed.

Shapes as in https://docs.anthropic.com/en/api/messages and
https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tollbook.simulator.provider.answers import Event, Generation, Plain, Stream
from tollbook.simulator.provider.text import split_evenly, text_of

if TYPE_CHECKING:
    from tollbook.simulator.provider.checks import Json

_encode = msgspec.json.Encoder().encode
ERROR_EVENT = (
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
    b'"message":"Overloaded"}}\n\n'
)
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_SIGNATURE = "c2ltdWxhdGVkIHRoaW5raW5nIHNpZ25hdHVyZQ=="
_THINKING_TEXT_MAX_TOKENS = 64
_OPENING_TOKENS = 1  # message_start says that one token has been generated


def _event(payload: Json) -> bytes:
    kind: str = payload["type"]
    return b"event: " + kind.encode() + b"\ndata: " + _encode(payload) + b"\n\n"


def usage_of(generation: Generation) -> Json:
    """Return the usage object: input excludes cache reads and writes, output holds thinking."""
    kinds = generation.quantities
    usage: Json = {
        "input_tokens": kinds.uncached_input,
        "cache_creation_input_tokens": kinds.cache_write_5m + kinds.cache_write_1h,
        "cache_read_input_tokens": kinds.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": kinds.cache_write_5m,
            "ephemeral_1h_input_tokens": kinds.cache_write_1h,
        },
        "output_tokens": kinds.output,
        "service_tier": "standard",
    }
    if kinds.reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": kinds.reasoning}
    return usage


def _delta_usage(generation: Generation) -> Json:
    """Return the cumulative usage that ``message_delta`` carries: no split of cache writes."""
    whole = usage_of(generation)
    del whole["cache_creation"], whole["service_tier"]
    return whole


def _blocks(generation: Generation) -> list[Json]:
    blocks: list[Json] = []
    if generation.quantities.reasoning:
        shown = min(generation.quantities.reasoning, _THINKING_TEXT_MAX_TOKENS)
        text = text_of(generation.seed + 1, shown)
        blocks.append({"type": "thinking", "thinking": text, "signature": _SIGNATURE})
    if generation.tool is not None:
        name, arguments = generation.tool
        blocks.append(
            {
                "type": "tool_use",
                "id": f"toolu_{generation.seed:024x}",
                "name": name,
                "input": msgspec.json.decode(arguments),
            }
        )
    else:
        text = text_of(generation.seed, generation.quantities.visible_output)
        blocks.append({"type": "text", "text": text + "x" * generation.shape.huge_bytes})
    return blocks


def _stop_reason(generation: Generation) -> str:
    if generation.is_cut_short:
        return "max_tokens"
    return "end_turn" if generation.tool is None else "tool_use"


def plain(generation: Generation) -> Plain:
    """Build a ``message``."""
    has_usage = generation.shape.has_usage
    body: Json = {
        "id": f"msg_{generation.seed:024x}",
        "type": "message",
        "role": "assistant",
        "model": generation.model.snapshot,
        "content": _blocks(generation),
        "stop_reason": _stop_reason(generation),
        "stop_sequence": None,
    }
    if has_usage:
        body["usage"] = usage_of(generation)
    return Plain(200, _encode(body), (), generation, body["id"], has_usage=has_usage)


def stream(generation: Generation) -> Stream:
    """Build the event stream; usage opens in ``message_start`` and ends in ``message_delta``."""
    has_usage = generation.shape.has_usage
    message: Json = {
        "id": f"msg_{generation.seed:024x}",
        "type": "message",
        "role": "assistant",
        "model": generation.model.snapshot,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    if has_usage:
        opening = usage_of(generation) | {"output_tokens": _OPENING_TOKENS}
        opening.pop("output_tokens_details", None)
        message["usage"] = opening
    events = [Event(_event({"type": "message_start", "message": message}))]
    for index, block in enumerate(_blocks(generation)):
        events += _block_events(generation, index, block)
        if index == 0:
            events.insert(2, Event(_PING))
    delta: Json = {"stop_reason": _stop_reason(generation), "stop_sequence": None}
    end: Json = {"type": "message_delta", "delta": delta}
    if has_usage:
        final = _delta_usage(generation)
        if generation.shape.splits_usage:
            half = {"output_tokens": generation.quantities.output // 2}
            events.append(Event(_event(end | {"usage": half})))
            final = {
                key: final[key]
                for key in ("output_tokens", "output_tokens_details")
                if key in final
            }
        end["usage"] = final
    events.append(Event(_event(end), has_final_usage=has_usage))
    events.append(Event(_event({"type": "message_stop"})))
    return Stream(tuple(events), generation, message["id"], ERROR_EVENT)


def _block_events(generation: Generation, index: int, block: Json) -> list[Event]:
    """Return start, deltas and stop of one content block."""
    kinds = generation.quantities
    reasoning = 0
    deltas: list[tuple[Json, int]] = []
    if block["type"] == "thinking":
        opening: Json = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            ({"type": "thinking_delta", "thinking": block["thinking"]}, 0),
            ({"type": "signature_delta", "signature": _SIGNATURE}, 0),
        ]
        reasoning = kinds.reasoning
    elif block["type"] == "tool_use":
        assert generation.tool is not None
        arguments = generation.tool[1]
        half = len(arguments) // 2
        opening = block | {"input": {}}
        pieces = ("", arguments[:half], arguments[half:])
        counts = split_evenly(kinds.visible_output, len(pieces))
        deltas = [
            ({"type": "input_json_delta", "partial_json": piece}, count)
            for piece, count in zip(pieces, counts, strict=True)
        ]
    else:
        opening = {"type": "text", "text": ""}
        at, tokens = generation.seed, kinds.visible_output
        for count in split_evenly(tokens, max(1, min(generation.events, tokens))):
            text = text_of(at, count)
            if not deltas and generation.shape.huge_bytes:
                text += "x" * generation.shape.huge_bytes
            deltas.append(({"type": "text_delta", "text": text}, count))
            at += count
    start = {"type": "content_block_start", "index": index, "content_block": opening}
    events = [Event(_event(start))]
    for delta, count in deltas:
        data = _event({"type": "content_block_delta", "index": index, "delta": delta})
        events.append(Event(data, count, reasoning, is_content=True))
        reasoning = 0
    events.append(Event(_event({"type": "content_block_stop", "index": index})))
    return events

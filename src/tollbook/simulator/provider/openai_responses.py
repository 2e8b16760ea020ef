"""OpenAI responses, plain and streamed with the full event sequence and sequence numbers.

Shapes as in https://platform.openai.com/docs/api-reference/responses and
https://platform.openai.com/docs/api-reference/responses-streaming.
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
    b'event: error\ndata: {"type":"error","code":"server_error",'
    b'"message":"The server had an error while processing your request.","param":null,'
    b'"sequence_number":99}\n\n'
)


def usage_of(generation: Generation) -> Json:
    """Return the usage object of a response."""
    kinds = generation.quantities
    return {
        "input_tokens": kinds.input,
        "input_tokens_details": {"cached_tokens": kinds.cache_read, "cache_write_tokens": 0},
        "output_tokens": kinds.output,
        "output_tokens_details": {"reasoning_tokens": kinds.reasoning},
        "total_tokens": kinds.input + kinds.output,
    }


def _response(
    generation: Generation, request: Json, status: str, output: list[Json], usage: Json | None
) -> Json:
    return {
        "id": f"resp_{generation.seed:024x}",
        "object": "response",
        "created_at": generation.created_s,
        "status": status,
        "background": request.get("background") is True,
        "error": None,
        "incomplete_details": ({"reason": "max_output_tokens"} if status == "incomplete" else None),
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "metadata": request.get("metadata") or {},
        "model": generation.model.snapshot,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": request.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default" if usage else "auto",
        "store": request.get("store", True) is not False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": request.get("user"),
    }


def _message(generation: Generation, status: str, text: str | None) -> Json:
    part: Json = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {
        "id": f"msg_{generation.seed:024x}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [] if text is None else [part],
    }


def _function_call(generation: Generation, status: str, arguments: str) -> Json:
    assert generation.tool is not None
    return {
        "id": f"fc_{generation.seed:024x}",
        "type": "function_call",
        "status": status,
        "call_id": f"call_{generation.seed:016x}",
        "name": generation.tool[0],
        "arguments": arguments,
    }


def _reasoning(generation: Generation) -> list[Json]:
    if not generation.quantities.reasoning:
        return []
    return [{"id": f"rs_{generation.seed:024x}", "type": "reasoning", "summary": []}]


def _end_status(generation: Generation) -> str:
    return "incomplete" if generation.is_cut_short else "completed"


def plain(generation: Generation, request: Json) -> Plain:
    """Build a ``response``."""
    status = _end_status(generation)
    if generation.tool is None:
        text = text_of(generation.seed, generation.quantities.visible_output)
        text += "x" * generation.shape.huge_bytes
        item = _message(generation, status, text)
    else:
        item = _function_call(generation, status, generation.tool[1])
    has_usage = generation.shape.has_usage
    usage = usage_of(generation) if has_usage else None
    body = _response(generation, request, status, [*_reasoning(generation), item], usage)
    return Plain(200, _encode(body), (), generation, body["id"], has_usage=has_usage)


def unfinished(generation: Generation, request: Json, status: str) -> Plain:
    """Build a ``response`` that runs in the background: it has no usage yet."""
    body = _response(generation, request, status, [], None)
    return Plain(200, _encode(body), (), generation, body["id"])


class _Events:
    """Numbers and frames the events of one stream."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(
        self,
        kind: str,
        fields: Json,
        visible: int = 0,
        reasoning: int = 0,
        *,
        is_content: bool = False,
        has_final_usage: bool = False,
    ) -> None:
        payload = {"type": kind, "sequence_number": len(self.events)} | fields
        data = b"event: " + kind.encode() + b"\ndata: " + _encode(payload) + b"\n\n"
        self.events.append(Event(data, visible, reasoning, is_content, has_final_usage))


def stream(generation: Generation, request: Json) -> Stream:
    """Build the event stream of a response; the usage is in ``response.completed`` only."""
    out = _Events()
    begun = _response(generation, request, "in_progress", [], None)
    out.add("response.created", {"response": begun})
    out.add("response.in_progress", {"response": begun})
    done: list[Json] = _reasoning(generation)
    if done:
        place: Json = {"output_index": 0, "item": done[0]}
        out.add("response.output_item.added", place)
        out.add("response.output_item.done", place, 0, generation.quantities.reasoning)
    if generation.tool is None:
        done.append(_stream_message(generation, out, len(done)))
    else:
        done.append(_stream_call(generation, out, len(done)))
    status = _end_status(generation)
    has_usage = generation.shape.has_usage
    usage = usage_of(generation) if has_usage else None
    ended = _response(generation, request, status, done, usage)
    out.add(f"response.{status}", {"response": ended}, has_final_usage=has_usage)
    return Stream(tuple(out.events), generation, begun["id"], ERROR_EVENT)


def _stream_message(generation: Generation, out: _Events, index: int) -> Json:
    item = _message(generation, "in_progress", None)
    place: Json = {"output_index": index}
    out.add("response.output_item.added", place | {"item": item})
    inner = place | {"item_id": item["id"], "content_index": 0}
    part: Json = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    out.add("response.content_part.added", inner | {"part": part})
    tokens = generation.quantities.visible_output
    at = generation.seed
    pieces: list[str] = []
    for count in split_evenly(tokens, max(1, min(generation.events, tokens))):
        piece = text_of(at, count)
        if not pieces and generation.shape.huge_bytes:
            piece += "x" * generation.shape.huge_bytes
        pieces.append(piece)
        at += count
        delta = inner | {"delta": piece, "logprobs": []}
        out.add("response.output_text.delta", delta, count, is_content=True)
    text = "".join(pieces)
    out.add("response.output_text.done", inner | {"text": text, "logprobs": []})
    out.add("response.content_part.done", inner | {"part": part | {"text": text}})
    item = _message(generation, _end_status(generation), text)
    out.add("response.output_item.done", place | {"item": item})
    return item


def _stream_call(generation: Generation, out: _Events, index: int) -> Json:
    assert generation.tool is not None
    arguments = generation.tool[1]
    item = _function_call(generation, "in_progress", "")
    place: Json = {"output_index": index}
    out.add("response.output_item.added", place | {"item": item})
    inner = place | {"item_id": item["id"]}
    half = len(arguments) // 2
    counts = split_evenly(generation.quantities.visible_output, 2)
    for piece, count in zip((arguments[:half], arguments[half:]), counts, strict=True):
        delta = inner | {"delta": piece}
        out.add("response.function_call_arguments.delta", delta, count, is_content=True)
    name = generation.tool[0]
    finished = inner | {"arguments": arguments, "name": name}
    out.add("response.function_call_arguments.done", finished)
    item = _function_call(generation, _end_status(generation), arguments)
    out.add("response.output_item.done", place | {"item": item})
    return item

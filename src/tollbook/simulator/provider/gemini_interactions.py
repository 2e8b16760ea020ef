"""Answers of the Interactions API, plain and streamed (https://ai.google.dev/api/interactions-api)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tollbook.simulator.provider.answers import Event, Generation, Plain, Stream
from tollbook.simulator.provider.text import split_evenly, text_of

if TYPE_CHECKING:
    from tollbook.simulator.provider.checks import Json

_encode = msgspec.json.Encoder().encode
_MOMENT = "2026-11-21T10:00:00Z"
_ERROR = {"event_type": "error", "error": {"code": "unavailable", "message": "Overloaded."}}


def _usage(generation: Generation) -> Json:
    kinds = generation.quantities
    return {
        "total_input_tokens": kinds.input,
        "input_tokens_by_modality": [{"modality": "text", "tokens": kinds.input}],
        "total_cached_tokens": kinds.cache_read,
        "total_output_tokens": kinds.visible_output,
        "total_thought_tokens": kinds.reasoning,
        "total_tool_use_tokens": 0,
        "total_tokens": kinds.input + kinds.output,
    }


def _head(generation: Generation, status: str) -> Json:
    return {
        "id": f"v1_{generation.seed:024x}",
        "object": "interaction",
        "model": generation.model.snapshot,
        "status": status,
        "created": _MOMENT,
        "updated": _MOMENT,
    }


def _step(text: str) -> Json:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def _whole(generation: Generation) -> Json:
    body = _head(generation, "completed")
    body["steps"] = [_step(text_of(generation.seed, generation.quantities.visible_output))]
    if generation.shape.has_usage:
        body["usage"] = _usage(generation)
    return body


def plain(generation: Generation) -> Plain:
    """Build an interaction."""
    body = _whole(generation)
    has_usage = generation.shape.has_usage
    return Plain(200, _encode(body), (), generation, body["id"], has_usage=has_usage)


def running(generation: Generation) -> Plain:
    """Build an interaction in the background: it has no usage yet."""
    body = _head(generation, "in_progress")
    return Plain(200, _encode(body), (), generation, body["id"])


def stream(generation: Generation) -> Stream:
    """Build the events; the last one has the whole interaction without its steps."""
    kinds = generation.quantities
    head = _head(generation, "in_progress")
    opening = {"type": "model_output", "content": []}
    events = [
        Event(_event("interaction.created", {"interaction": head})),
        Event(_event("step.start", {"index": 0, "step": opening})),
    ]
    at, reasoning = generation.seed, kinds.reasoning
    for count in split_evenly(
        kinds.visible_output, max(1, min(generation.events, kinds.visible_output))
    ):
        delta = {"type": "text", "text": text_of(at, count)}
        data = _event("step.delta", {"index": 0, "delta": delta})
        events.append(Event(data, count, reasoning, is_content=True))
        at, reasoning = at + count, 0
    events.append(Event(_event("step.stop", {"index": 0})))
    done = _whole(generation)
    del done["steps"]
    data = _event("interaction.completed", {"interaction": done})
    events.append(Event(data, has_final_usage=generation.shape.has_usage))
    events.append(Event(b"event: done\ndata: [DONE]\n\n"))
    return Stream(tuple(events), generation, done["id"], _event("error", _ERROR))


def _event(kind: str, rest: Json) -> bytes:
    data = _encode({"event_type": kind} | rest)
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

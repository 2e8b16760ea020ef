"""OpenAI chat completions, plain and streamed, and the older completions.

Shapes as in https://platform.openai.com/docs/api-reference/chat and
https://platform.openai.com/docs/api-reference/completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tollbook.simulator.provider.answers import Event, Generation, Plain, Stream
from tollbook.simulator.provider.text import split_evenly, text_of

if TYPE_CHECKING:
    from tollbook.simulator.provider.checks import Json

_encode = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"
ERROR_EVENT = (
    b'data: {"error":{"message":"The server had an error while processing your request.",'
    b'"type":"server_error","param":null,"code":null}}\n\n'
)


def _event(payload: Json) -> bytes:
    return b"data: " + _encode(payload) + b"\n\n"


def usage_of(generation: Generation) -> Json:
    """Return the usage object: cached tokens are part of the prompt, reasoning of the output."""
    kinds = generation.quantities
    return {
        "prompt_tokens": kinds.input,
        "completion_tokens": kinds.output,
        "total_tokens": kinds.input + kinds.output,
        "prompt_tokens_details": {"cached_tokens": kinds.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": kinds.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _usage_parts(generation: Generation) -> list[Json]:
    """Return the usage in one object, or spread over two that must be merged."""
    whole = usage_of(generation)
    if not generation.shape.splits_usage:
        return [whole]
    first = whole | {"completion_tokens": 0, "total_tokens": whole["prompt_tokens"]}
    del first["completion_tokens_details"]
    second = {key: value for key, value in whole.items() if key != "prompt_tokens_details"}
    return [first, second]


def _tool_call(generation: Generation, choice: int) -> Json:
    assert generation.tool is not None
    name, arguments = generation.tool
    return {
        "id": f"call_{generation.seed:016x}{choice}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _text(generation: Generation, choice: int, tokens: int) -> str:
    return text_of(generation.seed + choice, tokens) + "x" * generation.shape.huge_bytes


def _finish(generation: Generation) -> str:
    if generation.is_cut_short:
        return "length"
    return "stop" if generation.tool is None else "tool_calls"


def chat_plain(generation: Generation) -> Plain:
    """Build a ``chat.completion``."""
    per_choice = split_evenly(generation.quantities.visible_output, generation.choices)
    choices: list[Json] = []
    for index, tokens in enumerate(per_choice):
        message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        if generation.tool is None:
            message["content"] = _text(generation, index, tokens)
        else:
            message["tool_calls"] = [_tool_call(generation, index)]
        finish = _finish(generation)
        choices.append(
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
        )
    response_id = f"chatcmpl-{generation.seed:024x}"
    body = _head(generation, response_id, "chat.completion") | {"choices": choices}
    return _plain(generation, response_id, body)


def _head(generation: Generation, response_id: str, kind: str) -> Json:
    return {
        "id": response_id,
        "object": kind,
        "created": generation.created_s,
        "model": generation.model.snapshot,
        "service_tier": "default",
        "system_fingerprint": "fp_5175b4f2a1",
    }


def _plain(generation: Generation, response_id: str, body: Json) -> Plain:
    if generation.shape.has_usage:
        body["usage"] = usage_of(generation)
    return Plain(
        200, _encode(body), (), generation, response_id, has_usage=generation.shape.has_usage
    )


def chat_stream(generation: Generation, *, include_usage: bool) -> Stream:
    """Build a ``chat.completion.chunk`` stream.

    With ``include_usage`` every chunk has ``usage: null`` but an extra last one with empty
    ``choices`` and the usage; without it no chunk speaks of usage at all.
    """
    response_id = f"chatcmpl-{generation.seed:024x}"
    head = _head(generation, response_id, "chat.completion.chunk")
    tells_usage = include_usage and generation.shape.has_usage
    rest: Json = {"usage": None} if tells_usage else {}

    def chunk(index: int, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event(head | {"choices": [choice]} | rest)

    events: list[Event] = []
    per_choice = split_evenly(generation.quantities.visible_output, generation.choices)
    reasoning = generation.quantities.reasoning
    for index, tokens in enumerate(per_choice):
        role: Json = {"role": "assistant", "refusal": None}
        role["content"] = "" if generation.tool is None else None
        events.append(Event(chunk(index, role), 0, reasoning if index == 0 else 0))
        for delta, generated in _deltas(generation, index, tokens):
            events.append(Event(chunk(index, delta), generated, is_content=True))
        events.append(Event(chunk(index, {}, _finish(generation))))
    if tells_usage:
        parts = _usage_parts(generation)
        for part in parts:
            data = _event(head | {"choices": [], "usage": part})
            events.append(Event(data, has_final_usage=part is parts[-1]))
    events.append(Event(_DONE))
    return Stream(tuple(events), generation, response_id, ERROR_EVENT)


def _deltas(generation: Generation, choice: int, tokens: int) -> list[tuple[Json, int]]:
    """Return the content deltas of one choice and the tokens generated for each."""
    if generation.tool is not None:
        whole = _tool_call(generation, choice)
        arguments = whole["function"]["arguments"]
        opening = whole | {"index": 0, "function": whole["function"] | {"arguments": ""}}
        half = len(arguments) // 2
        pieces = [
            {"index": 0, "function": {"arguments": piece}}
            for piece in (arguments[:half], arguments[half:])
        ]
        counts = split_evenly(tokens, 3)
        return [({"tool_calls": [c]}, n) for c, n in zip([opening, *pieces], counts, strict=True)]
    found: list[tuple[Json, int]] = []
    at = generation.seed + choice
    for count in split_evenly(tokens, max(1, min(generation.events, tokens))):
        text = text_of(at, count)
        if not found and generation.shape.huge_bytes:
            text += "x" * generation.shape.huge_bytes
        found.append(({"content": text}, count))
        at += count
    return found


def completion_plain(generation: Generation) -> Plain:
    """Build a ``text_completion``."""
    per_choice = split_evenly(generation.quantities.visible_output, generation.choices)
    response_id = f"cmpl-{generation.seed:024x}"
    choices = [
        {
            "text": _text(generation, index, tokens),
            "index": index,
            "logprobs": None,
            "finish_reason": _finish(generation),
        }
        for index, tokens in enumerate(per_choice)
    ]
    body = _head(generation, response_id, "text_completion") | {"choices": choices}
    del body["service_tier"], body["system_fingerprint"]
    return _plain(generation, response_id, body)


def completion_stream(generation: Generation, *, include_usage: bool) -> Stream:
    """Build a ``text_completion`` stream, usage as in chat."""
    response_id = f"cmpl-{generation.seed:024x}"
    head = _head(generation, response_id, "text_completion")
    del head["service_tier"], head["system_fingerprint"]
    tells_usage = include_usage and generation.shape.has_usage
    rest: Json = {"usage": None} if tells_usage else {}
    events: list[Event] = []
    per_choice = split_evenly(generation.quantities.visible_output, generation.choices)
    for index, tokens in enumerate(per_choice):
        deltas = _deltas(generation, index, tokens)
        for at, (delta, generated) in enumerate(deltas):
            finish = _finish(generation) if at == len(deltas) - 1 else None
            choice = {"text": delta["content"], "index": index, "logprobs": None}
            data = _event(head | {"choices": [choice | {"finish_reason": finish}]} | rest)
            events.append(Event(data, generated, is_content=True))
    if tells_usage:
        parts = _usage_parts(generation)
        for part in parts:
            data = _event(head | {"choices": [], "usage": part})
            events.append(Event(data, has_final_usage=part is parts[-1]))
    events.append(Event(_DONE))
    return Stream(tuple(events), generation, response_id, ERROR_EVENT)

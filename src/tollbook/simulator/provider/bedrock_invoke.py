"""Bedrock ``invoke`` and ``invoke-with-response-stream`` in the shapes of three model families.

Anthropic as in its own API, Nova as in ``converse``, Llama with its counts beside the text; Titan
embeddings. Shapes as in https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.simulator.provider import anthropic_messages
from tollbook.simulator.provider.answers import Event, Generation, Header, Plain, Stream
from tollbook.simulator.provider.bedrock_converse import ERROR_FRAME
from tollbook.simulator.provider.bedrock_converse import usage_of as converse_usage
from tollbook.simulator.provider.bedrock_frames import MEDIA_TYPE, event_frame
from tollbook.simulator.provider.text import split_evenly, text_of

if TYPE_CHECKING:
    from tollbook.simulator.provider.checks import Json

_encode = msgspec.json.Encoder().encode
_METRICS = "amazon-bedrock-invocationMetrics"


def count_headers(generation: Generation) -> tuple[Header, ...]:
    """Return the counts that AWS adds to the head of a plain answer."""
    kinds = generation.quantities
    counts = {
        b"input": kinds.uncached_input,
        b"output": kinds.output,
        b"cache-read-input": kinds.cache_read,
        b"cache-write-input": kinds.cache_write_5m + kinds.cache_write_1h,
    }
    if generation.model.dimensions:
        counts = {b"input": kinds.uncached_input}
    return tuple((b"x-amzn-bedrock-%b-token-count" % name, b"%d" % n) for name, n in counts.items())


def _metrics(generation: Generation) -> Json:
    kinds = generation.quantities
    return {
        "inputTokenCount": kinds.uncached_input,
        "outputTokenCount": kinds.output,
        "invocationLatency": 12,
        "firstByteLatency": 5,
    }


def is_anthropic(generation: Generation) -> bool:
    """Whether the model speaks Anthropic's API."""
    return ".claude-" in generation.model.name


def _bare(generation: Generation) -> Generation:
    """Name the model as its maker does, without geography and version."""
    name = generation.model.name.rpartition("anthropic.")[2].partition("-v1")[0]
    return generation._replace(model=generation.model._replace(snapshot=name))


def plain(generation: Generation) -> Plain:
    """Build the answer of ``invoke``."""
    has_usage = generation.shape.has_usage
    headers = count_headers(generation) if has_usage else ()
    if is_anthropic(generation):
        made = anthropic_messages.plain(_bare(generation))
        return made._replace(generation=generation, headers=headers)
    kinds = generation.quantities
    text = text_of(generation.seed, kinds.visible_output) + "x" * generation.shape.huge_bytes
    body: Json
    if generation.model.dimensions:
        vector = [0.5] * generation.model.dimensions
        body = {"embedding": vector, "embeddingsByType": {"float": vector}}
        if has_usage:
            body["inputTextTokenCount"] = kinds.uncached_input
    elif _is_llama(generation):
        body = {"generation": text, "stop_reason": "stop"}
        if has_usage:
            body |= {
                "prompt_token_count": kinds.uncached_input,
                "generation_token_count": kinds.output,
            }
    else:
        message = {"role": "assistant", "content": [{"text": text}]}
        body = {"output": {"message": message}, "stopReason": "end_turn"}
        if has_usage:
            body["usage"] = converse_usage(generation)
    return Plain(200, _encode(body), headers, generation, None, has_usage=has_usage)


def stream(generation: Generation) -> Stream:
    """Build the chunks of ``invoke-with-response-stream``, the last one with AWS's metrics."""
    if is_anthropic(generation):
        return _anthropic_stream(generation)
    kinds = generation.quantities
    is_llama = _is_llama(generation)
    events: list[Event] = []
    at, made = generation.seed, 0
    for count in split_evenly(kinds.visible_output, max(1, generation.events)):
        text = text_of(at, count)
        if not events:
            text += "x" * generation.shape.huge_bytes
        at, made = at + count, made + count
        document: Json = {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}
        if is_llama:
            first = kinds.uncached_input if not events else None
            document = {"generation": text, "stop_reason": None}
            if generation.shape.has_usage:
                document |= {"prompt_token_count": first, "generation_token_count": made}
        events.append(_chunk(document, count, is_content=True))
    end: Json = {"generation": "", "stop_reason": "stop"}
    if not is_llama:
        events.append(_chunk({"messageStop": {"stopReason": "end_turn"}}))
        end = {"metadata": {"metrics": {}, "trace": {}}}
        if generation.shape.has_usage:
            end["metadata"]["usage"] = converse_usage(generation)
    events.append(_last(end, generation))
    return Stream(tuple(events), generation, "", ERROR_FRAME, (), MEDIA_TYPE)


def _anthropic_stream(generation: Generation) -> Stream:
    made = anthropic_messages.stream(_bare(generation))
    events = []
    for event in made.events:
        document: dict[str, Any] = msgspec.json.decode(event.data.partition(b"data:")[2])
        if document["type"] == "ping":
            continue
        if document["type"] == "message_stop":
            events.append(_last(document, generation))
        else:
            events.append(event._replace(data=_chunk(document).data))
    return made._replace(
        events=tuple(events), generation=generation, error_event=ERROR_FRAME, media_type=MEDIA_TYPE
    )


def _is_llama(generation: Generation) -> bool:
    return generation.model.name.startswith("meta.")


def _last(document: Json, generation: Generation) -> Event:
    has_usage = generation.shape.has_usage
    if has_usage:
        document = {**document, _METRICS: _metrics(generation)}
    return _chunk(document)._replace(has_final_usage=has_usage)


def _chunk(document: Json, visible: int = 0, *, is_content: bool = False) -> Event:
    wrapped = base64.b64encode(_encode(document)).decode()
    return Event(event_frame("chunk", {"bytes": wrapped}), visible, is_content=is_content)

"""Answers of ``generateContent``, plain and streamed, with their usage.

Shapes as in https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tollbook.simulator.provider.answers import Event, Generation, Plain, Stream
from tollbook.simulator.provider.text import split_evenly, text_of

if TYPE_CHECKING:
    from tollbook.simulator.provider.checks import Json

_encode = msgspec.json.Encoder().encode
_ERROR: Final = {
    "error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
}
QUERIES: Final = ["price of a call", "owner of a call", "", "price of a call"]
"""What the model looks up when it may: two queries, one of them twice, and an empty one."""


class Prompt(NamedTuple):
    """What of the prompt is where, beside the quantities that are billed."""

    tool_use: int = 0
    is_grounded: bool = False
    is_vertex: bool = False


def usage_of(generation: Generation, prompt: Prompt, visible: int | None = None) -> Json:
    """Return ``usageMetadata``; with ``visible``, as it stands after so many tokens.

    Cached content is part of the prompt; thoughts and the tools' part of the prompt are beside.
    """
    kinds = generation.quantities
    out = kinds.visible_output if visible is None else visible
    tool_use = prompt.tool_use if visible is None else 0
    given = kinds.input - prompt.tool_use
    images = kinds.input_image + kinds.cache_read_image
    audio = kinds.input_audio + kinds.cache_read_audio
    usage: Json = {
        "promptTokenCount": given,
        "candidatesTokenCount": out,
        "totalTokenCount": given + out + kinds.reasoning + tool_use,
        "promptTokensDetails": _details(
            given - images - audio - kinds.input_video, images, audio, kinds.input_video
        ),
    }
    cached = kinds.cache_read + kinds.cache_read_image + kinds.cache_read_audio
    if cached:
        usage["cachedContentTokenCount"] = cached
        usage["cacheTokensDetails"] = _details(
            kinds.cache_read, kinds.cache_read_image, kinds.cache_read_audio, 0
        )
    if kinds.reasoning:
        usage["thoughtsTokenCount"] = kinds.reasoning
    if tool_use:
        usage["toolUsePromptTokenCount"] = tool_use
        usage["toolUsePromptTokensDetails"] = _details(tool_use, 0, 0, 0)
    if prompt.is_vertex:
        usage["trafficType"] = "ON_DEMAND"
    return {name: value for name, value in usage.items() if value not in (0, [])}


def _details(text: int, image: int, audio: int, video: int) -> list[Json]:
    counts = {"TEXT": text, "IMAGE": image, "AUDIO": audio, "VIDEO": video}
    return [{"modality": name, "tokenCount": n} for name, n in counts.items() if n]


def _id(generation: Generation) -> str:
    return f"sim{generation.seed:024x}"


def _chunk(
    generation: Generation,
    prompt: Prompt,
    parts: list[Json],
    *,
    visible: int | None = None,
    is_last: bool = True,
) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if is_last:
        candidate["finishReason"] = "MAX_TOKENS" if generation.is_cut_short else "STOP"
        if prompt.is_grounded:
            web = {"uri": "https://example.com/a", "title": "example.com"}
            candidate["groundingMetadata"] = {
                "webSearchQueries": QUERIES,
                "groundingChunks": [{"web": web}],
            }
    body: Json = {"candidates": [candidate]}
    if generation.shape.has_usage:
        body["usageMetadata"] = usage_of(generation, prompt, visible)
    return body | {"modelVersion": generation.model.snapshot, "responseId": _id(generation)}


def _parts(generation: Generation) -> list[Json]:
    if generation.tool is not None:
        name, arguments = generation.tool
        return [{"functionCall": {"name": name, "args": msgspec.json.decode(arguments)}}]
    text = text_of(generation.seed, generation.quantities.visible_output)
    return [{"text": text + "x" * generation.shape.huge_bytes}]


def plain(generation: Generation, prompt: Prompt) -> Plain:
    """Build a ``GenerateContentResponse``."""
    body = _chunk(generation, prompt, _parts(generation))
    return Plain(
        200, _encode(body), (), generation, _id(generation), has_usage=generation.shape.has_usage
    )


def stream(generation: Generation, prompt: Prompt, *, is_array: bool) -> Stream:
    """Build the chunks, as events or as the elements of one array.

    Each has the counts so far; only the last one knows what the tools put into the prompt.
    """
    events: list[Event] = []
    kinds = generation.quantities
    pieces: list[tuple[list[Json], int]] = [(_parts(generation), kinds.visible_output)]
    if generation.tool is None:
        pieces, at = [], generation.seed
        total = kinds.visible_output
        for count in split_evenly(total, max(1, min(generation.events, total))):
            text = text_of(at, count) + ("x" * generation.shape.huge_bytes if not pieces else "")
            pieces.append(([{"text": text}], count))
            at += count
    done = 0
    for at, (parts, count) in enumerate(pieces):
        done += count
        is_last = at == len(pieces) - 1
        body = _chunk(generation, prompt, parts, visible=None if is_last else done, is_last=is_last)
        data = _framed(_encode(body), is_first=at == 0, is_array=is_array)
        if is_last and is_array:
            data += b"\n]\n"
        events.append(
            Event(
                data,
                count,
                kinds.reasoning if at == 0 else 0,
                is_content=True,
                has_final_usage=is_last and generation.shape.has_usage,
            )
        )
    media_type = b"application/json; charset=UTF-8" if is_array else b"text/event-stream"
    error = _framed(_encode(_ERROR), is_first=False, is_array=is_array)
    return Stream(tuple(events), generation, _id(generation), error, media_type=media_type)


def _framed(data: bytes, *, is_first: bool, is_array: bool) -> bytes:
    if is_array:
        return (b"[" if is_first else b",\r\n") + data
    return b"data: " + data + b"\r\n\r\n"

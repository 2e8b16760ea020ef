"""Read OpenAI answers that are one JSON document."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import (
    has_output_count,
    is_given,
    json_text,
    short_text,
    text_chars,
)
from tollbook.dialects.base import Metered
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.openai_tools import tools_seen
from tollbook.dialects.surrogates import without_lone_surrogates


class _Body(Struct, gc=False):
    id: Any = None
    model: Any = None
    service_tier: Any = None
    object: Any = None
    type: Any = None
    usage: Raw = Raw()
    tool_usage: Raw = Raw()
    meta: Raw = Raw()  # Cohere's rerank behind servers that speak like OpenAI otherwise
    error: Raw = Raw()
    choices: Raw = Raw()
    output: Raw = Raw()


_decode = msgspec.json.Decoder(_Body).decode


def read_openai_answer(body: bytes) -> Metered:
    """Return what an answer says: usage, model, id, tier, or the error it is. Never raises."""
    body = json_text(body)
    read = _read(body)
    seen = _metered(read, body)
    # A list (embeddings) has no text; everywhere else the text stands in for a missing count.
    if seen.error_type or (
        seen.usage and (read.object == "list" or has_output_count(seen.usage[0]))
    ):
        return seen
    return msgspec.structs.replace(seen, output_chars=text_chars(body))


def usage_of_response(body: bytes) -> Metered:
    """Return the same without looking for text."""
    return _metered(_read(body), body)


def _read(body: bytes) -> _Body:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        mended = without_lone_surrogates(body)
        return _Body() if mended is None else _read(mended)


def _metered(read: _Body, body: bytes) -> Metered:
    error_type = None
    if is_given(read.error):
        error_type = error_type_of(read.error) or "error"
    elif read.object == "error" or read.type == "error":
        error_type = error_type_of(body)  # vLLM: the error is the document
    usage = bytes(read.usage)
    complete = usage.startswith(b"{")
    objects: tuple[bytes, ...] = ()
    if complete:
        tools = bytes(read.tool_usage)
        objects = (usage, tools) if tools.startswith(b"{") else (usage,)
        if read.output:
            objects += tools_seen(body)
    elif b'"billed_units"' in bytes(read.meta):
        objects, complete = (bytes(read.meta),), True
    return Metered(
        usage=objects,
        usage_complete=complete,
        provider_response_id=short_text(read.id),
        model_actual=short_text(read.model),
        service_tier=short_text(read.service_tier),
        error_type=error_type,
    )

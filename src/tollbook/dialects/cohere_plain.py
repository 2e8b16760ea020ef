"""Read Cohere answers that are one JSON document."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import json_text, short_text, text_chars
from tollbook.dialects.base import Metered
from tollbook.dialects.surrogates import without_lone_surrogates


class _Answer(Struct, gc=False):
    id: Any = None
    generation_id: Any = None
    response_id: Any = None
    usage: Raw = Raw()
    meta: Raw = Raw()
    message: Any = None
    data: Any = None


_decode = msgspec.json.Decoder(_Answer).decode
_counts_output = re.compile(rb'"(?:output_tokens|search_units)"\s*:').search


def read_cohere_answer(body: bytes) -> Metered:
    """Return what an answer says: usage, id, or the error it is. Never raises.

    The answer does not name its model. Errors are ``{"message": …}`` with a text, and sometimes an
    id and data beside it (https://docs.cohere.com/reference/errors); in an answer to chat
    ``message`` is an object.
    """
    body = json_text(body)
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        mended = without_lone_surrogates(body)
        if mended is not None:
            return read_cohere_answer(mended)
        return Metered(output_chars=text_chars(body))
    usage = billed_in(read.usage, read.meta)
    if usage is None and isinstance(read.message, str):
        return Metered(error_type="error")
    return Metered(
        usage=() if usage is None else (usage,),
        usage_complete=usage is not None,
        provider_response_id=(
            short_text(read.response_id) or short_text(read.generation_id) or short_text(read.id)
        ),
        output_chars=0 if usage and _counts_output(usage) else text_chars(body),
    )


def billed_in(usage: Raw, meta: Raw) -> bytes | None:
    """Return the object that has the counts: ``usage`` of version 2's chat, ``meta`` elsewhere."""
    for raw in (bytes(usage), bytes(meta)):
        if raw.startswith(b"{") and (b'"billed_units"' in raw or b'"tokens"' in raw):
            return raw
    return None

"""Read Anthropic answers that are one JSON document."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, short_text, text_chars
from tollbook.dialects.anthropic_stream import service_tier_of
from tollbook.dialects.base import Metered
from tollbook.dialects.errors import error_type_of


class _Body(Struct, gc=False):
    id: Any = None
    model: Any = None
    usage: Raw = Raw()
    error: Raw = Raw()


_decode = msgspec.json.Decoder(_Body).decode


def read_anthropic_answer(body: bytes) -> Metered:
    """Return what an answer says: usage, model, id, tier, or the error it is. Never raises."""
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Metered(output_chars=text_chars(body))
    usage = bytes(read.usage)
    complete = usage.startswith(b"{")
    error_type = (error_type_of(read.error) or "error") if is_given(read.error) else None
    return Metered(
        usage=(usage,) if complete else (),
        usage_complete=complete,
        provider_response_id=short_text(read.id),
        model_actual=short_text(read.model),
        service_tier=service_tier_of(usage) if complete else None,
        error_type=error_type,
        output_chars=0 if complete or error_type else text_chars(body),
    )

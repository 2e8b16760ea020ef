"""Read Anthropic answers that are one JSON document."""

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
from tollbook.dialects.surrogates import without_lone_surrogates


class _Body(Struct, gc=False):
    id: Any = None
    model: Any = None
    usage: Raw = Raw()
    error: Raw = Raw()
    container: Raw = Raw()


class _Tier(Struct, gc=False):
    service_tier: Any = None
    speed: Any = None


_decode = msgspec.json.Decoder(_Body).decode
_decode_tier = msgspec.json.Decoder(_Tier).decode


def read_anthropic_answer(body: bytes) -> Metered:
    """Return what an answer says: usage, model, id, tier, or the error it is. Never raises."""
    body = json_text(body)
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        mended = without_lone_surrogates(body)
        if mended is not None:
            return read_anthropic_answer(mended)
        return Metered(output_chars=text_chars(body))
    usage = bytes(read.usage)
    complete = usage.startswith(b"{")
    error_type = (error_type_of(read.error) or "error") if is_given(read.error) else None
    return Metered(
        usage=(usage, *container_of(read.container)) if complete else (),
        usage_complete=complete,
        provider_response_id=short_text(read.id),
        model_actual=short_text(read.model),
        service_tier=service_tier_of(usage) if complete else None,
        error_type=error_type,
        output_chars=0 if error_type or has_output_count(usage) else text_chars(body),
    )


def container_of(raw: Raw) -> tuple[bytes, ...]:
    """Return the container that code ran in as an object to be kept beside the usage.

    The usage does not say that code was executed, which may be billed for itself.
    """
    if not raw or not bytes(raw).startswith(b"{"):
        return ()
    return (b'{"container":' + bytes(raw) + b"}",)


def service_tier_of(usage: bytes) -> str | None:
    """Return the tier that served the call, which this API reports inside its usage.

    Fast mode, several times the price, is not called a tier there: ``speed`` says it (Anthropic,
    Fast mode). Both together are joined by ``+``.
    """
    try:
        read = _decode_tier(usage)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    tier = short_text(read.service_tier)
    if read.speed != "fast":
        return tier
    return "fast" if tier in {None, "standard"} else f"{tier}+fast"

"""Read Gemini and Vertex answers that are one JSON document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, json_text, short_text, text_chars
from tollbook.dialects.base import Metered
from tollbook.dialects.counts import MAX_COUNT
from tollbook.dialects.gemini_errors import google_error
from tollbook.dialects.gemini_grounding import MARK, GroundingCount
from tollbook.dialects.gemini_usage import tier_of
from tollbook.dialects.surrogates import without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable


class _Answer(Struct, gc=False):
    responseId: Any = None  # noqa: N815 -- this and the others: the API's names
    modelVersion: Any = None  # noqa: N815
    usageMetadata: Raw = Raw()  # noqa: N815
    candidates: Raw = Raw()
    error: Raw = Raw()


class _Tier(Struct, gc=False):
    serviceTier: Any = None  # noqa: N815
    trafficType: Any = None  # noqa: N815


class _Predictions(Struct, gc=False):
    predictions: list[Any] = []
    error: Raw = Raw()


_decode = msgspec.json.Decoder(_Answer).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_tier = msgspec.json.Decoder(_Tier).decode
_decode_predictions = msgspec.json.Decoder(_Predictions).decode
_encode = msgspec.json.Encoder().encode
_counts_output = re.compile(
    rb'"(?:candidates|response|thoughts|total)TokenCount"\s*:\s*\d{1,12}\s*[,}]'
).search
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_gemini_answer(body: bytes) -> Metered:
    """Return what an answer says: usage, model, id, tier, or the error it is. Never raises."""
    body = json_text(body)
    try:
        if body.lstrip()[:1] == b"[":
            # Google wraps errors of streams, and of its OpenAI endpoint, into a list.
            first = _decode_list(body)[:1]
            return read_gemini_answer(bytes(first[0])) if first else Metered()
        read = _decode(body)
    except _BROKEN:
        return _mended(body, read_gemini_answer)
    if is_given(read.error):
        return Metered(error_type=google_error(read.error) or "error")
    usage = bytes(read.usageMetadata)
    complete = usage.startswith(b"{")
    objects: tuple[bytes, ...] = (usage,) if complete else ()
    candidates = bytes(read.candidates)
    if MARK in candidates:
        count = GroundingCount()
        count.see(candidates)
        found = count.usage()
        objects = objects if found is None else (*objects, found)
    return Metered(
        usage=objects,
        usage_complete=complete,
        provider_response_id=short_text(read.responseId),
        model_actual=short_text(read.modelVersion),
        service_tier=tier_in(usage) if complete else None,
        output_chars=0 if _counts_output(usage) else text_chars(candidates),
    )


def tier_in(usage: bytes) -> str | None:
    """Return the tier that served the call, which this API reports inside its usage."""
    try:
        read = _decode_tier(usage)
    except _BROKEN:
        return None
    return tier_of(read.serviceTier, read.trafficType)


def read_image_answer(body: bytes) -> Metered:
    """Return how many images an Imagen answer has; filtered ones are not billed. Never raises.

    ``{"images": n}`` is not the API's own object: its answer is the images themselves.
    """
    read = _predictions(body)
    if read is None:
        return _mended(body, read_image_answer)
    if is_given(read.error):
        return Metered(error_type=google_error(read.error) or "error")
    images = sum(
        1
        for each in read.predictions
        if isinstance(each, dict) and ("bytesBase64Encoded" in each or "gcsUri" in each)
    )
    return Metered(usage=(_encode({"images": images}),), usage_complete=True)


def read_text_embeddings(body: bytes) -> Metered:
    """Return the tokens of a Vertex embedding answer, which counts them vector by vector."""
    read = _predictions(body)
    if read is None:
        return _mended(body, read_text_embeddings)
    if is_given(read.error):
        return Metered(error_type=google_error(read.error) or "error")
    total = 0
    for each in read.predictions:
        count = _token_count(each)
        if count is None:
            return Metered()
        total += count
    if not read.predictions:
        return read_gemini_answer(body)  # newer models answer as the Gemini API does
    usage = _encode({"statistics": {"token_count": total}})
    return Metered(usage=(usage,), usage_complete=True)


def _token_count(prediction: object) -> int | None:
    found: Any = prediction
    for key in ("embeddings", "statistics", "token_count"):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, float) and found.is_integer():
        found = int(found)  # "token_count": 6.0, as a protobuf Struct prints it
    if not isinstance(found, int) or isinstance(found, bool):
        return None
    return found if 0 <= found <= MAX_COUNT else None


def _predictions(body: bytes) -> _Predictions | None:
    try:
        return _decode_predictions(json_text(body))
    except _BROKEN:
        return None


def _mended(body: bytes, again: Callable[[bytes], Metered]) -> Metered:
    mended = without_lone_surrogates(body)
    return Metered(output_chars=text_chars(body)) if mended is None else again(mended)

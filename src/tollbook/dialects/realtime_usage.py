"""Usage of the Realtime API as disjoint kinds: text, audio and image, cached or not.

A response reports ``input_token_details`` by modality and, within them, what came from the cache;
a transcription of the caller's speech reports tokens or seconds, and is billed at the price of the
model that transcribed (OpenAI API reference, Realtime server events ``response.done`` and
``conversation.item.input_audio_transcription.completed``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct, structs

from tollbook.call import UsageSource
from tollbook.dialects.counts import Count, Reading, decode_loosely
from tollbook.dialects.estimate import measure_with
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tollbook.call import Call
    from tollbook.dialects.base import Measured

REALTIME: Final = "realtime"
REALTIME_TRANSCRIPTION: Final = "realtime_transcription"
OPERATIONS: Final = frozenset({REALTIME, REALTIME_TRANSCRIPTION})
_MAX_SECONDS: Final = 10**8
_MS_PER_S: Final = 1000


class _Cached(Struct, gc=False):
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class _Details(Struct, gc=False):
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    cached_tokens: Count | None = None
    cached_tokens_details: _Cached | None = None
    reasoning_tokens: Count | None = None


class _Usage(Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    input_token_details: _Details | None = None
    output_token_details: _Details | None = None
    seconds: float | None = None


_decode = msgspec.json.Decoder(_Usage).decode
_NO_DETAILS: Final = _Details()


def read_realtime_usage(objects: tuple[bytes, ...]) -> Reading:
    """Return the kinds of one response, or of one transcription, and what was contradictory."""
    problems: list[str] = []
    try:
        usage: _Usage | None = _decode(objects[-1])
    except (msgspec.DecodeError, UnicodeDecodeError):
        usage, found = decode_loosely(objects[-1], _Usage)
        problems += found
    if usage is None:
        return Reading(None, tuple(problems))
    if usage.input_tokens is None and usage.output_tokens is None:
        if usage.seconds is None or not 0 <= usage.seconds < _MAX_SECONDS:
            return Reading(None, tuple(problems))
        return Reading(Kinds(audio_ms=round(usage.seconds * _MS_PER_S)), tuple(problems))
    lacks = [
        side
        for side, count in (("input", usage.input_tokens), ("output", usage.output_tokens))
        if count is None
    ]
    text, audio, image, cached = _input(usage, problems)
    spoken = usage.output_token_details or _NO_DETAILS
    out = usage.output_tokens or 0
    audio_out = _within(spoken.audio_tokens or 0, out, "output audio", problems)
    reasoning = _within(spoken.reasoning_tokens or 0, out - audio_out, "reasoning", problems)
    kinds = Kinds(
        uncached_input_tokens=text,
        cache_read_tokens=cached[0],
        input_audio_tokens=audio,
        cache_read_audio_tokens=cached[1],
        input_image_tokens=image,
        cache_read_image_tokens=cached[2],
        visible_output_tokens=out - audio_out - reasoning,
        reasoning_tokens=reasoning,
        output_audio_tokens=audio_out,
    )
    return Reading(kinds, tuple(problems), tuple(lacks))


def _input(usage: _Usage, problems: list[str]) -> tuple[int, int, int, tuple[int, int, int]]:
    """Return uncached text, audio and image, and the cached ones; together the input tokens."""
    total = usage.input_tokens or 0
    details = usage.input_token_details or _NO_DETAILS
    audio = _within(details.audio_tokens or 0, total, "input audio", problems)
    image = _within(details.image_tokens or 0, total - audio, "input image", problems)
    text = total - audio - image
    if details.text_tokens is not None and details.text_tokens != text:
        problems.append(
            f"text ({details.text_tokens}), audio ({audio}) and image ({image}) tokens are not the"
            f" input ({total}): the rest of it was read as text"
        )
    cached = _within(details.cached_tokens or 0, total, "cached", problems)
    split = details.cached_tokens_details
    if split is None and cached:
        problems.append("the cached tokens are not told apart by modality: text was taken first")
    named = split or _Cached()
    cached_audio = min(named.audio_tokens or 0, audio, cached)
    cached_image = min(named.image_tokens or 0, image, cached - cached_audio)
    cached_text = min(cached - cached_audio - cached_image, text)
    # What is left of the cached tokens has to be of the other modalities.
    left = cached - cached_audio - cached_image - cached_text
    more_audio = min(left, audio - cached_audio)
    cached_audio += more_audio
    cached_image += left - more_audio
    return (
        text - cached_text,
        audio - cached_audio,
        image - cached_image,
        (cached_text, cached_audio, cached_image),
    )


def _within(count: int, limit: int, what: str, problems: list[str]) -> int:
    if count > limit:
        problems.append(f"{what} tokens ({count}) exceed what they are a part of ({limit}): cut")
        return limit
    return count


def measure_realtime(call: Call) -> Measured:
    """Return the usage of a response within a Realtime session, or an estimate.

    Of a response that was cut the gateway counted the speech: its content events stand for audio
    tokens (one for 50 ms of output), its characters for text.
    """
    measured = measure_with(read_realtime_usage, call)
    closed = call.closed
    if measured.source is not UsageSource.ESTIMATED or closed.usage or measured.kinds is None:
        return measured
    kinds = measured.kinds._replace(
        visible_output_tokens=-(-closed.output_chars // 4),
        output_audio_tokens=closed.output_events,
    )
    return structs.replace(measured, kinds=kinds)

"""The usual usage of the OpenAI API, read in one step.

Nearly every call has a usage of a dozen counts that agree with each other. One that has these
members and no other needs none of the questions of :mod:`tollbook.dialects.openai_usage`, which
reads everything else and says the same of these.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tollbook.dialects.counts import Count
from tollbook.usage import Kinds, kinds_from


class _InputDetails(Struct, gc=False, forbid_unknown_fields=True):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None


class _OutputDetails(Struct, gc=False, forbid_unknown_fields=True):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    # Part of the output, at its price.
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class _Usage(Struct, gc=False, forbid_unknown_fields=True):
    total_tokens: Count | None = None
    # Chat completions
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    # Responses
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


_decode = msgspec.json.Decoder(_Usage).decode


def plain_kinds(raw: bytes) -> Kinds | None:
    """Return the kinds of one usual usage object, None for any other."""
    try:
        usage = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    given, out, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    details, below = usage.prompt_tokens_details, usage.completion_tokens_details
    if given is None:
        if out is not None or details is not None or below is not None:
            return None  # a mixture of both APIs' names
        given, out = usage.input_tokens, usage.output_tokens
        details, below = usage.input_tokens_details, usage.output_tokens_details
    elif not (
        usage.input_tokens is None
        and usage.output_tokens is None
        and usage.input_tokens_details is None
        and usage.output_tokens_details is None
    ):
        return None
    if given is None or out is None or (total is not None and total != given + out):
        return None
    cached = written = audio_in = reasoning = audio_out = 0
    if details is not None:
        cached, written = details.cached_tokens or 0, details.cache_write_tokens or 0
        audio_in = details.audio_tokens or 0
    if below is not None:
        reasoning, audio_out = below.reasoning_tokens or 0, below.audio_tokens or 0
    uncached, visible = given - cached - written - audio_in, out - reasoning - audio_out
    if uncached < 0 or visible < 0:
        return None
    return kinds_from((
        uncached, cached, written, 0, audio_in, 0, 0, 0, 0,
        visible, reasoning, audio_out, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 1,
    ))  # fmt: skip

"""OpenAI usage objects, and those of servers that speak like it, as disjoint kinds.

In all of them ``prompt_tokens``/``input_tokens`` includes cached and cache-written tokens, and
``completion_tokens``/``output_tokens`` includes reasoning, audio and predicted tokens (accepted
and rejected). Contradictions are read the way that fits the provider's own total, and named.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tollbook.dialects.counts import Reading, decode_loosely, merge
from tollbook.dialects.openai_cost import reported_cost
from tollbook.dialects.openai_fees import NOTHING, add_fees, fees_only, has_fees, parts_of
from tollbook.dialects.openai_fit import fit_cache, fit_parts, fit_total, sides
from tollbook.dialects.openai_plain_usage import plain_kinds
from tollbook.dialects.openai_shape import InputDetails, OutputDetails, Usage
from tollbook.usage import Kinds

_decode = msgspec.json.Decoder(Usage).decode
_NONE: Final[tuple[str, ...]] = ()
_NO_INPUT_DETAILS: Final = InputDetails()
_NO_OUTPUT_DETAILS: Final = OutputDetails()


def read_openai_usage(objects: tuple[bytes, ...]) -> Reading:
    """Return the kinds of one response's usage objects, and what was contradictory in them.

    Several objects are one growing usage: a later count goes over an earlier one, but a later zero
    or null does not. None if there is no count at all.
    """
    is_one = len(objects) == 1
    if is_one:
        kinds = plain_kinds(objects[0])
        if kinds is not None:
            return Reading(kinds, _NONE)
    usage, problems = _read(objects[0]) if is_one else merged_usage(objects)
    cost, more = reported_cost(objects)
    problems += more
    if usage is None:
        return Reading(None, problems, reported_cost_pico=cost)
    kinds, more, lacks = kinds_of(usage)
    problems += more
    if not has_fees(usage):
        return Reading(kinds, problems, lacks, reported_cost_pico=cost)
    tier = None
    if usage.search_context_size is not None:
        tier = f"search-{usage.search_context_size}"  # Perplexity's fee of a request goes by it
    kinds, problems = add_fees(usage, kinds, problems)
    further, problems = parts_of(usage, problems)
    return Reading(kinds, problems, lacks, tier, None, further, cost)


def merged_usage(objects: tuple[bytes, ...]) -> tuple[Usage | None, tuple[str, ...]]:
    """Return several objects as one, None where none is a JSON object, and what was not used."""
    usage, problems = _read(objects[0])
    for raw in objects[1:]:
        later, more = _read(raw)
        problems += more
        if later is not None:
            usage = later if usage is None else merge(usage, later, zero_erases=False)
    return usage, problems


def _read(raw: bytes) -> tuple[Usage | None, tuple[str, ...]]:
    try:
        return _decode(raw), _NONE
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode_loosely(raw, Usage)


def kinds_of(usage: Usage) -> tuple[Kinds | None, tuple[str, ...], tuple[str, ...]]:
    """Return kinds of tokens, problems, and which of input and output has no count."""
    given, out, lacks = sides(usage)
    if given is None:
        kinds = fees_only(usage)
        # Tools were called before a stream broke off: the tokens are to be estimated.
        return kinds, _NONE, ("input", "output") if kinds is NOTHING else _NONE
    total = usage.total_tokens
    is_chat = bool(usage.prompt_tokens) or usage.input_tokens_details is None
    details = usage.prompt_tokens_details if is_chat else usage.input_tokens_details
    details = (
        details
        or usage.input_tokens_details
        or usage.input_token_details
        or usage.prompt_token_details
        or _NO_INPUT_DETAILS
    )
    below = usage.completion_tokens_details if is_chat else usage.output_tokens_details
    below = (
        below
        or usage.output_tokens_details
        or usage.output_token_details
        or usage.completion_token_details
        or _NO_OUTPUT_DETAILS
    )
    cached = (
        details.cached_tokens
        or usage.prompt_cache_hit_tokens
        or usage.cached_tokens
        or usage.num_cached_tokens
        or usage.cache_read_input_tokens
        or 0
    )
    written = details.cache_write_tokens or usage.cache_creation_input_tokens or 0
    audio_in, audio_out = details.audio_tokens or 0, below.audio_tokens or 0
    reasoning = below.reasoning_tokens or 0
    problems: list[str] = []
    if usage.reasoning_tokens and not reasoning:
        reasoning, out, total = _reasoning_above(usage, out, total)
    if total is not None and total != given + out and not lacks:
        beside = (audio_in, cached + written)
        given, out, reasoning = fit_total(total, given, out, beside, reasoning, problems)
    if cached + written > given:
        given, cached, written = fit_cache(usage, given, cached, written, problems)
    audio_cached = image_cached = image_in = video_in = 0
    if details.image_tokens or details.video_tokens or details.cached_tokens_details is not None:
        image_in, video_in = details.image_tokens or 0, details.video_tokens or 0
        if details.cached_tokens_details is not None:
            audio_cached = min(details.cached_tokens_details.audio_tokens or 0, cached, audio_in)
            image_cached = min(
                details.cached_tokens_details.image_tokens or 0, cached - audio_cached, image_in
            )
            audio_in -= audio_cached
            image_in -= image_cached
    uncached = given - cached - written - audio_in - image_in - video_in
    if uncached < 0:
        # Cached audio is counted in both details; the cache decides its price.
        problems.append(
            f"cached and {'audio' if audio_in else 'image'} tokens overlap: {-uncached}"
            f" {'audio' if audio_in else 'image'} tokens were read as cached"
        )
        image_in, video_in, audio_in = _cut((image_in, video_in, audio_in), -uncached)
        uncached = 0
    image_out = below.image_tokens or 0
    if reasoning + audio_out + image_out > out:
        audio_out, image_out, reasoning = fit_parts(
            out,
            (("audio", audio_out), ("image", image_out), ("reasoning", reasoning)),
            "output",
            problems,
        )
    kinds = Kinds(
        uncached,
        cached - audio_cached - image_cached,
        written,
        0,
        audio_in,
        audio_cached,
        image_in,
        image_cached,
        video_in,
        out - reasoning - audio_out - image_out,
        reasoning,
        audio_out,
        image_out,
    )
    return kinds, tuple(problems) if problems else _NONE, lacks


def _reasoning_above(usage: Usage, out: int, total: int | None) -> tuple[int, int, int | None]:
    """Return reasoning, output and total of a usage that counts reasoning at its top.

    Perplexity's deep research counts and bills it beside the completion, and not in the total.
    """
    reasoning = usage.reasoning_tokens or 0
    if usage.citation_tokens is None and usage.num_search_queries is None:
        return reasoning, out, total
    return reasoning, out + reasoning, None if total is None else total + reasoning


def _cut(counts: tuple[int, int, int], by: int) -> list[int]:
    """Take so much away from some counts, from the first ones first."""
    left = []
    for count in counts:
        taken = min(count, by)
        left.append(count - taken)
        by -= taken
    return left

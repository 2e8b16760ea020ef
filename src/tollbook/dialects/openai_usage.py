"""OpenAI usage objects, and those of servers that speak like it, as disjoint kinds.

In all of them ``prompt_tokens``/``input_tokens`` includes cached and cache-written tokens, and
``completion_tokens``/``output_tokens`` includes reasoning, audio and predicted tokens (accepted
and rejected). Contradictions are read the way that fits the provider's own total, and named.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from tollbook.dialects.counts import Count, Reading, decode_loosely, merge
from tollbook.usage import Kinds


class _InputDetails(Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None


class _OutputDetails(Struct, gc=False):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None


class _Searches(Struct, gc=False):
    web_search_requests: Count | None = None  # OpenRouter
    web_search_calls: Count | None = None  # xAI
    num_requests: Count | None = None  # OpenAI Responses: tool_usage.web_search


class _ImageGeneration(Struct, gc=False):
    total_tokens: Count | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    input_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    # Other names for cached_tokens: DeepSeek, Moonshot, Mistral, Databricks and Snowflake
    prompt_cache_hit_tokens: Count | None = None
    cached_tokens: Count | None = None
    num_cached_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    server_tool_use: _Searches | None = None
    server_tool_use_details: _Searches | None = None
    server_side_tool_usage_details: _Searches | None = None
    # Members of tool_usage, which the Responses API has beside its usage
    web_search: _Searches | None = None
    image_gen: _ImageGeneration | None = None


_decode = msgspec.json.Decoder(_Usage).decode
_NONE: Final[tuple[str, ...]] = ()
_NO_INPUT_DETAILS: Final = _InputDetails()
_NO_OUTPUT_DETAILS: Final = _OutputDetails()


def read_openai_usage(objects: tuple[bytes, ...]) -> Reading:
    """Return the kinds of one response's usage objects, and what was contradictory in them.

    Several objects are one growing usage: a later count goes over an earlier one, but a later zero
    or null does not. None if there is no count of tokens at all.
    """
    usage, problems = _read(objects[0])
    for raw in objects[1:]:
        later, more = _read(raw)
        problems += more
        if later is not None:
            usage = later if usage is None else merge(usage, later, zero_erases=False)
    if usage is None:
        return Reading(None, problems)
    kinds, more, lacks = _kinds(usage)
    return Reading(kinds, problems + more, lacks)


def _read(raw: bytes) -> tuple[_Usage | None, tuple[str, ...]]:
    try:
        return _decode(raw), _NONE
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode_loosely(raw, _Usage)


def _kinds(usage: _Usage) -> tuple[Kinds | None, tuple[str, ...], tuple[str, ...]]:
    """Return kinds, problems, and which of input and output has no count."""
    given, out, lacks = _sides(usage)
    if given is None:
        return None, _NONE, _NONE
    total = usage.total_tokens
    is_chat = bool(usage.prompt_tokens) or usage.input_tokens_details is None
    details = usage.prompt_tokens_details if is_chat else usage.input_tokens_details
    details = details or usage.input_tokens_details or _NO_INPUT_DETAILS
    below = usage.completion_tokens_details if is_chat else usage.output_tokens_details
    below = below or usage.output_tokens_details or _NO_OUTPUT_DETAILS
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
    if total is not None and total != given + out and not lacks:
        beside = (audio_in, cached + written)
        given, out, reasoning = _fit_total(total, given, out, beside, reasoning, problems)
    if cached + written > given:
        given, cached, written = _fit_cache(usage, given, cached, written, problems)
    uncached = given - cached - written - audio_in
    if uncached < 0:
        # Cached audio is counted in both details; the cache decides its price.
        problems.append(
            f"cached and audio tokens overlap: {-uncached} audio tokens were read as cached"
        )
        audio_in += uncached
        uncached = 0
    if reasoning + audio_out > out:
        problems.append(
            f"reasoning ({reasoning}) and audio ({audio_out}) exceed the output ({out}):"
            " cut to the output"
        )
        audio_out = min(audio_out, out)
        reasoning = min(reasoning, out - audio_out)
    if usage.image_gen is not None and usage.image_gen.total_tokens:
        problems.append(
            f"image generation ({usage.image_gen.total_tokens} tokens) is billed by an image model"
            " beside these tokens; it is not counted here"
        )
    kinds = Kinds(
        uncached,
        cached,
        written,
        0,
        audio_in,
        visible_output_tokens=out - reasoning - audio_out,
        reasoning_tokens=reasoning,
        output_audio_tokens=audio_out,
        web_search_requests=_searches(usage),
    )
    return kinds, tuple(problems) if problems else _NONE, lacks


def _sides(usage: _Usage) -> tuple[int | None, int, tuple[str, ...]]:
    """Return input and output, one from the total if need be, and which of them has no count."""
    total = usage.total_tokens
    # Some servers send both names, one of them always zero.
    given = usage.prompt_tokens or usage.input_tokens
    out = usage.completion_tokens or usage.output_tokens
    if given is None:
        given = usage.prompt_tokens
    if out is None:
        out = usage.completion_tokens
    if given is not None and out is not None:
        return given, out, _NONE
    if given is None:
        if out is None and total is None:
            return None, 0, _NONE
        if total is None or total < (out or 0):
            return 0, out or 0, ("input",)
        return total - (out or 0), out or 0, _NONE  # Voyage: the total only
    if total is None or total < given:
        return given, 0, ("output",)
    return given, total - given, _NONE


def _fit_total(
    total: int, given: int, out: int, beside: tuple[int, int], reasoning: int, problems: list[str]
) -> tuple[int, int, int]:
    """Find what a total counts beyond input and output; return input, output, reasoning.

    ``beside`` is the audio and the cache that may stand beside the input rather than in it.
    """
    audio_in, in_cache = beside
    beyond = total - given - out
    if beyond < 0:
        problems.append(f"total ({total}) is less than input ({given}) and output ({out})")
    elif beyond == reasoning:
        out += reasoning
        problems.append(f"reasoning ({reasoning}) is beside the output, not in it (by the total)")
    elif beyond == audio_in:
        given += audio_in
        problems.append(f"input audio ({audio_in}) is beside the input, not in it (by the total)")
    elif beyond == in_cache:
        given += in_cache
        problems.append(f"cached input ({in_cache}) is beside the input, not in it (by the total)")
    else:
        # Gemini's OpenAI endpoint bills thinking as output and shows it in the total alone.
        out += beyond
        reasoning += beyond
        problems.append(f"the total has {beyond} tokens more: read as hidden reasoning")
    return given, out, reasoning


def _fit_cache(
    usage: _Usage, given: int, cached: int, written: int, problems: list[str]
) -> tuple[int, int, int]:
    """Read cache counts that exceed the input; return input, cached, written."""
    if usage.cache_read_input_tokens == cached and (
        usage.cache_read_input_tokens or usage.cache_creation_input_tokens
    ):
        problems.append("cache counts exceed the input: read as beside it, as Anthropic counts")
        return given + cached + written, cached, written
    problems.append(
        f"cached ({cached}) and cache-written ({written}) tokens exceed the input ({given}):"
        " cut to the input"
    )
    cached = min(cached, given)
    return given, cached, min(written, given - cached)


def _searches(usage: _Usage) -> int:
    for found in (
        usage.web_search,
        usage.server_tool_use,
        usage.server_tool_use_details,
        usage.server_side_tool_usage_details,
    ):
        if found is not None:
            return found.web_search_requests or found.web_search_calls or found.num_requests or 0
    return 0

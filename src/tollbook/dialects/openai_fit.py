"""Counts that contradict each other, read the way that fits the provider's own total, and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.dialects.openai_shape import Usage

_NONE: Final[tuple[str, ...]] = ()


def sides(usage: Usage) -> tuple[int | None, int, tuple[str, ...]]:
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


def fit_total(
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


def fit_cache(
    usage: Usage, given: int, cached: int, written: int, problems: list[str]
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


def fit_parts(
    whole: int, parts: tuple[tuple[str, int], ...], where: str, problems: list[str]
) -> list[int]:
    """Cut parts, the first ones last, so that together they are no more than the whole."""
    left = whole
    fitting = []
    for _, count in parts:
        fitting.append(min(count, left))
        left -= fitting[-1]
    if sum(fitting) != sum(count for _, count in parts):
        named = " and ".join(f"{name} ({count})" for name, count in parts if count)
        problems.append(f"{named} exceed the {where} ({whole}): cut to the {where}")
    return fitting

"""The quantities of a span to disjoint kinds. What contradicts itself is read and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tollbook.dialects.otel_counts import Counts
    from tollbook.dialects.otel_inclusive import Decision

_ONE_HOUR_UNKNOWN: Final = (
    "how long cache writes live is not told: charged as those of five minutes"
)


def kinds_of(
    counts: Counts, decision: Decision | None, *, has_lifetimes: bool, problems: list[str]
) -> tuple[Kinds | None, tuple[str, ...]]:
    """Return the kinds, and which of ``input`` and ``output`` was not told.

    Args:
        counts: what the span told.
        decision: whether its input includes the cache.
        has_lifetimes: the provider's cache writes cost by how long they live.
        problems: takes what was contradictory, in words.
    """
    if counts.is_empty:
        return None, ()
    given, out, lacks = _sides(counts)
    read, written = counts.cache_read or 0, _written(counts)
    if (decision is not None and not decision.is_inclusive) or "input" in lacks:
        given += read + written
    elif given < read + written:
        problems.append("there are more cached tokens than input: they were read as all of it")
        given = read + written
    out, reasoning = _reasoning(counts, given, out, problems)
    written_5m, written_1h = _lifetimes(counts, written, problems)
    if written_5m and has_lifetimes and counts.cache_write_5m is None:
        problems.append(_ONE_HOUR_UNKNOWN)
    audio_read = min(counts.cache_read_audio or 0, read)
    image_read = min(counts.cache_read_image or 0, read - audio_read)
    audio = max(0, (counts.input_audio or 0) - audio_read)
    image = max(0, (counts.input_image or 0) - image_read)
    uncached = given - read - written
    over = audio + image - uncached
    if over > 0:
        problems.append(f"{over} tokens of audio or images are within the cached ones")
        image_over = min(image, over)
        image -= image_over
        audio -= min(audio, over - image_over)
    audio_out, image_out = counts.output_audio or 0, counts.output_image or 0
    if reasoning + audio_out + image_out > out:
        problems.append("the parts of the output are more than the whole: cut to it")
        reasoning = min(reasoning, out)
        audio_out = min(audio_out, out - reasoning)
        image_out = min(image_out, out - reasoning - audio_out)
    kinds = Kinds(
        uncached_input_tokens=uncached - audio - image,
        cache_read_tokens=read - audio_read - image_read,
        cache_write_5m_tokens=written_5m,
        cache_write_1h_tokens=written_1h,
        input_audio_tokens=audio,
        cache_read_audio_tokens=audio_read,
        input_image_tokens=image,
        cache_read_image_tokens=image_read,
        visible_output_tokens=out - reasoning - audio_out - image_out,
        reasoning_tokens=reasoning,
        output_audio_tokens=audio_out,
        output_image_tokens=image_out,
        web_search_requests=counts.web_searches or 0,
        search_units=counts.search_units or 0,
    )
    return kinds, lacks


def _sides(counts: Counts) -> tuple[int, int, tuple[str, ...]]:
    """Return input, output and which of them is unknown; a total makes up for one of them."""
    given, out, total = counts.input, counts.output, counts.total
    if given is None and out is None and total is None:
        return 0, 0, ()  # searches alone
    if total is not None:
        if given is None and out is None:
            return total, 0, ()  # embeddings: Voyage and Jina count nothing else
        if given is None and out is not None:
            return max(0, total - out), out, ()
        if out is None and given is not None:
            return given, max(0, total - given), ()
    lacks = tuple([side for side, n in (("input", given), ("output", out)) if n is None])
    return given or 0, out or 0, lacks


def _reasoning(counts: Counts, given: int, out: int, problems: list[str]) -> tuple[int, int]:
    """Return output and reasoning; the latter is within the former but for some instrumentations.

    They pass on what Gemini and xAI count beside the output.
    """
    reasoning = counts.reasoning or 0
    if not reasoning:
        return out, 0
    is_beside = counts.total is not None and counts.total == given + out + reasoning
    if is_beside or reasoning > out:
        why = "the total counts both" if is_beside else "there is more of it than of output"
        problems.append(f"reasoning was read as beside the output: {why}")
        out += reasoning
    return out, reasoning


def _written(counts: Counts) -> int:
    if counts.cache_write is not None:
        return counts.cache_write
    return (counts.cache_write_5m or 0) + (counts.cache_write_1h or 0)


def _lifetimes(counts: Counts, written: int, problems: list[str]) -> tuple[int, int]:
    """Return the cache writes of five minutes and of one hour, which add up to all of them."""
    one_hour = counts.cache_write_1h or 0
    if one_hour > written:
        problems.append("more cache writes of one hour than in all: cut to all")
        one_hour = written
    return written - one_hour, one_hour

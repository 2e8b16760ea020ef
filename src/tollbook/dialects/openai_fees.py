"""What OpenAI-like usage bills beside its tokens: searches, sessions, audio by length, images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.base import Part
from tollbook.dialects.openai_shape import InputDetails, OutputDetails
from tollbook.dialects.openai_tools import DEFAULT_IMAGE_MODEL
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tollbook.dialects.openai_shape import ImageUsage, Seen, Tools, Usage

MAX_SECONDS: Final = 10**8
IMAGE_GENERATION: Final = "image_generation"
TOKENS_BY_SIZE: Final = (
    "the image tokens of a tool are not in the usage: taken from the size and quality of the images"
)
NOTHING: Final = Kinds()
_MS_PER_S: Final = 1000


def milliseconds(seconds: float) -> int:
    """Return a length of audio as the provider gives it, zero for what is no length."""
    return round(seconds * _MS_PER_S) if 0 < seconds < MAX_SECONDS else 0


def has_fees(usage: Usage) -> bool:
    """Whether anything but tokens may be billed: false for the usual usage."""
    return bool(
        usage.tollbook_seen
        or usage.server_tool_use
        or usage.server_tool_use_details
        or usage.server_side_tool_usage_details
        or usage.web_search
        or usage.image_gen
        or usage.search_context_size
        or usage.prompt_audio_seconds
        or usage.num_sources_used
        or usage.citation_tokens
        or usage.num_search_queries
    )


def fees_only(usage: Usage) -> Kinds | None:
    """Return the kinds of a usage without a count of tokens, None where it counts nothing."""
    if usage.seconds is not None:
        return Kinds(audio_ms=milliseconds(usage.seconds))
    units, seen = usage.billed_units, usage.tollbook_seen
    if units is None:
        has_tools = seen is not None and (
            seen.web_searches or seen.file_searches or seen.code_containers or seen.image_tokens
        )
        return NOTHING if has_tools else None
    return Kinds(
        units.input_tokens or 0,
        visible_output_tokens=units.output_tokens or 0,
        search_units=units.search_units or 0,
    )


def add_fees(
    usage: Usage, kinds: Kinds | None, problems: tuple[str, ...]
) -> tuple[Kinds | None, tuple[str, ...]]:
    """Put what is billed by the piece into the kinds; return them and what is to be said."""
    if kinds is None:
        return None, problems
    tools = usage.server_side_tool_usage_details
    seen = usage.tollbook_seen
    kinds = kinds._replace(
        web_search_requests=_web_searches(usage, seen),
        file_search_requests=_first(
            None if tools is None else _sum(tools.file_search_calls, tools.document_search_calls),
            None if seen is None else seen.file_searches,
        ),
        code_sessions=_first(
            None if tools is None else tools.code_interpreter_calls,
            None if seen is None else seen.code_containers,
        ),
        citation_tokens=usage.citation_tokens or 0,
    )
    if usage.prompt_audio_seconds and 0 < usage.prompt_audio_seconds < MAX_SECONDS:
        # Mistral shows the tokens too, and bills by the minute.
        by_length = f"{kinds.input_audio_tokens} tokens of audio are billed by its length"
        kinds = kinds._replace(
            audio_ms=milliseconds(usage.prompt_audio_seconds), input_audio_tokens=0
        )
        problems = (*problems, by_length)
    return kinds, problems


def parts_of(usage: Usage, problems: tuple[str, ...]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return what another model made: images by a tool of the Responses API."""
    images, seen = usage.image_gen, usage.tollbook_seen
    named = None if seen is None else seen.image_model
    if images is not None and (images.input_tokens or images.output_tokens):
        kinds = image_kinds(images)
    elif seen is not None and seen.image_tokens:
        kinds = Kinds(output_image_tokens=seen.image_tokens, requests=0)
        problems = (*problems, TOKENS_BY_SIZE)
    elif images is not None and images.total_tokens:
        kinds = Kinds(output_image_tokens=images.total_tokens, requests=0)
    else:
        return (), problems
    if named is None:
        problems = (
            *problems,
            f"the answer does not name its image model: {DEFAULT_IMAGE_MODEL} is assumed",
        )
    return (Part(kinds, named or DEFAULT_IMAGE_MODEL, IMAGE_GENERATION),), problems


def image_kinds(usage: ImageUsage) -> Kinds:
    """Return the tokens of an image model; output without details is all image."""
    given, out = usage.input_tokens or 0, usage.output_tokens or 0
    details = usage.input_tokens_details or InputDetails()
    cached = min(details.cached_tokens or 0, given)
    of_cache = details.cached_tokens_details
    image_cached = min((of_cache.image_tokens if of_cache is not None else None) or 0, cached)
    image_in = min(max((details.image_tokens or 0) - image_cached, 0), given - cached)
    below = usage.output_tokens_details or OutputDetails(image_tokens=out)
    image_out = min(below.image_tokens or 0, out)
    return Kinds(
        given - cached - image_in,
        cached - image_cached,
        input_image_tokens=image_in,
        cache_read_image_tokens=image_cached,
        visible_output_tokens=out - image_out,
        output_image_tokens=image_out,
        requests=0,
    )


def _web_searches(usage: Usage, seen: Seen | None) -> int:
    for found in (
        usage.web_search,
        usage.server_tool_use,
        usage.server_tool_use_details,
        usage.server_side_tool_usage_details,
    ):
        if found is not None:
            return _searches(found)
    return (
        usage.num_search_queries  # Perplexity's deep research
        or usage.num_sources_used  # xAI's live search bills each source
        or (0 if seen is None else seen.web_searches or 0)
    )


def _searches(tools: Tools) -> int:
    return (
        tools.web_search_requests
        or tools.num_requests
        or (tools.web_search_calls or 0) + (tools.x_search_calls or 0)
    )


def _sum(*counts: int | None) -> int:
    return sum(count or 0 for count in counts)


def _first(*counts: int | None) -> int:
    return next((count for count in counts if count), 0)

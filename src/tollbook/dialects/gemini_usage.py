"""Gemini usage objects as disjoint kinds.

``promptTokenCount`` includes what was cached; thoughts stand beside the candidates, and the text
that built-in tools put into the prompt beside the prompt: all are billed
(https://ai.google.dev/api/generate-content#UsageMetadata). In a stream each chunk has the counts
so far, so the last object counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook.dialects.counts import Count, Reading, decode_loosely, merge
from tollbook.dialects.gemini_grounding import Grounding, searches_billed
from tollbook.dialects.gemini_interactions import InteractionUsage, as_generate_usage
from tollbook.dialects.gemini_modalities import ModalityCount, Split, split_of, within
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Statistics(Struct, gc=False):
    token_count: Count | None = None


class _Usage(Struct, gc=False):
    promptTokenCount: Count | None = None  # noqa: N815 -- this and the others: the API's names
    candidatesTokenCount: Count | None = None  # noqa: N815
    responseTokenCount: Count | None = None  # noqa: N815
    thoughtsTokenCount: Count | None = None  # noqa: N815
    toolUsePromptTokenCount: Count | None = None  # noqa: N815
    cachedContentTokenCount: Count | None = None  # noqa: N815
    totalTokenCount: Count | None = None  # noqa: N815
    promptTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    promptTokenDetails: list[ModalityCount] | None = None  # noqa: N815
    cacheTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    candidatesTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    responseTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    toolUsePromptTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    serviceTier: str | None = None  # noqa: N815
    trafficType: str | int | None = None  # noqa: N815
    # Not the API's own objects; see gemini_plain and gemini_grounding
    statistics: _Statistics | None = None
    images: Count | None = None
    grounding: Grounding | None = None


_decode = msgspec.json.Decoder(_Usage).decode
_decode_interaction = msgspec.json.Decoder(InteractionUsage).decode
_NONE: Final[tuple[str, ...]] = ()
_TIERS: Final[dict[object, str | None]] = {
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_OFFPEAK": "offpeak",
    "PROVISIONED_THROUGHPUT": "provisioned",
    2: "provisioned",
}
_STANDARD: Final = frozenset({"standard", "unspecified", ""})


def read_gemini_usage(objects: Sequence[bytes], model: str | None) -> Reading:
    """Return the kinds of one response's usage objects, and what was contradictory in them.

    Args:
        objects: in order; a later one goes over an earlier one.
        model: the model that answered, for how searches are counted.
    """
    usage: _Usage | None = None
    last: _Usage | None = None
    problems: tuple[str, ...] = ()
    for raw in objects:
        read, more = _read(raw)
        problems += more
        if read is None:
            continue
        if read.promptTokenCount is not None or read.candidatesTokenCount is not None:
            last = msgspec.structs.replace(read)
        usage = read if usage is None else merge(usage, read, zero_erases=False)
    if usage is None:
        return Reading(None, problems)
    if last is not None:
        usage, more = _final(usage, last)
        problems += more
    kinds, more, lacks = _kinds(usage, model)
    return Reading(kinds, problems + more, lacks, tier_of(usage.serviceTier, usage.trafficType))


def tier_of(service_tier: object, traffic_type: object) -> str | None:
    """Return the tier that a usage object names, None for the standard one."""
    if isinstance(service_tier, str) and service_tier.lower() not in _STANDARD:
        return service_tier.lower()
    if isinstance(traffic_type, (str, int)):
        return _TIERS.get(traffic_type)
    return None


def _read(raw: bytes) -> tuple[_Usage | None, tuple[str, ...]]:
    if b'"total_input_tokens"' in raw or b'"total_output_tokens"' in raw:
        return _read_interaction(raw)
    try:
        return _decode(raw), _NONE
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode_loosely(raw, _Usage)


def _read_interaction(raw: bytes) -> tuple[_Usage | None, tuple[str, ...]]:
    problems = _NONE
    try:
        usage: InteractionUsage | None = _decode_interaction(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        usage, problems = decode_loosely(raw, InteractionUsage)
    return None if usage is None else _Usage(**as_generate_usage(usage)), problems


def _final(merged: _Usage, last: _Usage) -> tuple[_Usage, tuple[str, ...]]:
    """Return the last object alone if its own total holds, else all objects merged.

    Some streams end in a chunk without the candidates' count. If the total leaves them out too,
    that is what the provider says it bills; if not, the earlier count is missed.
    """
    if last.totalTokenCount is None or last.totalTokenCount != _sum(last):
        return merged, _NONE
    dropped = (merged.candidatesTokenCount or 0) if not last.candidatesTokenCount else 0
    last.images, last.grounding = merged.images, merged.grounding
    last.serviceTier = last.serviceTier or merged.serviceTier
    last.trafficType = last.trafficType or merged.trafficType
    if dropped:
        why = f"the final usage leaves out {dropped} candidate tokens of an earlier one"
        return last, (f"{why}: its own total was followed",)
    return last, _NONE


def _sum(usage: _Usage) -> int:
    return (
        (usage.promptTokenCount or 0)
        + (usage.candidatesTokenCount or usage.responseTokenCount or 0)
        + (usage.thoughtsTokenCount or 0)
        + (usage.toolUsePromptTokenCount or 0)
    )


def _kinds(
    usage: _Usage, model: str | None
) -> tuple[Kinds | None, tuple[str, ...], tuple[str, ...]]:
    problems: list[str] = []
    searches = searches_billed(usage.grounding, model, problems)
    if usage.images is not None:
        return Kinds(images=usage.images), _NONE, _NONE
    if usage.promptTokenCount is None and usage.totalTokenCount is None:
        if usage.statistics is not None and usage.statistics.token_count is not None:
            return Kinds(usage.statistics.token_count), _NONE, _NONE
        if usage.candidatesTokenCount is None and usage.thoughtsTokenCount is None:
            return None, _NONE, _NONE
    prompt, tools, out, thoughts, lacks = _sides(usage, problems)
    given = split_of(
        usage.promptTokensDetails or usage.promptTokenDetails, prompt, "prompt", problems
    )
    cached = min(usage.cachedContentTokenCount or 0, prompt)
    if cached != (usage.cachedContentTokenCount or 0):
        problems.append(
            f"cached tokens ({usage.cachedContentTokenCount}) exceed the prompt ({prompt}):"
            " cut to the prompt"
        )
    hit = split_of(usage.cacheTokensDetails, cached, "cached content", problems)
    if not usage.cacheTokensDetails:
        hit = _text_first(cached, given)
    hit = within(hit, given, problems)
    extra = split_of(usage.toolUsePromptTokensDetails, tools, "tool-use prompt", problems)
    fresh = given.minus(hit).plus(extra)
    made = split_of(
        usage.candidatesTokensDetails or usage.responseTokensDetails, out, "output", problems
    )
    if made.video:
        problems.append(f"{made.video} tokens of video were made: counted as text output")
    kinds = Kinds(
        fresh.text,
        hit.text + hit.video,  # video has no cached price of its own
        input_audio_tokens=fresh.audio,
        cache_read_audio_tokens=hit.audio,
        input_image_tokens=fresh.image,
        cache_read_image_tokens=hit.image,
        input_video_tokens=fresh.video,
        visible_output_tokens=made.text + made.video,
        reasoning_tokens=thoughts,
        output_audio_tokens=made.audio,
        output_image_tokens=made.image,
        web_search_requests=searches,
    )
    return kinds, tuple(problems) if problems else _NONE, lacks


def _sides(usage: _Usage, problems: list[str]) -> tuple[int, int, int, int, tuple[str, ...]]:
    """Return prompt, tool-use prompt, output, thoughts, and what has no count, by the total."""
    prompt, tools = usage.promptTokenCount, usage.toolUsePromptTokenCount or 0
    out = usage.candidatesTokenCount
    if out is None:
        out = usage.responseTokenCount
    thoughts, total = usage.thoughtsTokenCount or 0, usage.totalTokenCount
    if total is None:
        lacks = [side for side, count in (("input", prompt), ("output", out)) if count is None]
        if thoughts and "output" in lacks:
            lacks.remove("output")  # it only thought: zero is left out
        return prompt or 0, tools, out or 0, thoughts, tuple(lacks)
    beyond = total - (prompt or 0) - tools - (out or 0) - thoughts
    if beyond == 0:
        return prompt or 0, tools, out or 0, thoughts, _NONE
    if beyond < 0:
        return _over_total(prompt or 0, tools, out or 0, thoughts, -beyond, problems)
    if prompt is None:
        return beyond, tools, out or 0, thoughts, _NONE
    if out is None:
        return prompt, tools, beyond, thoughts, _NONE
    problems.append(f"the total has {beyond} tokens more: read as hidden reasoning")
    return prompt, tools, out, thoughts + beyond, _NONE


def _over_total(
    prompt: int, tools: int, out: int, thoughts: int, over: int, problems: list[str]
) -> tuple[int, int, int, int, tuple[str, ...]]:
    """Find which count lies within another, where all together exceed the total."""
    if over == thoughts and thoughts <= out:
        problems.append(f"thoughts ({thoughts}) are in the output, not beside it (by the total)")
        out -= thoughts
    elif over == tools and tools <= prompt:
        problems.append(f"the tool-use prompt ({tools}) is in the prompt (by the total)")
        tools = 0
    else:
        problems.append(f"the counts exceed the total by {over}: each was counted")
    return prompt, tools, out, thoughts, _NONE


def _text_first(cached: int, given: Split) -> Split:
    """Return cached tokens of unknown modality as those that are cheapest to assume: text."""
    counts = []
    for room in given:
        counts.append(min(cached, room))
        cached -= counts[-1]
    return Split(*counts)

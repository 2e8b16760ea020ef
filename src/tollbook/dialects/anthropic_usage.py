"""Anthropic usage objects as disjoint kinds.

``input_tokens`` excludes the cache counts, so the kinds are disjoint as they come. What needs care
is that a stream reports twice, that the split of cache writes into five minutes and one hour may be
missing or older than the total, and that ``iterations`` holds passes the top level leaves out
(:mod:`tollbook.dialects.anthropic_passes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.dialects.anthropic_passes import CacheCreation, Pass, by_pass, writes_of
from tollbook.dialects.counts import Count, Reading, decode_loosely, merge
from tollbook.usage import kinds_from

if TYPE_CHECKING:
    from tollbook.dialects.base import Part
    from tollbook.usage import Kinds


class _OutputDetails(Struct, gc=False):
    thinking_tokens: Count | None = None


class _ServerTools(Struct, gc=False):
    web_search_requests: Count | None = None
    web_fetch_requests: Count | None = None  # billed as the tokens it brings, no fee
    code_execution_requests: Count | None = None


class _Usage(Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: _ServerTools | None = None
    output_tokens_details: _OutputDetails | None = None
    iterations: list[Pass] | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    container: dict[str, Any] | None = None
    """Not of the provider's usage: the meter puts the answer's ``container`` beside it."""


_decode = msgspec.json.Decoder(_Usage).decode
_NONE: Final[tuple[str, ...]] = ()
_STANDARD_TIERS: Final = frozenset({None, "", "standard"})
_NO_REGIONS: Final = frozenset({None, "", "global", "not_available"})
_MAX_WORD_CHARS: Final = 32


def read_anthropic_usage(objects: tuple[bytes, ...], model: str | None = None) -> Reading:
    """Return the kinds of one response's usage objects, and what was contradictory in them.

    The counts of ``message_delta`` are cumulative and final (Anthropic, Streaming Messages), so a
    later object goes over an earlier one field by field; the split of cache writes, often only in
    ``message_start``, stays.

    Args:
        objects: as the provider sent them, in order.
        model: the model that the answer names; it tells which passes are the answer's own.
    """
    usage, problems = _read(objects[0])
    for raw in objects[1:]:
        later, more = _read(raw)
        problems += more
        if later is not None:
            # A server that counts only output later sends zeros for all input: they say nothing.
            says_input = bool(
                later.input_tokens
                or later.cache_read_input_tokens
                or later.cache_creation_input_tokens
            )
            usage = later if usage is None else merge(usage, later, zero_erases=says_input)
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return Reading(None, problems)
    kinds, more, further = _kinds(usage, model)
    lacks = _NONE
    if usage.input_tokens is None or usage.output_tokens is None:
        lacks = ("input",) if usage.input_tokens is None else ("output",)
    tier = region = None
    if usage.service_tier not in _STANDARD_TIERS or usage.speed is not None:
        tier = _tier(usage)
    if usage.inference_geo is not None:
        region = _region(usage)
    return Reading(kinds, problems + more, lacks, tier, region, further)


def _read(raw: bytes) -> tuple[_Usage | None, tuple[str, ...]]:
    try:
        return _decode(raw), _NONE
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode_loosely(raw, _Usage)


def _tier(usage: _Usage) -> str | None:
    """Return the words that the price depends on, None for the standard ones.

    ``speed`` is beside the tier: fast mode, several times the price, may serve any tier.
    """
    if usage.speed == "fast":
        if usage.service_tier in _STANDARD_TIERS:
            return "fast"
        return f"{usage.service_tier}+fast"[:_MAX_WORD_CHARS]
    return None if usage.service_tier in _STANDARD_TIERS else usage.service_tier


def _region(usage: _Usage) -> str | None:
    """Return where inference was kept to on request (``us``), None where it was anywhere."""
    geo = usage.inference_geo
    if geo in _NO_REGIONS or geo is None or len(geo) > _MAX_WORD_CHARS or not geo.isprintable():
        return None
    return geo


def _kinds(usage: _Usage, model: str | None) -> tuple[Kinds, tuple[str, ...], tuple[Part, ...]]:
    problems: list[str] = []
    written_5m, written_1h = writes_of(usage, problems)
    output = usage.output_tokens or 0
    thinking = searches = 0
    if usage.output_tokens_details is not None:
        thinking = usage.output_tokens_details.thinking_tokens or 0
        if thinking > output:
            problems.append(
                f"thinking ({thinking}) exceeds the output ({output}): cut to the output"
            )
            thinking = output
    if usage.server_tool_use is not None:
        searches = usage.server_tool_use.web_search_requests or 0
    kinds = kinds_from((
        usage.input_tokens or 0, usage.cache_read_input_tokens or 0, written_5m, written_1h,
        0, 0, 0, 0, 0,
        output - thinking, thinking, 0, 0, 0,
        searches, 0, 0, 0, 0, 0, 0, 1,
    ))  # fmt: skip
    if usage.container is not None or usage.server_tool_use is not None:
        sessions = _code_sessions(usage)
        if sessions:
            kinds = kinds._replace(code_sessions=sessions)
            problems.append(
                "code ran in a container, which is billed by its hours beyond the free ones of the"
                " month; the answer does not tell the hours"
            )
    further: tuple[Part, ...] = ()
    passes = usage.iterations
    if passes and (len(passes) > 1 or passes[0].type != "message"):
        kinds, further = by_pass(kinds, passes, model, problems)
    return kinds, tuple(problems) if problems else _NONE, further


def _code_sessions(usage: _Usage) -> int:
    """Return 1 where code ran in a container at a price of its own.

    Beside web search and fetch, which filter their results with code, it is free (Anthropic, Code
    execution tool, usage and pricing).
    """
    tools = usage.server_tool_use
    if tools is not None:
        if tools.code_execution_requests:
            return 1
        if tools.web_search_requests or tools.web_fetch_requests:
            return 0
    return int(usage.container is not None)

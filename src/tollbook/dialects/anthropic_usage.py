"""Anthropic usage objects as disjoint kinds.

``input_tokens`` excludes the cache counts, so the kinds are disjoint as they come. What needs care
is that a stream reports twice, that the split of cache writes into five minutes and one hour may be
missing or older than the total, and that ``iterations`` holds passes the top level leaves out.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from tollbook.dialects.counts import Count, Reading, decode_loosely, merge
from tollbook.usage import Kinds


class _CacheCreation(Struct, gc=False):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class _OutputDetails(Struct, gc=False):
    thinking_tokens: Count | None = None


class _ServerTools(Struct, gc=False):
    web_search_requests: Count | None = None


class _Iteration(Struct, gc=False):
    type: str | None = None
    model: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: _CacheCreation | None = None


class _Usage(Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerTools | None = None
    output_tokens_details: _OutputDetails | None = None
    iterations: list[_Iteration] | None = None
    inference_geo: str | None = None


_decode = msgspec.json.Decoder(_Usage).decode
_NONE: Final[tuple[str, ...]] = ()


def read_anthropic_usage(objects: tuple[bytes, ...]) -> Reading:
    """Return the kinds of one response's usage objects, and what was contradictory in them.

    The counts of ``message_delta`` are cumulative and final (Anthropic, Streaming Messages), so a
    later object goes over an earlier one field by field; the split of cache writes, often only in
    ``message_start``, stays.
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
    kinds, more = _kinds(usage)
    counts = (("input", usage.input_tokens), ("output", usage.output_tokens))
    lacks = tuple([side for side, count in counts if count is None])
    return Reading(kinds, problems + more, lacks)


def _read(raw: bytes) -> tuple[_Usage | None, tuple[str, ...]]:
    try:
        return _decode(raw), _NONE
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode_loosely(raw, _Usage)


def _kinds(usage: _Usage) -> tuple[Kinds, tuple[str, ...]]:
    problems: list[str] = []
    written_5m, written_1h = _writes(usage, problems)
    output = usage.output_tokens or 0
    thinking = usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0
    thinking = thinking or 0
    if thinking > output:
        problems.append(f"thinking ({thinking}) exceeds the output ({output}): cut to the output")
        thinking = output
    if usage.inference_geo == "us":
        problems.append(
            "inference in the US only (inference_geo) is billed at 1.1 times the price for newer"
            " models; the factor is not in the list price and was not added"
        )
    searches = usage.server_tool_use.web_search_requests if usage.server_tool_use else 0
    kinds = Kinds(
        usage.input_tokens or 0,
        usage.cache_read_input_tokens or 0,
        written_5m,
        written_1h,
        visible_output_tokens=output - thinking,
        reasoning_tokens=thinking,
        web_search_requests=searches or 0,
    )
    if usage.iterations and len(usage.iterations) > 1:
        kinds = _with_iterations(kinds, usage.iterations, problems)
    return kinds, tuple(problems) if problems else _NONE


def _writes(usage: _Usage | _Iteration, problems: list[str]) -> tuple[int, int]:
    """Return cache writes of five minutes and of one hour."""
    total = usage.cache_creation_input_tokens
    split = usage.cache_creation
    if split is None:
        return total or 0, 0  # five minutes is the API's default
    five, hour = split.ephemeral_5m_input_tokens or 0, split.ephemeral_1h_input_tokens or 0
    rest = (five + hour if total is None else total) - five - hour
    if rest > 0:
        problems.append(f"{rest} cache-written tokens have no lifetime: read as five minutes")
        five += rest
    elif rest < 0:
        problems.append(
            f"the split of cache writes ({five} + {hour}) exceeds their total ({total}):"
            " cut to the total"
        )
        cut = min(-rest, five)
        five -= cut
        hour += rest + cut
    return five, hour


def _with_iterations(kinds: Kinds, passes: list[_Iteration], problems: list[str]) -> Kinds:
    """Return the sum over all passes, which is what is billed.

    The top level leaves out compaction and advisor passes (Anthropic, Compaction: the total is the
    sum across all iterations), and after a fallback it is the last pass only. A pass that was
    declined before it produced anything is not billed (Anthropic, Refusals and fallback).
    """
    if any(each.input_tokens is None or each.output_tokens is None for each in passes):
        problems.append("iterations without counts: only the top level was counted")
        return kinds
    if any(each.type == "fallback_message" for each in passes):
        passes = [each for each in passes if each.type != "message" or _produced(each)]
    writes = [_writes(each, problems) for each in passes]
    five, hour = sum(pair[0] for pair in writes), sum(pair[1] for pair in writes)
    if five + hour == kinds.cache_write_5m_tokens + kinds.cache_write_1h_tokens:
        five, hour = kinds.cache_write_5m_tokens, kinds.cache_write_1h_tokens
    output = sum(each.output_tokens or 0 for each in passes)
    whole = kinds._replace(
        uncached_input_tokens=sum(each.input_tokens or 0 for each in passes),
        cache_read_tokens=sum(each.cache_read_input_tokens or 0 for each in passes),
        cache_write_5m_tokens=five,
        cache_write_1h_tokens=hour,
        visible_output_tokens=max(0, output - kinds.reasoning_tokens),
        reasoning_tokens=min(kinds.reasoning_tokens, output),
    )
    models = {each.model for each in passes if each.model}
    if whole != kinds or len(models) > 1:
        named = sorted({f"{each.type} {each.model or ''}".strip() for each in passes})
        problems.append(
            f"the sum of {len(passes)} passes was counted ({', '.join(named)}), all at the model"
            " of the answer, though another model may have made some"
        )
    return whole


def _produced(each: _Iteration) -> bool:
    return bool(
        each.output_tokens or each.cache_read_input_tokens or each.cache_creation_input_tokens
    )

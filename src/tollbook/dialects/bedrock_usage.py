"""Token counts of Bedrock as disjoint kinds, whichever model family reported them.

``converse`` counts as its own API documents (``inputTokens`` without what was read from or written
to a cache). ``invoke`` passes on what the model's maker reports: Anthropic's usage, OpenAI's, or
single counts beside the text. Beside these AWS counts itself, in ``x-amzn-bedrock-*-token-count``
headers and in ``amazon-bedrock-invocationMetrics`` of streams; both are kept as evidence.

Where the two differ the body's own count is used. It is what the model's maker documents as billed
and what ``converse`` reports for the same model; the metrics seem to leave out the frame of tool
calls (in four recorded streams of Claude they are 8 to 33 % below the body, never above it). What
the body does not count is taken from the evidence: Cohere and embeddings report in headers only.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tollbook.dialects.anthropic_usage import read_anthropic_usage
from tollbook.dialects.counts import Count, Reading, decode_loosely, merge
from tollbook.dialects.openai_usage import read_openai_usage
from tollbook.usage import Kinds

HEADER_PREFIX: Final = "x-amzn-bedrock-"


class _CacheDetail(Struct, gc=False):
    inputTokens: Count | None = None  # noqa: N815 -- the provider's name
    ttl: str | None = None


class _Own(Struct, gc=False, rename="camel"):
    """Counts that a body holds: converse and Nova, Titan, Llama."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_read_input_token_count: Count | None = None
    cache_write_input_tokens: Count | None = None
    cache_write_input_token_count: Count | None = None
    cache_details: list[_CacheDetail] | None = None
    input_text_token_count: Count | None = None
    token_count: Count | None = None
    total_output_text_token_count: Count | None = None
    prompt_token_count: Count | None = msgspec.field(name="prompt_token_count", default=None)
    generation_token_count: Count | None = msgspec.field(
        name="generation_token_count", default=None
    )
    images: Count | None = None
    embeddings: bool | None = None
    """The answer holds vectors, whatever the operation was taken for."""


class _Metrics(Struct, gc=False, rename="camel"):
    """``amazon-bedrock-invocationMetrics``: what AWS counts itself."""

    input_token_count: Count | None = None
    output_token_count: Count | None = None
    cache_read_input_token_count: Count | None = None
    cache_write_input_token_count: Count | None = None


class _Headers(Struct, gc=False):
    """The same in a response head."""

    input_tokens: Count | None = msgspec.field(
        name=HEADER_PREFIX + "input-token-count", default=None
    )
    output_tokens: Count | None = msgspec.field(
        name=HEADER_PREFIX + "output-token-count", default=None
    )
    cache_read: Count | None = msgspec.field(
        name=HEADER_PREFIX + "cache-read-input-token-count", default=None
    )
    cache_write: Count | None = msgspec.field(
        name=HEADER_PREFIX + "cache-write-input-token-count", default=None
    )


class _Sides(NamedTuple):
    """One count of a call by AWS; None where it says nothing."""

    where: str
    given: int | None
    output: int | None
    read: int | None
    written: int | None


_decode_own = msgspec.json.Decoder(_Own).decode
_decode_headers = msgspec.json.Decoder(_Headers).decode
_decode_metrics = msgspec.json.Decoder(_Metrics).decode
_HEADER_MARK: Final = HEADER_PREFIX.encode()
_CONTAINER: Final = b'{"container"'
_SIDE_NAMES: Final = (("input", "given"), ("output", "output"))


def read_bedrock_usage(objects: tuple[bytes, ...], model: str | None = None) -> Reading:
    """Return the kinds of one response's usage objects, and what was contradictory in them.

    Args:
        objects: as the meter kept them.
        model: the model that answered, for answers of several passes.
    """
    anthropic: list[bytes] = []
    openai: list[bytes] = []
    own: list[bytes] = []
    evidence: list[_Sides] = []
    problems: list[str] = []
    for raw in objects:
        if _HEADER_MARK in raw:
            evidence += _headers_in(raw, problems)
        elif b'"inputTokenCount"' in raw or b'"outputTokenCount"' in raw:
            evidence += _metrics_in(raw, problems)
        elif b'"input_tokens"' in raw or b'"output_tokens"' in raw or raw.startswith(_CONTAINER):
            anthropic.append(raw)
        elif b'"prompt_tokens"' in raw or b'"completion_tokens"' in raw:
            openai.append(raw)
        else:
            own.append(raw)
    if anthropic:
        # Where it is served is the inference profile's to say, not the model maker's.
        body = replace(read_anthropic_usage(tuple(anthropic), model), region=None)
    elif openai:
        body = read_openai_usage(tuple(openai))
    else:
        body = _read_own(own) if own else Reading(None, ())
    return _with_evidence(replace(body, problems=(*problems, *body.problems)), evidence)


def _headers_in(raw: bytes, problems: list[str]) -> list[_Sides]:
    try:
        read: _Headers | None = _decode_headers(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        read, more = decode_loosely(raw, _Headers)
        problems += more
    if read is None:
        return []
    return [
        _Sides("headers", read.input_tokens, read.output_tokens, read.cache_read, read.cache_write)
    ]


def _metrics_in(raw: bytes, problems: list[str]) -> list[_Sides]:
    try:
        read: _Metrics | None = _decode_metrics(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        read, more = decode_loosely(raw, _Metrics)
        problems += more
    if read is None:
        return []
    return [
        _Sides(
            "invocation metrics", read.input_token_count, read.output_token_count,
            read.cache_read_input_token_count, read.cache_write_input_token_count,
        )
    ]  # fmt: skip


def _read_own(objects: list[bytes]) -> Reading:
    usage: _Own | None = None
    problems: tuple[str, ...] = ()
    for raw in objects:
        try:
            later: _Own | None = _decode_own(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            later, more = decode_loosely(raw, _Own)
            problems += more
        if later is not None:
            # Streams of Llama count the prompt in the first chunk only, output cumulatively.
            usage = later if usage is None else merge(usage, later, zero_erases=False)
    if usage is None:
        return Reading(None, problems)
    given = _first(usage.input_tokens, usage.input_text_token_count, usage.prompt_token_count)
    output = _first(
        usage.output_tokens, usage.total_output_text_token_count, usage.token_count,
        usage.generation_token_count,
    )  # fmt: skip
    if given is None and output is None and usage.images is None:
        return Reading(None, problems, ("input",) if usage.embeddings else ())
    if usage.embeddings and output is None:
        output = 0
    found: list[str] = []
    read = _alias(usage.cache_read_input_tokens, usage.cache_read_input_token_count, "read", found)
    written = _alias(
        usage.cache_write_input_tokens, usage.cache_write_input_token_count, "write", found
    )
    five, hour = _writes(written, usage.cache_details, found)
    given_tokens = _by_total(usage.total_tokens, given or 0, output or 0, read + five + hour, found)
    kinds = Kinds(
        given_tokens,
        read,
        five,
        hour,
        visible_output_tokens=output or 0,
        images=usage.images or 0,
    )
    lacks = tuple([side for side, count in (("input", given), ("output", output)) if count is None])
    return Reading(kinds, (*problems, *found), () if usage.images is not None else lacks)


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _alias(count: int | None, alias: int | None, what: str, problems: list[str]) -> int:
    """Return a count that comes under two names: once, the greater where they differ."""
    if count is not None and alias is not None and count != alias:
        problems.append(f"cache {what} is {count} under one name and {alias} under the other")
        return max(count, alias)
    return count or alias or 0


def _writes(total: int, details: list[_CacheDetail] | None, problems: list[str]) -> tuple[int, int]:
    """Return cache writes of five minutes (the default) and of one hour."""
    if not details:
        return total, 0
    hour = sum(each.inputTokens or 0 for each in details if each.ttl == "1h")
    named = sum(each.inputTokens or 0 for each in details if each.ttl in {"1h", "5m"})
    if named > total:
        problems.append(
            f"the split of cache writes ({named}) exceeds their total ({total}): cut to the total"
        )
    elif named < total:
        problems.append(f"{total - named} cache-written tokens have no lifetime: read as 5 minutes")
    hour = min(hour, total)
    return total - hour, hour


def _by_total(total: int | None, given: int, output: int, cached: int, problems: list[str]) -> int:
    """Return the uncached input, which excludes the cache unless the total says otherwise."""
    if total is None or total == given + output + cached:
        return given
    if total == given + output and cached <= given:
        problems.append(f"cached input ({cached}) is part of the input here (by the total)")
        return given - cached
    problems.append(
        f"the total ({total}) is not the sum of input, cache and output ({given + cached + output})"
    )
    return given


def _with_evidence(body: Reading, evidence: list[_Sides]) -> Reading:
    """Fill what the body does not count, and name what AWS counted differently."""
    kinds, lacks, problems = body.kinds, body.lacks, list(body.problems)
    for seen in evidence:
        if kinds is None:
            if seen.given is None and seen.output is None:
                continue
            # Embeddings lack their input only.
            kinds, lacks = Kinds(), lacks or ("input", "output")
        is_all_new = "input" in lacks
        for side, name in _SIDE_NAMES:
            count = getattr(seen, name)
            if count is None:
                continue
            if side in lacks:
                field = "uncached_input_tokens" if side == "input" else "visible_output_tokens"
                kinds = kinds._replace(**{field: count})
                lacks = tuple([each for each in lacks if each != side])
                continue
            have = kinds.uncached_input_tokens if side == "input" else kinds.output_tokens
            if have != count:
                problems.append(
                    f"the {seen.where} say {count} {side} tokens, the body {have}: the body counts"
                )
        if is_all_new and (seen.read or seen.written):
            kinds = kinds._replace(
                cache_read_tokens=seen.read or 0, cache_write_5m_tokens=seen.written or 0
            )
    return replace(body, kinds=kinds, lacks=lacks, problems=tuple(problems))

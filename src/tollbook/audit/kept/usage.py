"""How much was used, by kind: a short way for plain counts, the ledger's own way for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tollbook.call import Call, Evidence, UsageSource
from tollbook.capture.otlp.answers import NO_ANSWER, answer_of
from tollbook.capture.otlp.mapping import frames_of
from tollbook.dialects.otel import INVOKE_AGENT, Otel
from tollbook.dialects.otel_counts import Counts, as_quantity
from tollbook.dialects.otel_inclusive import cache_is_within
from tollbook.dialects.otel_kinds import kinds_of
from tollbook.dialects.otel_langfuse import langfuse_counts
from tollbook.dialects.otel_litellm import litellm_counts
from tollbook.dialects.otel_names import (
    COUNTS,
    LANGFUSE_USAGE,
    LITELLM_USAGE,
    PROVIDER_METADATA,
    RAW_ELSEWHERE,
    RAW_USAGE,
)
from tollbook.dialects.otel_raw import json_object
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.call import CallClosed, CallOpened
    from tollbook.capture.otlp.operations import What
    from tollbook.capture.otlp.spans import Span

_NOWHERE: Final = Evidence("", 0, 0, "")
_ANY_TRACE: Final = "1" * 32
_ANY_SPAN: Final = "1" * 16
_NOTES_MAX: Final = 12
_NOTE_MAX_CHARS: Final = 256
_CALL_FRAMES: Final = 3
"""Seen, opened and closed: what a span that is a call becomes."""
_HAS_LIFETIMES: Final = frozenset({"anthropic", "bedrock"})
_NO_OUTPUT: Final = frozenset({"embeddings", "rerank"})
_DOCUMENTS: Final = (
    RAW_USAGE, *RAW_ELSEWHERE, LANGFUSE_USAGE, LITELLM_USAGE, PROVIDER_METADATA, "output.value",
)  # fmt: skip
_SHOWN: Final = (
    "input", "output", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h",
    "reasoning", "total", "web_searches", "search_units", "input_audio", "output_audio",
)  # fmt: skip
_RANKS: Final = {
    name: (quantity, rank) for quantity, names in COUNTS.items() for rank, name in enumerate(names)
}
_measure: Final = Otel().measure


class Usage(Struct, frozen=True):
    """What a span tells of usage."""

    kinds: Kinds | None = None
    counts: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    source: UsageSource = UsageSource.NONE
    response_id: str | None = None
    reported_cost_pico: int | None = None
    is_by_provider: bool = False
    """Whether the cost stands in the provider's own usage object."""


def usage_of(span: Span, what: What, provider: str, model: str | None, names: list[str]) -> Usage:
    """Return what a span tells of usage.

    Args:
        span: as received.
        what: what it is.
        provider: our name of it.
        model: the model's name.
        names: of its attributes that tell how much was used.
    """
    attributes = span.attributes
    is_plain = (
        provider != "cohere"
        and what.operation != "rerank"
        and "tollbook.dialect" not in attributes
        and "ai.usage.promptTokens" not in attributes
        and not any(name in attributes for name in _DOCUMENTS)
    )
    if is_plain:
        return _plain(span, what.operation, provider, (model or "").lower(), names)
    return _as_ledger(span)


def _plain(span: Span, operation: str, provider: str, model: str, names: list[str]) -> Usage:
    if not names:
        return Usage(notes=("the span tells no usage",))
    problems: list[str] = []
    counts = _counts(span.attributes, names, problems)
    decision = cache_is_within(counts, span.scope_name, provider, model, span.attributes)
    if decision is not None:
        within = "includes" if decision.is_inclusive else "leaves out"
        problems.append(f"the input {within} the cache's tokens: {decision.reason}")
    has_lifetimes = provider in _HAS_LIFETIMES or "claude" in model
    kinds, lacks = kinds_of(counts, decision, has_lifetimes=has_lifetimes, problems=problems)
    if kinds is None:
        problems.append("the span tells no usage")
        return Usage(notes=_notes(problems))
    if operation in _NO_OUTPUT:
        lacks = tuple([side for side in lacks if side != "output"])
    if lacks:
        problems.append(f"the span has no count of the {' and the '.join(lacks)}")
    source = UsageSource.ESTIMATED if lacks else UsageSource.REPORTED
    return Usage(kinds, _shown(counts), _notes(problems), source)


def _counts(attributes: Mapping[str, Any], names: list[str], problems: list[str]) -> Counts:
    """Return the same as ``counts_of``, from the names that are there."""
    counts = Counts()
    ranked = sorted(
        [(rank, quantity, name) for name in names for quantity, rank in (_RANKS[name],)]
        if len(names) > 1
        else [(0, _RANKS[name][0], name) for name in names]
    )
    for _, quantity, name in ranked:
        if getattr(counts, quantity) is not None:
            continue
        value = attributes[name]
        if value is None:
            continue
        count = as_quantity(value)
        if count is None:
            problems.append(f"{name} is not a count; it was not used")
        else:
            setattr(counts, quantity, count)
    return counts


def _as_ledger(span: Span) -> Usage:
    # Ids of other tools (UUIDs, decimal digits) have no part in how much was used.
    known = replace(span, trace_id=_ANY_TRACE, span_id=_ANY_SPAN)
    frames = frames_of(known, span.started_at_ns)
    if len(frames) != _CALL_FRAMES:
        return Usage()
    opened: CallOpened
    closed: CallClosed
    _, opened, closed = frames  # type: ignore[assignment]
    measured = _measure(Call(opened, closed, _NOWHERE))
    is_by_provider = any("the provider's own usage" in one for one in measured.problems)
    answer = NO_ANSWER if opened.operation == INVOKE_AGENT else answer_of(span.attributes)
    return Usage(
        kinds=measured.kinds,
        counts=_shown(_told(span.attributes)),
        notes=_notes(measured.problems),
        source=measured.source,
        response_id=answer.response_id,
        reported_cost_pico=measured.reported_cost_pico,
        is_by_provider=is_by_provider
        and not any("which a tool worked out" in one for one in measured.problems),
    )


def _told(attributes: Mapping[str, Any]) -> Counts:
    details = json_object(attributes.get(LANGFUSE_USAGE))
    if details is not None:
        return langfuse_counts(details, [])
    of_litellm = litellm_counts(attributes.get(LITELLM_USAGE))
    if of_litellm is not None:
        return of_litellm
    return _counts(attributes, [name for name in attributes if name in _RANKS], [])


def _shown(counts: Counts) -> dict[str, int]:
    return {name: n for name in _SHOWN if (n := getattr(counts, name)) is not None}


def _notes(problems: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple([one[:_NOTE_MAX_CHARS] for one in problems[:_NOTES_MAX]])

"""What spans tell of a call beside usage and owner: passes of the provider, sums, operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook.dialects.counts import MAX_COUNT
from tollbook.dialects.otel_names import ANSWER_USAGE, COUNTS, RAW_ELSEWHERE, RAW_USAGE
from tollbook.dialects.otel_raw import json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.audit.facts import CallFact
    from tollbook.capture.otlp.spans import Span

_RAW: Final = tuple(dict.fromkeys((RAW_USAGE, ANSWER_USAGE, *RAW_ELSEWHERE)))
_COUNTED: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
"""Of a pass; disjoint, as Anthropic counts them."""
FETCH: Final = "fetch_response"
_PASSES_MAX: Final = 1000
_OPERATION_MAX_CHARS: Final = 32
_AGGREGATED: Final = "gen_ai.aggregated_usage."
_PLAIN: Final = tuple(
    name
    for quantity in ("input", "output", "total")
    for name in COUNTS[quantity]
    if not name.startswith(_AGGREGATED)
)


def with_told(call: CallFact, span: Span) -> CallFact:
    """Return a call with what else its span tells: operation, passes, whether it is a sum.

    Source of the passes: Anthropic, Compaction and Advisor tool (``usage.iterations``).
    """
    attributes = span.attributes
    told = attributes.get("gen_ai.operation.name")
    operation = None if told == call.operation else _word(told)
    passes, tokens = _passes(attributes)
    is_compacted = attributes.get("gen_ai.conversation.compacted") is True
    is_aggregate = not call.is_call and _is_aggregate(attributes)
    if operation is None and not passes and not is_compacted and not is_aggregate:
        return call  # nearly all: a copy of each would cost
    return replace(
        call,
        told_operation=operation,
        # The provider answers again for nothing (GenAI conventions, fetch_response).
        is_billable=call.is_billable and operation != FETCH,
        passes=passes,
        outside_tokens=max(0, tokens - _told_tokens(call)) if passes else 0,
        is_compacted=is_compacted,
        is_aggregate=is_aggregate,
    )


def _word(value: object) -> str | None:
    """Return a name of an operation; nothing that somebody said."""
    if not isinstance(value, str) or not value.replace("_", "").isalnum():
        return None
    return value[:_OPERATION_MAX_CHARS]


def _is_aggregate(attributes: Mapping[str, Any]) -> bool:
    return any(name.startswith(_AGGREGATED) for name in attributes) and not any(
        name in attributes for name in _PLAIN
    )


def _told_tokens(call: CallFact) -> int:
    """Return all tokens that the counts of a span tell, each once."""
    counts = call.counts
    given = counts.get("input", 0)
    cached = counts.get("cache_read", 0) + counts.get("cache_write", 0)
    is_beside = cached > given or any("leaves out" in note for note in call.usage_notes)
    return given + counts.get("output", 0) + (cached if is_beside else 0)


def _passes(attributes: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many passes the provider's usage lists, and their tokens."""
    for name in _RAW:
        value = attributes.get(name)
        text = value[-1] if isinstance(value, list) and value else value
        if not isinstance(text, str) or '"iterations"' not in text:
            continue
        document = json_object(text)
        listed = document.get("iterations") if document is not None else None
        if isinstance(listed, list):
            passes = [one for one in listed[:_PASSES_MAX] if isinstance(one, dict)]
            return len(passes), sum(_tokens(one) for one in passes)
    return 0, 0


def _tokens(one: Mapping[str, Any]) -> int:
    values = [one.get(name) for name in _COUNTED]
    return sum(
        value
        for value in values
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
    )

"""Calls that two spans tell of: one that is closed when a stream begins, one when it has ended.

Logfire does so: the first has no usage, the second stands beside it and has it. Where the second
does not come, the first is all that is known of the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.audit.facts import SpanFact

CLOSED_EARLY: Final = "later"
"""``CallFact.usage_source`` of a span whose usage another one should tell."""
_SCOPE: Final = "logfire."


def paired(spans: Iterable[SpanFact]) -> dict[str, SpanFact]:
    """Return the span that was closed early by the id of the one that came later.

    Args:
        spans: calls of a trace in the order of their start.
    """
    waiting: dict[tuple[str | None, str], list[SpanFact]] = {}
    found: dict[str, SpanFact] = {}
    for span in spans:
        call = span.call
        if call is None or not call.is_stream or not span.scope.startswith(_SCOPE):
            continue
        beside = span.parent_span_id, span.service
        if call.usage_source == CLOSED_EARLY:
            waiting.setdefault(beside, []).append(span)
        elif waiting.get(beside):
            found[span.span_id] = waiting[beside].pop(0)
    return found


def told_elsewhere(span: SpanFact) -> bool:
    """Whether the span that tells of a call later is in a trace of its own.

    Where nothing is around the call, each of its two spans begins a trace.
    """
    return (
        span.parent_span_id is None
        and span.call is not None
        and span.call.usage_source == CLOSED_EARLY
    )

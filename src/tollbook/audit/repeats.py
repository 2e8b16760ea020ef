"""Calls that may be a retry, a fallback or the same call told again, with nothing that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.audit.facts import CallFact, SpanFact
    from tollbook.audit.trace import Trace


def unclear_repeats(trace: Trace) -> set[str]:
    """Return the ids of the spans of such calls, within one trace.

    Of calls with one id of the provider all but the first are such. So is a call that follows a
    failed one of the same operation under the same parent, unless it says which attempt it is or
    what it repeats.
    """
    calls = trace.calls
    if len(calls) == 1:
        return set()
    found: set[str] = set()
    ids: set[tuple[str, str]] = set()
    by_parent: dict[tuple[str, str], list[SpanFact]] = {}
    for span in calls:
        call = span.call
        if call is None:
            continue
        if call.response_id is not None:
            answer = call.provider, call.response_id
            if answer in ids:
                found.add(span.span_id)
            ids.add(answer)
        parent = trace.parent(span)
        if parent is not None:
            by_parent.setdefault((parent.span_id, call.operation), []).append(span)
    for siblings in by_parent.values():
        if len(siblings) > 1:
            found.update(again.span_id for _, again in _after_failures(siblings))
    return found


def unmarked_retries(trace: Trace) -> Iterator[tuple[SpanFact, SpanFact]]:
    """Yield each failed call with the one that comes next and does not say that it repeats it."""
    by_parent: dict[tuple[str, str], list[SpanFact]] = {}
    for span in trace.calls:
        parent = trace.parent(span)
        if parent is not None and span.call is not None:
            by_parent.setdefault((parent.span_id, span.call.operation), []).append(span)
    for siblings in by_parent.values():
        if len(siblings) > 1:
            yield from _after_failures(siblings)


def _after_failures(siblings: Sequence[SpanFact]) -> Iterator[tuple[SpanFact, SpanFact]]:
    """Yield a failed call and the unmarked one that is next; siblings are in time's order."""
    failed: SpanFact | None = None
    for span in siblings:
        call = span.call
        if call is None:
            continue
        if failed is not None and span.started_at_ns >= failed.ended_at_ns:
            if not _is_marked(call):
                yield failed, span
            failed = None
        if call.is_error:
            failed = span


def _is_marked(call: CallFact) -> bool:
    return not (call.attempt is None and call.retry_of is None and call.fallback_from is None)

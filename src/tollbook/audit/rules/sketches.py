"""A trace as a waterfall of few lines around the place where identity was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Bar, Sketch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.trace import Trace

BARS_MAX: Final = 60
_DEPTH_MAX: Final = 64
_NS_PER_US: Final = 1000


def sketch(trace: Trace, marks: Mapping[str, str], bars_max: int = BARS_MAX) -> Sketch:
    """Return the waterfall of a trace: what is marked, what is around it, then the rest in order.

    Args:
        trace: the trace.
        marks: ids of spans to ``last-seen``, ``first-missing`` or ``affected``.
        bars_max: so many lines at most.
    """
    kept = _kept(trace, marks, bars_max)
    first_ns = min((one.started_at_ns for one in trace.spans if one.started_at_ns), default=0)
    bars: list[Bar] = []
    stack: list[tuple[SpanFact, int, str | None]] = [
        (one, 0, None) for one in reversed(trace.roots)
    ]
    while stack:
        span, depth, above = stack.pop()
        owner = span.tenant or span.process_owner.get("tenant_id") or above
        if span.span_id in kept:
            bars.append(_bar(span, depth, owner, marks.get(span.span_id, ""), first_ns))
        below = trace.children.get(span.span_id, ())
        deeper = min(depth + (span.span_id in kept), _DEPTH_MAX)
        stack.extend((one, deeper, owner) for one in reversed(below))
    return Sketch(trace.trace_id, tuple(bars), len(trace.spans) - len(bars))


def _kept(trace: Trace, marks: Mapping[str, str], bars_max: int) -> set[str]:
    """Return the spans that are drawn: the break first, then what is near it."""
    kept: set[str] = set()
    order = {"last-seen": 0, "first-missing": 1, "affected": 2}
    marked = sorted(
        (one for one in trace.spans if one.span_id in marks),
        key=lambda one: order.get(marks[one.span_id], 3),
    )
    for span in marked:
        for one in (span, *trace.ancestors(span)):
            if len(kept) >= bars_max:
                return kept
            kept.add(one.span_id)
    for span in marked:
        for one in trace.children.get(span.span_id, ()):
            if len(kept) >= bars_max:
                return kept
            kept.add(one.span_id)
    for span in trace.spans:
        if len(kept) >= bars_max:
            return kept
        kept.add(span.span_id)
    return kept


def _bar(span: SpanFact, depth: int, owner: str | None, mark: str, first_ns: int) -> Bar:
    started_ns = span.started_at_ns or first_ns
    return Bar(
        span_id=span.span_id,
        name=span.name,
        service=span.service,
        depth=depth,
        start_us=(started_ns - first_ns) // _NS_PER_US,
        duration_us=max(0, span.ended_at_ns - started_ns) // _NS_PER_US,
        owner=owner,
        is_call=span.call is not None,
        mark=mark,
    )

"""Hits made of spans, as rules tell them."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Hit, SpanRef
from tollbook.audit.rules.catalogue import CATALOGUE
from tollbook.audit.rules.frameworks import recognise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Mode, Severity
    from tollbook.audit.trace import Trace

_EVIDENCE_MAX: Final = 32
_ABOVE_MAX: Final = 200
HITS_MAX: Final = 100
"""Of one rule in one trace, where each looks at all below it: a made-up trace has thousands."""
_TELLING: Final = 4
"""Spans of the evidence that say which framework it is about."""
WHOLE: Final = 1000
"""A factor that changes nothing, in thousandths."""


def ref_of(span: SpanFact) -> SpanRef:
    """Return a span as evidence."""
    return SpanRef(
        trace_id=span.trace_id,
        span_id=span.span_id,
        name=span.name,
        service=span.service,
        scope=span.scope,
        source=str(span.source),
        line=span.line,
    )


def hit_of(
    rule: str,
    title: str,
    place: tuple[str, ...],
    evidence: Sequence[SpanFact],
    *,
    calls: Sequence[SpanFact] | None = None,
    mode: Mode | None = None,
    severity: Severity | None = None,
    factor_millis: int | None = None,
    counted: tuple[int, int | None] | None = None,
    is_cause: bool = False,
    traces: int | None = None,
) -> Hit:
    """Return a hit.

    Args:
        rule: its id; mode and severity are those of the catalogue where none is given.
        title: see :class:`~tollbook.audit.findings.Hit`.
        place: what hits are brought together by.
        evidence: spans that prove it, the first before all others.
        calls: whose number and cost are told; the evidence's first where none are given.
        mode: another than that of the catalogue.
        severity: another than that of the catalogue.
        factor_millis: by how much sums are wrong, in thousandths.
        counted: number and cost in pico of calls that were counted and not kept, instead of
            ``calls``.
        is_cause: whether it says why these calls have no owner.
        traces: in how many traces, where it was counted over all of them.
    """
    entry = CATALOGUE[rule]
    affected = evidence[:1] if calls is None else calls
    costs = [one.call.cost_pico for one in affected if one.call is not None]
    known = [cost for cost in costs if cost is not None]
    number, cost_pico = counted or (len(costs), sum(known) if known else None)
    return Hit(
        mode=mode or entry.mode,
        rule=rule,
        severity=severity or entry.severity,
        title=title,
        place=place,
        span=evidence[0].ref,
        evidence=tuple([ref_of(one) for one in evidence[:_EVIDENCE_MAX]]),
        calls=number,
        cost_pico=cost_pico,
        unpriced_calls=0 if counted else len(costs) - len(known),
        framework=recognise(*evidence[:_TELLING]),
        factor_millis=factor_millis,
        is_cause=is_cause,
        traces=traces,
        free_calls=0
        if counted
        else sum(one.call is not None and not one.call.is_billable for one in affected),
        affected=() if counted else tuple([one.ref for one in affected if one.call is not None]),
    )


def called(span: SpanFact) -> str:
    """Return words for who tells of a call: its instrumentation, or its service."""
    return span.scope or span.service or "an unnamed instrumentation"


@lru_cache(maxsize=1)
def billed_in(trace: Trace) -> frozenset[str]:
    """Return the ids of the spans of a trace that are billed calls; the last trace's are kept."""
    return frozenset([one.span_id for one in trace.calls])


def calls_at(trace: Trace, span: SpanFact) -> list[SpanFact]:
    """Return the billed calls that a span is or that are below it."""
    billed = billed_in(trace)
    return [one for one in (span, *trace.below(span)) if one.span_id in billed]


def above(trace: Trace, span: SpanFact) -> Iterator[SpanFact]:
    """Yield the spans above one, the nearest first; not all of a chain without end."""
    return islice(trace.ancestors(span), _ABOVE_MAX)


def tokens_of(spans: Sequence[SpanFact]) -> int:
    """Return all tokens that spans tell of."""
    return sum(
        one.call.kinds.input_tokens + one.call.kinds.output_tokens
        for one in spans
        if one.call is not None and one.call.kinds is not None
    )


def tenant_of(trace: Trace, span: SpanFact) -> str | None:
    """Return who pays for a span: by itself, the nearest above it, or its process."""
    owned = trace.owner_of(span)
    return None if owned is None else owned.value

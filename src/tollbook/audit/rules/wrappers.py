"""Spans that sum up what is below them: counted again (A06), or not the same sum (A13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.rules.found import WHOLE, billed_in, called, hit_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_WRAPPERS_MAX: Final = 500
"""Of one trace: each is held against all below it."""
_NOT_IN_SUMS: Final = frozenset({"embeddings", "rerank", "image", "speech", "transcription"})
"""Operations that agents do not sum up."""


class Wrappers:
    """A06: a span repeats the usage of spans below it.

    A sum over all spans is then too high by (wrappers + calls) / calls, in tokens. A call above a
    call is two instrumentations at work, or SDK and gateway; an agent's sum is what the conventions
    allow (invoke_agent), and still twice as much for whoever sums up all spans. Sums under names of
    their own (``gen_ai.aggregated_usage.*``) cannot be mistaken and are not told.

    Source: OpenTelemetry GenAI semantic conventions, invoke_agent; strands#1267, phoenix#15793,
    dd-trace-py#18868 and others, which all count twice.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each instrumentation that sums up, in a trace."""
        by_place: dict[tuple[str, str, str], list[tuple[SpanFact, list[SpanFact]]]] = {}
        billed = billed_in(trace)
        for span in trace.wrappers[:_WRAPPERS_MAX]:
            if span.call is None or span.call.is_aggregate or not tokens_of([span]):
                continue
            below = [
                one
                for one in trace.below(span)
                if one.span_id in billed and one.call is not None and one.call.kinds is not None
            ]
            if below:
                place = ("call" if span.call.is_call else "sum", called(span), called(below[0]))
                by_place.setdefault(place, []).append((span, below))
        for place, found in by_place.items():
            yield _wrapped(place, found)


def _wrapped(place: tuple[str, str, str], found: list[tuple[SpanFact, list[SpanFact]]]) -> Hit:
    wrappers = [span for span, _ in found]
    calls = {one.span_id: one for _, below in found for one in below}
    told = tokens_of(list(calls.values()))
    factor = (tokens_of(wrappers) + told) * WHOLE // told if told else None
    how, outer, inner = place
    if how == "sum":
        title = f"{outer} sums up, in its own spans, the usage that {inner} tells of each call"
    elif outer == inner:
        title = f"{outer} tells of one call in two spans, one above the other"
    else:
        title = f"{outer} and {inner} both tell of the same calls"
    return hit_of(
        "A06",
        title,
        place,
        [wrappers[0], *calls.values(), *wrappers[1:]],
        calls=list(calls.values()),
        severity=Severity.WARNING if how == "sum" else Severity.ERROR,
        factor_millis=factor,
    )


class AgentSums:
    """A13: an agent's sum of tokens is more than the calls below it: some of these are missing.

    A lower sum is not told: an agent need not know what its tools asked of models, and some keep
    the usage of the last call only. Input is compared without the cache, about which
    instrumentations differ.

    Source: OpenTelemetry GenAI semantic conventions, invoke_agent.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each agent whose sum is higher."""
        billed = billed_in(trace)
        for span in trace.wrappers[:_WRAPPERS_MAX]:
            if span.call is None or span.call.is_call or span.call.kinds is None:
                continue
            below = [one for one in trace.below(span) if one.span_id in billed]
            told = [one for one in below if _is_summed(one)]
            if any(one.call is not None and one.call.kinds is None for one in below):
                continue  # what a call does not tell is told as that; the sum must differ
            kinds = span.call.kinds
            lacking_in = max(0, kinds.uncached_input_tokens - _input(told))
            lacking_out = max(0, kinds.output_tokens - _output(told))
            if told and (lacking_in or lacking_out):
                yield hit_of(
                    "A13",
                    f"The sum that {called(span)} tells of an agent is higher than all calls below"
                    " it: calls are missing",
                    (called(span), span.service),
                    [span, *told[:4]],
                    calls=[span],
                    factor_millis=tokens_of([span]) * WHOLE // max(1, tokens_of(told)),
                )


def _is_summed(span: SpanFact) -> bool:
    return (
        span.call is not None
        and span.call.kinds is not None
        and span.call.operation not in _NOT_IN_SUMS
    )


def _input(spans: list[SpanFact]) -> int:
    return sum(one.call.kinds.input_tokens for one in spans if one.call and one.call.kinds)


def _output(spans: list[SpanFact]) -> int:
    return sum(one.call.kinds.output_tokens for one in spans if one.call and one.call.kinds)

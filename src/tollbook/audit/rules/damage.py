"""Traces with holes, circles and ids that occur twice (A31)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.rules.found import HITS_MAX, called, calls_at, hit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_SPANS_MAX: Final = 20_000
"""A trace with more is looked at in parts, which have holes of themselves."""
_ENTRY_KINDS: Final = frozenset({2, 5})
"""Server and consumer: what called them may be somebody else's."""


class Damage:
    """A31: holes above calls without an owner, circles, and different spans with one id.

    A parent that is missing matters where the tenant may be on it; above a server span it is the
    caller, who need not be among what was exported.

    Source: OpenTelemetry specification, trace API: span ids are unique within a trace.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each damage at or above calls."""
        return islice(self._check(trace), HITS_MAX)

    @staticmethod
    def _check(trace: Trace) -> Iterator[Hit]:
        if not trace.calls or not trace.calls[0].has_trace or len(trace.spans) >= _SPANS_MAX:
            return
        for span in trace.orphans:
            if span.kind not in _ENTRY_KINDS:
                yield from _hole(trace, span)
        for span in trace.cyclic:
            yield hit_of(
                "A31",
                f"Spans of {called(span)} are above themselves",
                ("circle", called(span), span.service),
                [span],
                calls=calls_at(trace, span),
            )
        for again in trace.repeated:
            first = trace.by_id[again.span_id]
            if (first.name, first.service, first.call) != (again.name, again.service, again.call):
                yield hit_of(
                    "A31",
                    f"{called(first)} and {called(again)} gave one id to different spans"
                    if called(first) != called(again)
                    else f"{called(first)} gave one id to different spans",
                    ("id", called(first), called(again)),
                    [first, again],
                    calls=[one for one in (first, again) if one.call is not None],
                )


def _hole(trace: Trace, span: SpanFact) -> Iterator[Hit]:
    lost = [one for one in calls_at(trace, span) if trace.payer_of(one) is None]
    if lost:
        yield hit_of(
            "A31",
            f"What is above spans of {called(span)} in {span.service or 'a service'} is missing,"
            " and their calls have no tenant",
            ("hole", called(span), span.service, span.name),
            [span, *[one for one in lost if one is not span][:3]],
            calls=lost,
            severity=Severity.WARNING,
        )

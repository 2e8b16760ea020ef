"""Times that contradict each other (A28)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.audit.findings import Severity
from tollbook.audit.rules.found import HITS_MAX, called, calls_at, hit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_NS_PER_S: Final = clock.NS_PER_S
_TOLERANCE_NS: Final = 50_000_000
"""Clocks that are kept in step by NTP differ by a few milliseconds."""
_GRAVE_NS: Final = _NS_PER_S
_OLDEST_NS: Final = 1_577_836_800 * _NS_PER_S
"""2020-01-01: no price is known from before, and a clock that was never set says 1970."""
_SERVER: Final = 2


class Times:
    """A28: spans that end before they begin, or begin before what caused them, or are undated.

    Clocks of different services are compared alone: within a process a span may be written with
    any time. A server span that begins after its client's end is skew as well; jobs may outlive
    what started them.

    Source: W3C Trace Context does not order clocks; a call's price and day are those of its time.
    """

    def __init__(self) -> None:
        self._latest_ns = clock.unix_ns() + 24 * 3600 * _NS_PER_S

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each such span at or above a call."""
        return islice(self._check(trace), HITS_MAX)

    def _check(self, trace: Trace) -> Iterator[Hit]:
        if not trace.calls:
            return
        for span in trace.spans:
            if not span.started_at_ns:
                continue
            if span.call is not None and not _OLDEST_NS <= span.started_at_ns <= self._latest_ns:
                yield self._hit(
                    trace, span, f"Times of {span.service or called(span)} are not of our days",
                    ("dates", span.service),
                )  # fmt: skip
            elif 0 < span.ended_at_ns < span.started_at_ns:
                yield self._hit(
                    trace, span, f"Spans of {called(span)} end before they begin",
                    ("ends", called(span), span.service),
                )  # fmt: skip
            else:
                yield from self._skew(trace, span)

    def _skew(self, trace: Trace, span: SpanFact) -> Iterator[Hit]:
        parent = trace.parent(span)
        if parent is None or not parent.started_at_ns or parent.service == span.service:
            return
        apart_ns = parent.started_at_ns - span.started_at_ns
        if apart_ns <= _TOLERANCE_NS and span.kind == _SERVER and parent.ended_at_ns:
            apart_ns = span.started_at_ns - parent.ended_at_ns
        if apart_ns > _TOLERANCE_NS:
            yield hit_of(
                "A28",
                f"Clocks of {parent.service or 'a service'} and {span.service or 'a service'}"
                " are not in step",
                ("skew", *sorted((parent.service, span.service))),
                [span, parent],
                calls=calls_at(trace, span),
                severity=Severity.WARNING if apart_ns >= _GRAVE_NS else Severity.NOTE,
            )

    @staticmethod
    def _hit(trace: Trace, span: SpanFact, title: str, place: tuple[str, ...]) -> Hit:
        return hit_of("A28", title, place, [span], calls=calls_at(trace, span))

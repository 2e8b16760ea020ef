"""The calls of a trace that nobody owns, and those that are owned by a span above them only."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.audit.kept.owners import PAYERS, says_payer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Mode, Severity
    from tollbook.audit.trace import Owned, Trace

HOPS_MAX: Final = 256
"""Spans above a call that are looked at one by one; what is higher is not the place of a break."""
_NEAR: Final = 256
EMBEDDINGS: Final = frozenset({"embeddings", "rerank", "retrieval"})


class Break(NamedTuple):
    """Where identity was lost, and how."""

    mode: Mode
    crossing: str
    """See :class:`~tollbook.audit.findings.Hop`."""
    last_seen: SpanFact | None
    first_missing: SpanFact
    title: str
    severity: Severity
    rule: str = "A01"


class Lost(NamedTuple):
    """A call without an owner."""

    call: SpanFact
    entry: SpanFact
    """The topmost span above it, or itself."""
    path: tuple[SpanFact, ...]
    """From the call up, :data:`HOPS_MAX` at most."""


class View:
    """What the rules on owners ask of a trace; made once for all of them.

    Args:
        trace: the trace.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.lost: list[Lost] = []
        self.inherited: list[tuple[SpanFact, Owned]] = []
        """Calls with who pays by a span above them, which is not the call itself."""
        self.breaks: dict[str, Break | None] = {}
        """Of calls without an owner, by their ids; kept since several rules ask."""
        for call in trace.calls:
            owned = trace.payer_of(call)
            if owned is None:
                path = tuple(_upwards(trace, call))
                self.lost.append(Lost(call, trace.entry_of(call), path))
            elif owned.distance:
                self.inherited.append((call, owned))

    @cached_property
    def named(self) -> list[SpanFact]:
        """Spans that say themselves who pays, in the order of their start."""
        return [one for one in self.trace.spans if says_payer(one)]

    @cached_property
    def orphans(self) -> frozenset[str]:
        """Ids of spans whose parent is named and did not come."""
        return frozenset(one.span_id for one in self.trace.orphans)

    @cached_property
    def copies(self) -> bool:
        """Whether identity is copied from span to span here: one that says it is below another."""
        for span in self.named:
            above = self.trace.parent(span)
            if above is not None and says_payer(above):
                return True
        return False

    def nearest_named(self, span: SpanFact, kind: int | None = None) -> SpanFact | None:
        """Return the span that says who pays nearest before one: around it, else before it.

        Args:
            span: where it is missing.
            kind: SpanKind of OTLP of those that are taken before others.
        """
        at = bisect_right(self._starts, span.started_at_ns)
        near = self.named[max(0, at - _NEAR) : at] or self.named[:1]
        around = [one for one in near if one.ended_at_ns >= span.ended_at_ns]
        for some in (around, near):
            of_kind = [one for one in some if one.kind == kind] if kind is not None else some
            if of_kind:
                return of_kind[-1]
        some = around or near
        return some[-1] if some else None

    @cached_property
    def above_named(self) -> frozenset[str]:
        """Ids of the spans that say who pays, and of those above them."""
        found: set[str] = set()
        for span in self.named:
            found.add(span.span_id)
            for above in self.trace.ancestors(span):
                if above.span_id in found:
                    break
                found.add(above.span_id)
        return frozenset(found)

    @cached_property
    def bare_streams(self) -> list[SpanFact]:
        """Streams with an owner that tell no usage."""
        return [
            one
            for one in self.trace.calls
            if one.call is not None
            and one.call.is_stream
            and one.call.kinds is None
            and self.trace.payer_of(one) is not None
        ]

    @cached_property
    def _starts(self) -> list[int]:
        return [one.started_at_ns for one in self.named]


class Views:
    """Makes the view of a trace once, for the rules that look at it one after the other."""

    def __init__(self) -> None:
        self._last: View | None = None

    def of(self, trace: Trace) -> View:
        """Return the view of a trace."""
        if self._last is None or self._last.trace is not trace:
            self._last = View(trace)
        return self._last


def shows_payer(span: SpanFact) -> bool:
    """Whether a span shows who pays as baggage or in a header, and not as an attribute."""
    return bool(span.baggage) and any(field in span.baggage for field in PAYERS)


def operation_of(span: SpanFact) -> str:
    """Return the operation of a call, empty for another span."""
    return "" if span.call is None else span.call.operation


def where(span: SpanFact) -> str:
    """Return words for the service of a span."""
    return span.service or span.scope or "an unnamed service"


def _upwards(trace: Trace, span: SpanFact) -> Iterator[SpanFact]:
    yield span
    for at, above in enumerate(trace.ancestors(span), 1):
        if at >= HOPS_MAX:
            return
        yield above

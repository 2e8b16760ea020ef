"""The spans of one trace as a tree, however damaged, and whose each of them is."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from tollbook.audit.later import paired, told_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.audit.facts import SpanFact


class Owned(NamedTuple):
    """A field of the owner, and the span that says it."""

    value: str
    span: SpanFact
    distance: int
    """0 is the span itself, 1 its parent."""


class Trace:
    """A trace.

    Args:
        spans: all spans that have its id, in any order; of several with one span id the first is
            kept and the others are in :attr:`repeated`.

    Parents that are missing make a span a root; of a cycle the span that began first is one.
    """

    def __init__(self, spans: Sequence[SpanFact]) -> None:
        self.trace_id = spans[0].trace_id
        self.by_id: dict[str, SpanFact] = {}
        self.repeated: list[SpanFact] = []
        for span in spans:
            if self.by_id.setdefault(span.span_id, span) is not span:
                self.repeated.append(span)
        self.spans = sorted(self.by_id.values(), key=_order)
        self.orphans: list[SpanFact] = []
        """Spans whose parent is named and is not among the spans."""
        self.cyclic: list[SpanFact] = []
        """Spans that were their own ancestors; each is taken for a root."""
        self._parents: dict[str, SpanFact | None] = {}
        self.children: dict[str, list[SpanFact]] = {}
        self._owned: dict[str, dict[str, Owned | None]] = {}
        self._entries: dict[str, SpanFact] = {}
        self._connect()

    def _connect(self) -> None:
        for span in self.spans:
            parent_id = span.parent_span_id
            parent = self.by_id.get(parent_id) if parent_id is not None else None
            if parent_id is not None and parent is None:
                self.orphans.append(span)
            self._parents[span.span_id] = parent
        self._cut_cycles()
        for span in self.spans:
            parent = self._parents[span.span_id]
            if parent is not None:
                self.children.setdefault(parent.span_id, []).append(span)

    def _cut_cycles(self) -> None:
        done: set[str] = set()
        for span in self.spans:
            path: set[str] = set()
            at: SpanFact | None = span
            while at is not None and at.span_id not in done:
                if at.span_id in path:
                    self.cyclic.append(at)
                    self._parents[at.span_id] = None
                    break
                path.add(at.span_id)
                at = self._parents[at.span_id]
            done |= path

    @cached_property
    def roots(self) -> list[SpanFact]:
        """Spans without a parent here, the earliest first."""
        return [span for span in self.spans if self._parents[span.span_id] is None]

    def parent(self, span: SpanFact) -> SpanFact | None:
        """Return the parent, if it is here."""
        return self._parents[span.span_id]

    def ancestors(self, span: SpanFact) -> Iterator[SpanFact]:
        """Yield the parent, its parent, and so on."""
        at = self._parents[span.span_id]
        while at is not None:
            yield at
            at = self._parents[at.span_id]

    def below(self, span: SpanFact) -> Iterator[SpanFact]:
        """Yield all spans below one, parents before children."""
        waiting = list(reversed(self.children.get(span.span_id, ())))
        while waiting:
            one = waiting.pop()
            yield one
            waiting.extend(reversed(self.children.get(one.span_id, ())))

    def owner_of(self, span: SpanFact, field: str = "tenant_id") -> Owned | None:
        """Return what the nearest of a span and its ancestors says of a field.

        What the process says in its resource counts for each of its spans, after what the span
        itself says; the ledger reads it so too.
        """
        known = self._owned.setdefault(field, {})
        path: list[SpanFact] = []
        at: SpanFact | None = span
        found: Owned | None = None
        while at is not None:
            if at.span_id in known:
                found = known[at.span_id]
                break
            value = at.owner.get(field) or at.process_owner.get(field)
            if value is not None:
                found = known[at.span_id] = Owned(value, at, 0)
                break
            path.append(at)
            at = self._parents[at.span_id]
        for one in reversed(path):
            if found is not None:
                found = Owned(found.value, found.span, found.distance + 1)
            known[one.span_id] = found
        return found

    def payer_of(self, span: SpanFact) -> Owned | None:
        """Return who pays by a span and its ancestors: the tenant, else the team."""
        return self.owner_of(span) or self.owner_of(span, "team_id")

    def entry_of(self, span: SpanFact) -> SpanFact:
        """Return the topmost of a span and its ancestors."""
        path: list[str] = []
        at = span
        while at.span_id not in self._entries:
            path.append(at.span_id)
            above = self._parents[at.span_id]
            if above is None:
                self._entries[at.span_id] = at
                break
            at = above
        entry = self._entries[at.span_id]
        self._entries.update(dict.fromkeys(path, entry))
        return entry

    @cached_property
    def closed_early(self) -> dict[str, SpanFact]:
        """Spans that were closed when a stream began, by the id of the one that told it later."""
        return paired(self.spans)

    @cached_property
    def calls(self) -> list[SpanFact]:
        """The calls that are billed: those with no call below them that tells of usage too.

        A span that sums up what is below it is a wrapper (otel.md, double counting: bill leaves);
        a summing span with nothing below it stands for the calls that are missing.
        """
        again = {one.span_id for one in self.closed_early.values()}
        told = [
            one
            for one in self.spans
            if one.call is not None and one.span_id not in again and not told_elsewhere(one)
        ]
        covered: set[str] = set()
        for one in told:
            assert one.call is not None
            if one.call.is_call or one.call.kinds is not None:  # as the ledger has it
                for up in self.ancestors(one):
                    if up.span_id in covered:
                        break  # and so is all above it
                    covered.add(up.span_id)
        return [
            one
            for one in told
            if one.call is not None
            and one.span_id not in covered
            and (one.call.is_call or one.call.kinds is not None)
        ]

    @cached_property
    def wrappers(self) -> list[SpanFact]:
        """Spans that tell of usage which calls below them tell too."""
        billed = {one.span_id for one in self.calls}
        return [
            one
            for one in self.spans
            if one.call is not None and one.call.kinds is not None and one.span_id not in billed
        ]


def _order(span: SpanFact) -> tuple[int, str]:
    return span.started_at_ns, span.span_id

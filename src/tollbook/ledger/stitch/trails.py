"""The spans around calls: who is within whom, and who said what of the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.call import Identity
    from tollbook.ledger.stitch.sight import Sight, SpanKey

HOPS_MAX: Final = 256
"""Spans above a call that are looked at; deeper agents exist, endless ones do too."""


class Span(NamedTuple):
    """What is known of a span."""

    parent: SpanKey | None
    identity: Identity | None = None
    seen_us: int = 0
    links: tuple[SpanKey, ...] = ()


class Trails:
    """Spans by trace and span id; calls that are spans are among them."""

    def __init__(self, spans: dict[SpanKey, Span], sights: Iterable[Sight]) -> None:
        self._spans = dict(spans)
        self.calls: dict[SpanKey, list[Sight]] = {}
        """Calls by the span that they are."""
        for one in sights:
            key = one.own_span
            if key is None:
                continue
            self.calls.setdefault(key, []).append(one)
            if key not in self._spans:
                self._spans[key] = Span(one.parent_span)

    def reaches_root(self, key: SpanKey) -> bool:
        """Whether all spans around a span have come, up to one that nothing is around."""
        *_, last = self.upwards(key)
        span = self._spans.get(last)
        return span is not None and span.parent is None

    def spans(self) -> Iterable[tuple[SpanKey, Span]]:
        """Return all spans that are known."""
        return self._spans.items()

    def get(self, key: SpanKey) -> Span | None:
        """Return what is known of a span."""
        return self._spans.get(key)

    def upwards(self, key: SpanKey | None) -> Iterator[SpanKey]:
        """Yield a span and those around it, the nearest first; a circle is left where it closes."""
        passed: set[SpanKey] = set()
        while key is not None and key not in passed and len(passed) < HOPS_MAX:
            yield key
            passed.add(key)
            span = self._spans.get(key)
            key = None if span is None else span.parent

    def lineage(self, key: SpanKey | None) -> Iterator[SpanKey]:
        """Yield as :meth:`upwards`, then the spans that caused those: links to other traces."""
        passed: set[SpanKey] = set()
        starts = [] if key is None else [key]
        while starts:
            chain = [one for one in self.upwards(starts.pop(0)) if one not in passed]
            for one in chain:
                passed.add(one)
                yield one
                if len(passed) >= HOPS_MAX:
                    return
            starts += [
                link
                for one in chain
                if (span := self._spans.get(one)) is not None
                for link in span.links
                if link not in passed
            ]

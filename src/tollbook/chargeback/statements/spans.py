"""Spans of time, ``[start, end)`` in nanoseconds: what is claimed already and what is left."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """From the first nanosecond to the first that is no longer in it."""

    start_ns: int
    end_ns: int


class Claims:
    """Disjoint spans, sorted."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def free(self, wanted: Span) -> list[Span]:
        """Return the parts of a span that nobody has claimed."""
        left = []
        at = wanted.start_ns
        for start, end in self.spans:
            if end <= at:
                continue
            if start >= wanted.end_ns:
                break
            if start > at:
                left.append(Span(at, start))
            at = max(at, end)
        if at < wanted.end_ns:
            left.append(Span(at, wanted.end_ns))
        return left

    def taken(self, wanted: Span) -> list[Span]:
        """Return the parts of a span that are claimed."""
        return [
            Span(max(start, wanted.start_ns), min(end, wanted.end_ns))
            for start, end in self.spans
            if start < wanted.end_ns and end > wanted.start_ns
        ]

    def claim(self, wanted: Span) -> None:
        """Claim a span, whoever had it."""
        start, end = wanted
        apart = []
        for one in self.spans:
            if one.end_ns < start or one.start_ns > end:
                apart.append(one)
            else:
                start, end = min(start, one.start_ns), max(end, one.end_ns)
        self.spans = sorted([*apart, Span(start, end)])

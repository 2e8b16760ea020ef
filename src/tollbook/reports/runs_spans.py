"""The spans of some traces and what is above what; no circle of parents is left in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tollbook.reports.runs_rows import SpanKey, SpanRow


class SpanGraph:
    """Spans by id. A circle of parents is open above the span of it that began first."""

    def __init__(self, spans: Iterable[SpanRow]) -> None:
        self.spans: dict[SpanKey, SpanRow] = {one.key: one for one in spans}
        self.cut = _cycle_ends(self.spans)
        """Spans whose parent does not count."""

    def above(self, key: SpanKey) -> SpanKey | None:
        """Return the id of the span above, known or not; None at the top."""
        parent = self.spans[key].parent_span_id
        return None if parent is None or key in self.cut else (key[0], parent)

    def parent(self, key: SpanKey) -> SpanKey | None:
        """Return the span above, if it is known."""
        above = self.above(key)
        return above if above in self.spans else None

    def naming(self, field: str, wanted: str) -> set[SpanKey]:
        """Return the spans that name an owner, and all below them."""
        answer: dict[SpanKey, bool] = {}
        for key in self.spans:
            path, at = [], key
            while at not in answer:
                path.append(at)
                above = self.parent(at)
                if self.spans[at].said(field) == wanted or above is None:
                    answer[at] = self.spans[at].said(field) == wanted
                    break
                at = above
            for one in path:
                answer[one] = answer[at]
        return {key for key, is_within in answer.items() if is_within}

    def depths(self) -> dict[SpanKey, int]:
        """Return how many known spans are above each."""
        depths: dict[SpanKey, int] = {}
        for key in self.spans:
            path, at = [], key
            while at not in depths:
                path.append(at)
                above = self.parent(at)
                if above is None:
                    depths[at] = 0
                    break
                at = above
            depth = depths[at]
            for one in reversed(path):
                if one != at:
                    depth += 1
                    depths[one] = depth
        return depths


def _cycle_ends(spans: Mapping[SpanKey, SpanRow]) -> set[SpanKey]:
    """Return of each circle of parents the span that began first; its parent does not count."""
    done: set[SpanKey] = set()
    ends: set[SpanKey] = set()
    for start in spans:
        path: dict[SpanKey, int] = {}
        at: SpanKey | None = start
        while at is not None and at in spans and at not in done:
            if at in path:
                circle = list(path)[path[at] :]
                ends.add(min(circle, key=lambda key: (spans[key].started_at, key)))
                break
            path[at] = len(path)
            above = spans[at].parent_span_id
            at = None if above is None else (at[0], above)
        done.update(path)
    return ends

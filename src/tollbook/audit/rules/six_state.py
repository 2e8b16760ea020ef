"""What the rules on owners share in one audit; bounded, whatever is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.rules.hops import Drawn
from tollbook.audit.rules.lost import Views
from tollbook.audit.rules.pending import Pending
from tollbook.audit.rules.sketches import sketch

if TYPE_CHECKING:
    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Sketch
    from tollbook.audit.rules.lost import Lost
    from tollbook.audit.trace import Trace

_SKETCHES_MAX: Final = 500


class State:
    """Views of the trace that is looked at, calls that wait for a cause, waterfalls."""

    def __init__(self) -> None:
        self.views = Views()
        self.drawn = Drawn()
        self.pending = Pending()
        self._sketches: dict[str, Sketch] = {}

    def keep_sketch(self, trace: Trace, lost: Lost) -> None:
        """Draw a trace whose calls may turn out to be lost at its entry; the first of its kind."""
        entry = lost.entry
        if len(self._sketches) >= _SKETCHES_MAX or not self.drawn.is_first(
            "entry", entry.service, entry.name
        ):
            return
        marks = {one.call.span_id: "affected" for one in self.views.of(trace).lost}
        self._sketches[entry.ref] = sketch(trace, marks | {entry.span_id: "first-missing"})

    def sketch_of(self, entry: SpanFact) -> Sketch | None:
        """Return the waterfall of the trace of an entry, if it was drawn."""
        return self._sketches.get(entry.ref)

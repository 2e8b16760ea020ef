"""The six usual ways in which a call loses its owner, and calls that lost it otherwise.

Each billed call without an owner gets one cause: by other spans of its trace
(:mod:`tollbook.audit.rules.six_within`), else by the trace that caused it
(:mod:`tollbook.audit.rules.six_across`), else by what all calls of its service and key have in
common (:mod:`tollbook.audit.rules.six_never`). A call has an owner where it or a span above it says
who pays, tenant or team; that is how the ledger reads a trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.audit.rules.hops import draw, hit_at
from tollbook.audit.rules.six_across import AcrossTraces
from tollbook.audit.rules.six_inherited import inherited
from tollbook.audit.rules.six_never import NeverNamed
from tollbook.audit.rules.six_state import State
from tollbook.audit.rules.six_streams import streams_without_usage
from tollbook.audit.rules.six_within import break_within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.findings import Hit
    from tollbook.audit.settings import AuditSettings
    from tollbook.audit.trace import Trace


class WithinTrace:
    """Finds what one trace tells by itself.

    Args:
        state: what the rules on owners share.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield the causes that the trace tells, what is inherited only, and bare streams."""
        view, drawn = self._state.views.of(trace), self._state.drawn
        for lost in view.lost:
            one = break_within(view, lost)
            if one is not None:
                calls = [lost.call]
                yield hit_at(one, calls, is_cause=True, drawn=draw(trace, one, calls, drawn))
        if view.inherited:
            yield from inherited(view, drawn)
        yield from streams_without_usage(trace, drawn)


def rules(settings: AuditSettings) -> list[Any]:
    """Return the rules of this module."""
    del settings
    state = State()
    return [WithinTrace(state), AcrossTraces(state), NeverNamed(state)]

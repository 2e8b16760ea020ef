"""Defensibility: for each call what a charge needs, and the dollars of those that lack it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.audit.report import Defensibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace


class Scoring:
    """Counts calls."""

    def __init__(self) -> None:
        self._calls = 0

    def observe(self, trace: Trace, causes: Mapping[str, str]) -> None:
        """Count the calls of a trace.

        Args:
            trace: the trace, its calls priced.
            causes: for calls without an owner (``trace_id:span_id``) the mode that says why.
        """
        del causes
        self._calls += len(trace.calls)

    def book(self, hit: Hit) -> None:
        """Book calls whose cause is known only when everything was seen.

        ``hit.calls`` calls without an owner, of ``hit.cost_pico`` and ``hit.unpriced_calls``, were
        observed with no cause; it is ``hit.mode``.
        """
        del hit

    def result(self) -> Defensibility:
        """Return the score."""
        return Defensibility(score_millis=0, formula="", criteria=(), calls=self._calls,
                             defensible_calls=0, cost_pico=0, unpriced_calls=0, at_risk_pico=0,
                             at_risk=())  # fmt: skip

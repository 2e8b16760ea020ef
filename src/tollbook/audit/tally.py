"""Hits to findings: counted exactly, with some of the evidence."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from tollbook.audit.findings import Finding, Severity

if TYPE_CHECKING:
    from tollbook.audit.findings import Hit, SpanRef

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


class _Open:
    """A finding while hits come in."""

    def __init__(self, first: Hit, finding_id: str) -> None:
        self.first = first
        self.finding_id = finding_id
        self.severity = first.severity
        self.hits = self.calls = self.cost_pico = self.unpriced_calls = self.traces = 0
        self.factor_millis: int | None = None
        self.evidence: list[SpanRef] = []
        self.last_trace = ""
        self.sketch = first.sketch


class Tally:
    """Brings hits together by mode, rule and place.

    Args:
        evidence_max: so many spans are kept of each finding.
        findings_max: places beyond so many are counted together, under the rule alone.
    """

    def __init__(self, evidence_max: int = 20, findings_max: int = 2000) -> None:
        self._evidence_max = evidence_max
        self._findings_max = findings_max
        self._open: dict[tuple[str, ...], _Open] = {}

    def add(self, hit: Hit) -> str:
        """Count a hit; return the id of its finding."""
        key: tuple[str, ...] = (hit.mode.value, hit.rule, *hit.place)
        one = self._open.get(key)
        if one is None and len(self._open) >= self._findings_max:
            key = (hit.mode.value, hit.rule, "further places")
            one = self._open.get(key)
        if one is None:
            one = self._open[key] = _Open(hit, _id_of(key))
        one.hits += 1
        one.calls += hit.calls
        one.unpriced_calls += hit.unpriced_calls
        if hit.cost_pico is not None:
            one.cost_pico += hit.cost_pico
        if _RANK[hit.severity] < _RANK[one.severity]:
            one.severity = hit.severity
        trace_id = hit.span.partition(":")[0]
        if hit.traces is not None:
            one.traces += hit.traces
        elif trace_id != one.last_trace:  # traces come one after the other
            one.traces += 1
            one.last_trace = trace_id
        if hit.factor_millis is not None:
            one.factor_millis = max(one.factor_millis or 0, hit.factor_millis)
        if one.sketch is None:
            one.sketch = hit.sketch
        room = self._evidence_max - len(one.evidence)
        one.evidence.extend(hit.evidence[:room])
        return one.finding_id

    def findings(self) -> list[Finding]:
        """Return what was found, the gravest and dearest first."""
        found = [_finding(one) for one in self._open.values()]
        found.sort(
            key=lambda one: (_RANK[one.severity], -one.cost_pico, -one.calls, one.finding_id)
        )
        return found


def _id_of(key: tuple[str, ...]) -> str:
    return sha256("\0".join(key).encode(errors="replace")).hexdigest()[:12]


def _finding(one: _Open) -> Finding:
    first = one.first
    return Finding(
        finding_id=one.finding_id,
        mode=first.mode,
        rule=first.rule,
        severity=one.severity,
        title=first.title,
        evidence=tuple(one.evidence),
        hits=one.hits,
        traces=one.traces,
        calls=one.calls,
        cost_pico=one.cost_pico,
        unpriced_calls=one.unpriced_calls,
        hop=first.hop,
        is_cause=first.is_cause,
        framework=first.framework,
        factor_millis=one.factor_millis,
        sketch=one.sketch,
    )

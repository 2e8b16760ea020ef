"""Hits that name a hop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.audit.findings import Hop, Mode
from tollbook.audit.rules.found import hit_of, ref_of
from tollbook.audit.rules.frameworks import AGENTS, CLIENTS, GATEWAYS, JOBS, WEB, recognise
from tollbook.audit.rules.sketches import sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit, Sketch
    from tollbook.audit.rules.lost import Break
    from tollbook.audit.trace import Trace

_TELLING: Final = {
    Mode.HEADER_STRIPPING: (*WEB, *GATEWAYS),
    Mode.BACKGROUND_JOBS: (*JOBS, *WEB),
    Mode.STREAMING: (*CLIENTS, *AGENTS),
    Mode.AGENT_RECURSION: AGENTS,
    Mode.EMBEDDINGS_RETRIEVAL: (*AGENTS, *CLIENTS),
    Mode.SINGLE_KEY: (*GATEWAYS, *WEB, *CLIENTS),
}
"""For each mode the kinds of framework whose change would mend it."""
_PLACES_MAX: Final = 2000


def place_of(one: Break) -> tuple[str, ...]:
    """Return what hits of one break have in common."""
    first, last = one.first_missing, one.last_seen
    before = ("", "") if last is None else (last.service, last.name)
    return one.crossing, *before, first.service, first.name


def hit_at(
    one: Break,
    calls: Sequence[SpanFact],
    *,
    is_cause: bool,
    drawn: Sketch | None = None,
) -> Hit:
    """Return the hit of a break.

    Args:
        one: where and how identity was lost.
        calls: the calls that it concerns; the first of them stands for all.
        is_cause: whether they have no owner because of it.
        drawn: the waterfall, where one was made.
    """
    evidence: list[SpanFact] = [calls[0]]
    for span in (one.last_seen, one.first_missing):
        if span is not None and all(span.ref != had.ref for had in evidence):
            evidence.append(span)
    evidence += calls[1:]
    hit = hit_of(
        one.rule, one.title, place_of(one), evidence,
        calls=calls, mode=one.mode, severity=one.severity,
    )  # fmt: skip
    hop = Hop(
        None if one.last_seen is None else ref_of(one.last_seen),
        ref_of(one.first_missing),
        one.crossing,
    )
    return replace(
        hit, hop=hop, framework=framework_of(one, calls[0]), sketch=drawn, is_cause=is_cause
    )


def framework_of(one: Break, call: SpanFact) -> str:
    """Return the framework whose change would mend a break."""
    spans = (one.first_missing, one.last_seen, call)
    found = recognise(*spans, among=_TELLING.get(one.mode, ()))
    # What lost an agent's context is the agent's framework or nobody's, never the model's client.
    return found or ("" if one.mode is Mode.AGENT_RECURSION else recognise(*spans))


class Drawn:
    """Says for which hits a waterfall is drawn: the first of each place, since it takes time."""

    def __init__(self) -> None:
        self._places: set[tuple[str, ...]] = set()

    def is_first(self, *place: str) -> bool:
        """Whether nothing was drawn of a place yet; it is then taken as drawn."""
        if place in self._places or len(self._places) >= _PLACES_MAX:
            return False
        self._places.add(place)
        return True


def draw(trace: Trace, one: Break, calls: Sequence[SpanFact], drawn: Drawn) -> Sketch | None:
    """Return the waterfall of a break, None where its place has one."""
    if not drawn.is_first(one.mode.value, *place_of(one)):
        return None
    marks = dict.fromkeys([call.span_id for call in calls], "affected")
    marks[one.first_missing.span_id] = "first-missing"
    if one.last_seen is not None:
        marks[one.last_seen.span_id] = "last-seen"
    return sketch(trace, marks)

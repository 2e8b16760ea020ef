"""Where identity was lost between two traces: the call's trace never says who pays, another does.

The two sides are brought together by :mod:`tollbook.audit.rules.across_keys`. What is not found is
handed to the rule that counts (:mod:`tollbook.audit.rules.six_never`).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.audit.findings import Severity
from tollbook.audit.rules.across_keys import (
    CALL,
    ENTRY,
    NAMED,
    NAMELESS,
    entry_keys,
    lost_facts,
    other_sides,
)
from tollbook.audit.rules.hops import hit_at
from tollbook.audit.rules.lost import EMBEDDINGS, operation_of
from tollbook.audit.rules.six_within import (
    AGENT_KINDS,
    agent_break,
    break_within,
    embeddings_break,
    header_break,
    queue_break,
    stream_break,
    thread_break,
)
from tollbook.call import SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.kept.beginnings import Beginnings
    from tollbook.audit.rules.lost import Break
    from tollbook.audit.rules.six_state import State
    from tollbook.audit.trace import Trace

_MS: Final = 10**6
_SKEW_NS: Final = 50 * _MS
"""So far the clocks of two hosts may be apart, and a fast answer may end before it was sent."""
_LOOKED_AT: Final = 512
_AGENT_LIKE: Final = AGENT_KINDS | {SpanKind.STEP}


class AcrossTraces:
    """Finds the other side of traces that never say who pays.

    Args:
        state: what the rules on owners share.
    """

    name = "owners"

    def __init__(self, state: State) -> None:
        self._state = state
        self._beginnings: Beginnings | None = None

    def expect(self, beginnings: Beginnings) -> None:
        """Look for the other side of these beginnings only; of all where nothing was said."""
        self._beginnings = beginnings

    def keys(self, trace: Trace) -> Iterable[tuple[str, SpanFact]]:
        """Yield calls without an owner with their entries, and spans that may be the other side."""
        if not any(span.has_trace for span in trace.spans):
            return
        view = self._state.views.of(trace)
        entries: set[str] = set()
        for lost in view.lost:
            if not lost.call.has_trace or break_within(view, lost) is not None:
                continue
            key = entry_keys(lost)
            if lost.entry.span_id not in entries:
                entries.add(lost.entry.span_id)
                self._state.keep_sketch(trace, lost)
                yield key, replace(lost.entry, role=ENTRY)
            yield key, lost_facts(lost)
        yield from other_sides(view, self._beginnings)

    def check_group(self, key: str, spans: Sequence[SpanFact]) -> Iterator[Hit]:
        """Yield why the calls of a group have no owner, where the group tells."""
        calls: dict[str, list[SpanFact]] = {}
        for span in spans:
            if span.role == CALL:
                calls.setdefault(f"{span.trace_id}:{span.parent_span_id}", []).append(span)
        if not calls:
            return
        sides = [span for span in spans if span.role in {NAMED, NAMELESS}]
        find = _FINDERS.get(key[:2], _linked)(sides)
        for entry in spans:
            if entry.role != ENTRY or entry.ref not in calls:
                continue
            of_entry = calls.pop(entry.ref)
            last = find(entry)
            if last is None or last.role == NAMELESS:
                self._state.pending.put(entry, of_entry, is_asked_for=last is not None)
                continue
            one = _break(key[:2], last, entry, of_entry)
            drawn = self._state.sketch_of(entry)
            yield from (hit_at(one, [call], is_cause=True, drawn=drawn) for call in of_entry)
        for left in calls.values():
            self._state.pending.put(left[0], left, is_asked_for=False)


def _break(kind: str, last: SpanFact, entry: SpanFact, calls: Sequence[SpanFact]) -> Break:
    """Return the break between a span and the trace that it caused, by what lies between."""
    if kind == "t:":
        return _in_process(last, entry, calls)
    if kind == "l:":  # the ledger follows links, other tools do not
        severity = Severity.WARNING
        made = header_break if entry.kind == _SERVER else queue_break
        return made(last, entry, severity)
    return header_break(last, entry) if kind == "h:" else queue_break(last, entry)


def _in_process(last: SpanFact, entry: SpanFact, calls: Sequence[SpanFact]) -> Break:
    """Return the break at a thread or task, by what it is there for."""
    if entry.what in _AGENT_LIKE:
        return agent_break(last, entry, crossing="thread")
    if all(operation_of(one) in EMBEDDINGS for one in calls):
        return embeddings_break(last, entry, crossing="thread")
    if all(one.call is not None and one.call.is_stream for one in calls):
        return stream_break(last, entry, crossing="thread")
    if last.what in AGENT_KINDS:
        return agent_break(last, entry, crossing="thread")
    return thread_break(last, entry)


def _linked(sides: Sequence[SpanFact]) -> Callable[[SpanFact], SpanFact | None]:
    """The span that a link names: all of the group have its id."""
    return lambda _: sides[0] if sides else None


def _enqueued(sides: Sequence[SpanFact]) -> Callable[[SpanFact], SpanFact | None]:
    """The producer of a job: the last before it, of the same task where tasks have names."""

    def find(entry: SpanFact) -> SpanFact | None:
        at = bisect_right(starts, entry.started_at_ns + _SKEW_NS)
        before = sides[max(0, at - _LOOKED_AT) : at]
        task = entry.name.rpartition("/")[2]
        same = [one for one in before if one.name.rpartition("/")[2] == task]
        some = same or before
        return some[-1] if some else None

    starts = [one.started_at_ns for one in sides]
    return find


def _asked(sides: Sequence[SpanFact]) -> Callable[[SpanFact], SpanFact | None]:
    """The client's side of a request: the shortest that lasts around it, each for one request."""
    used: set[str] = set()
    starts = [one.started_at_ns for one in sides]

    def find(entry: SpanFact) -> SpanFact | None:
        at = bisect_right(starts, entry.started_at_ns + _SKEW_NS)
        around = [
            one
            for one in sides[max(0, at - _LOOKED_AT) : at]
            if one.ref not in used and one.ended_at_ns + _SKEW_NS >= entry.started_at_ns
        ]
        whole = [one for one in around if one.ended_at_ns + _SKEW_NS >= entry.ended_at_ns]
        # A client's span may end with the head of an answer that is streamed.
        found = min(whole, key=_length, default=None) or (around[-1] if around else None)
        if found is not None:
            used.add(found.ref)
        return found

    return find


def _waited(sides: Sequence[SpanFact]) -> Callable[[SpanFact], SpanFact | None]:
    """What waited for a thread: the shortest wait around all of it, else around its beginning."""
    starts = [one.started_at_ns for one in sides]

    def find(entry: SpanFact) -> SpanFact | None:
        at = bisect_right(starts, entry.started_at_ns)
        begun = [
            one
            for one in sides[max(0, at - _LOOKED_AT) : at]
            if one.ended_at_ns >= entry.started_at_ns
        ]
        around = [one for one in begun if one.ended_at_ns >= entry.ended_at_ns]
        return min(around or begun, key=_length, default=None)

    return find


def _length(span: SpanFact) -> int:
    return span.ended_at_ns - span.started_at_ns


_SERVER: Final = 2
_FINDERS: Final = {"l:": _linked, "q:": _enqueued, "h:": _asked, "t:": _waited}

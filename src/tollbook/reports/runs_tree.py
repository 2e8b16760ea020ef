"""The tree of a run: spans and calls in their places, costs added up from the leaves.

Every call is in exactly one place, so what a node costs is what its calls and the nodes below it
cost, in integers. Spans come from strangers: parents that were never seen, spans that are their own
ancestors and the same span told twice must not lose a call or loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from tollbook.identity.claims import Mechanism
from tollbook.reports.runs_rows import CallRow, SpanRow, Sums
from tollbook.reports.runs_spans import SpanGraph

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from tollbook.reports.runs_rows import SpanKey

MODEL: Final = "model"
OTHER: Final = "other"
STEP: Final = "step"
CALL: Final = "call"
RUN: Final = "run"
NEVER_SEEN: Final = "parent never seen"
_STEPS_MAX: Final = 16
_TRACE: Final = Mechanism.TRACE.value


class Node(Struct, gc=False):
    """A place in the tree."""

    kind: str
    """run, a kind of span, or call."""
    name: str
    span: SpanRow | None = None
    call: CallRow | None = None
    marks: list[str] = []
    children: list[Node] = []
    own: Sums = Sums()
    """Of the calls that were made in it directly; of a call its own."""
    subtree: Sums = Sums()

    @property
    def started_at(self) -> datetime | None:
        """When it began; None of a step of which only the calls are known."""
        if self.call is not None:
            return self.call.called_at
        if self.span is not None:
            return self.span.started_at
        return min(
            (at for one in self.children if (at := one.started_at) is not None), default=None
        )


class Tree(NamedTuple):
    """A run, and what is to be known of how its tree was made."""

    root: Node
    calls: list[CallRow]
    """Those in the tree."""
    inherited: set[str]
    """Ids of calls that do not name the run, but were made within it, or have it of their trace."""
    sub_runs: dict[str, Sums]
    """Further runs that were started within it."""
    unclaimed: Sums
    """Calls of the same traces that name no run and were not made within it."""
    parents_never_seen: int
    spans: list[SpanRow]
    """Those that belong to it, shown or not."""


def build_tree(
    wanted: str, field: str, calls: Sequence[CallRow], spans: Sequence[SpanRow],
    charged_as: Mapping[str, str | None],
) -> Tree:  # fmt: skip
    """Make the tree of a run.

    Args:
        wanted: the id of the run.
        field: what the id is: ``agent_run_id``, ``trace_id`` or ``request_id``.
        calls: that name it, and others of its traces.
        spans: of its traces.
        charged_as: id of a call that others saw too, to the call that it is booked as; None for
            one that repeats the calls within it.
    """
    return _Builder(wanted, field, calls, spans, charged_as).build()


class _Builder:
    def __init__(
        self, wanted: str, field: str, calls: Sequence[CallRow], spans: Sequence[SpanRow],
        charged_as: Mapping[str, str | None],
    ) -> None:  # fmt: skip
        self._wanted, self._field, self._calls = wanted, field, calls
        self._graph = SpanGraph(spans)
        self._spans = self._graph.spans
        self._charged_as = charged_as
        self._within = self._graph.naming(field, wanted)
        self._of_call = self._model_spans()
        self._root = Node(RUN, wanted)
        self._nodes: dict[SpanKey, Node] = {}
        self._steps: dict[tuple[str, ...], Node] = {}
        self._traces = {key[0] for key in self._spans}
        self._orphans = 0
        self._places: dict[SpanKey, tuple[Node, bool]] = {}
        self._step_spans: dict[str, list[Node]] = {}

    def build(self) -> Tree:
        """Choose the calls, then the spans around them, then put each in its place."""
        mine, inherited, unclaimed = [], set(), Sums()
        sub_runs: dict[str, Sums] = {}
        for call in self._calls:
            said = getattr(call, self._field)
            is_within = any(key in self._within for key in self._keys(call))
            if said == self._wanted or is_within:
                mine.append(call)
                if call.sources.get(self._field) == _TRACE:
                    inherited.add(call.call_id)
            elif said is None:
                unclaimed = unclaimed.plus(call.sums())
            if said != self._wanted and is_within:
                if said is None:
                    inherited.add(call.call_id)
                else:
                    sub_runs[said] = sub_runs.get(said, Sums()).plus(call.sums())
        shown = self._spans_shown(mine)
        self._place_spans(shown)
        for call in mine:
            self._place_call(call, is_inherited=call.call_id in inherited)
        _add_up(self._root)
        return Tree(
            self._root, mine, inherited, sub_runs, unclaimed, self._orphans,
            [self._spans[key] for key in shown],
        )  # fmt: skip

    def _booked_as(self, span: SpanRow) -> str | None:
        """Return the call that a span is, if it is one."""
        return None if span.call_id is None else self._charged_as.get(span.call_id, span.call_id)

    def _model_spans(self) -> dict[str, SpanKey]:
        """Return the span that each call is, by the call it is booked as: the outermost of them."""
        of_call: dict[str, SpanKey] = {}
        depths = self._graph.depths()
        for key, span in self._spans.items():
            call_id = self._booked_as(span)
            if call_id is not None and (
                call_id not in of_call or depths[key] < depths[of_call[call_id]]
            ):
                of_call[call_id] = key
        told = {key for key, span in self._spans.items() if span.call_id is not None}
        # A gateway's call within the span of a client: the two are one, unless it was retried.
        made: dict[SpanKey, list[str]] = {}
        for call in self._calls:
            if call.trace_id is None or call.call_id in of_call:
                continue
            key = (call.trace_id, call.span_id or "")
            if key not in self._spans:
                key = (call.trace_id, call.parent_span_id or "")
                if key not in self._spans or self._spans[key].kind != MODEL or key in told:
                    continue
            made.setdefault(key, []).append(call.call_id)
        return of_call | {ids[0]: key for key, ids in made.items() if len(ids) == 1}

    def _keys(self, call: CallRow) -> list[SpanKey]:
        """Return the spans that a call is, or was made in: the nearest first."""
        keys = [self._of_call.get(call.call_id)]
        if call.trace_id is not None:
            keys += [(call.trace_id, one) for one in (call.span_id, call.parent_span_id) if one]
        return [key for key in keys if key is not None and key in self._spans]

    def _spans_shown(self, mine: Sequence[CallRow]) -> dict[SpanKey, None]:
        """Return the spans of the run in the order they were seen.

        They are those within it, those that lead to its calls, and all of a trace that has no other
        run in it.
        """
        runs: dict[str, set[str]] = {}
        told = [(one.trace_id, getattr(one, self._field)) for one in self._calls]
        told += [(one.trace_id, one.said(self._field)) for one in self._spans.values()]
        for trace_id, said in told:
            if trace_id is not None and said is not None:
                runs.setdefault(trace_id, set()).add(said)
        alone = {trace for trace, names in runs.items() if names == {self._wanted}}
        shown = {key for key in self._spans if key in self._within or key[0] in alone}
        for call in mine:
            at = next(iter(self._keys(call)), None)
            while at is not None and at not in shown:
                if self._spans[at].said(self._field) not in (None, self._wanted):
                    break
                shown.add(at)
                at = self._graph.parent(at)
        return {key: None for key in self._spans if key in shown}

    def _place_spans(self, shown: Iterable[SpanKey]) -> None:
        """Make a node of each span but those of transport, and those that are shown as a call."""
        booked = {one.call_id for one in self._calls}
        calls = {key for call_id, key in self._of_call.items() if call_id in booked}
        calls |= {key for key, one in self._spans.items() if self._booked_as(one) in booked}
        visible = [
            key
            for key in shown
            if (kind := self._spans[key].kind) != OTHER and not (kind == MODEL and key in calls)
        ]
        for key in visible:
            span = self._spans[key]
            node = Node(span.kind, span.name or span.kind, span, marks=_marks(span))
            self._nodes[key] = node
            if span.kind == STEP:
                self._step_spans.setdefault(node.name, []).append(node)
        for key in visible:
            node = self._nodes[key]
            if key in self._graph.cut:
                node.marks.append("its own ancestor")
            place, is_lost = self._above(self._graph.above(key))
            place.children.append(node)
            if is_lost:
                node.marks.append(NEVER_SEEN)
                self._orphans += 1

    def _above(self, key: SpanKey | None) -> tuple[Node, bool]:
        """Return the nearest place from here upwards, and if the way there is not known."""
        path: list[SpanKey] = []
        found: tuple[Node, bool] | None = None
        while found is None:
            if key is None:
                found = self._root, False
            elif key in self._nodes:
                found = self._nodes[key], False
            elif key in self._places:
                found = self._places[key]
            elif key not in self._spans:
                found = self._root, True
            else:
                path.append(key)
                key = self._graph.above(key)
        self._places.update(dict.fromkeys(path, found))
        return found

    def _place_call(self, call: CallRow, *, is_inherited: bool) -> None:
        own = call.sums()
        said = getattr(call, self._field)
        marks = _call_marks(call)
        if is_inherited:
            marks.append("run of its trace")
        elif said != self._wanted:
            marks.append(f"run {said}")
        key = next(iter(self._keys(call)), None)
        place, is_lost = self._above(key)
        if key is None:
            # Where a trace has no spans at all, nobody sends any.
            is_lost = call.parent_span_id is not None and call.trace_id in self._traces
        if is_lost:
            marks.append(NEVER_SEEN)
            self._orphans += 1
        if place is self._root and call.workflow_step:
            place = self._step(call.workflow_step)
        place.children.append(
            Node(CALL, _call_name(call), call=call, marks=marks, own=own, subtree=own)
        )
        place.own = place.own.plus(own)

    def _step(self, text: str) -> Node:
        """Return the place of a step: its span, or a node made from the names on its path."""
        named = self._step_spans.get(text, [])
        if len(named) == 1:
            return named[0]
        path = tuple(one for one in text.split("/") if one)[:_STEPS_MAX] or (text,)
        above = self._root
        for end in range(1, len(path) + 1):
            known = self._steps.get(path[:end])
            if known is None:
                known = self._steps[path[:end]] = Node(STEP, path[end - 1])
                above.children.append(known)
            above = known
        return above


def _marks(span: SpanRow) -> list[str]:
    marks = []
    if span.ended_at is None:
        marks.append("not ended")
    if span.is_error:
        marks.append("error")
    return marks


def _call_name(call: CallRow) -> str:
    return " ".join(one for one in (call.operation, call.model) if one) or CALL


def _call_marks(call: CallRow) -> list[str]:
    marks = [call.status] if call.status not in (None, "ok") else []
    if call.retry_of is not None:
        marks.append("retry")
    if not call.is_cost_known:
        marks.append("cost unknown")
    if call.usage_source == "estimated":
        marks.append("estimated")
    if call.has_conflict:
        marks.append("owners in conflict")
    return [str(one) for one in marks]


def _add_up(root: Node) -> None:
    """Add up from the leaves, without recursion: a trace may be as deep as its maker likes."""
    order, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += node.children
    for node in reversed(order):
        if node.kind == CALL:
            continue
        total = node.own
        for child in node.children:
            if child.kind != CALL:
                total = total.plus(child.subtree)
        node.subtree = total
        if node.kind == MODEL and not total.calls:
            node.marks.append("no call booked for it")
    for node in order:
        node.children.sort(key=_by_start)


def _by_start(node: Node) -> tuple[bool, float, str]:
    at = node.started_at
    return at is None, 0.0 if at is None else at.timestamp(), node.name

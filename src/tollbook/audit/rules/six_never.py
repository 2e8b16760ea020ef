"""Calls whose traces never say who pays, judged when everything was seen.

Where nearly no call of a service, or behind a key, says who pays, it is the single key: the
provider and whoever reads the traces see one client for all. Where others of the same place do,
these calls are work of another kind (a job, an indexer, a request that nobody signed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.rules.hops import hit_at, place_of
from tollbook.audit.rules.lost import Break, where
from tollbook.audit.rules.pending import is_free
from tollbook.audit.rules.six_within import break_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.audit.findings import Hit
    from tollbook.audit.rules.pending import Group
    from tollbook.audit.rules.six_state import State
    from tollbook.audit.trace import Trace

_NEARLY_ALL: Final = 100
"""One call in so many may say who pays, and it is the single key still."""
_SEVERAL: Final = 2
"""Traces, or users, from which on a key is shared; one request shows nothing about others."""
_MANY_KEYS: Final = 3
"""Keys of one service, from which on each may well stand for somebody: nobody said for whom."""
_ERROR: Final = Severity.ERROR


class NeverNamed:
    """Counts calls with and without an owner by service and key.

    Args:
        state: what the rules on owners share.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def tell(self, each: Callable[[str, str], None]) -> None:
        """Tell of each call that is counted only, and of its group."""
        self._state.pending.tell = each

    def observe(self, trace: Trace) -> None:
        """Count the calls of a trace; calls of logs wait for their cause here."""
        view = self._state.views.of(trace)
        pending = self._state.pending
        lost = {one.call.span_id for one in view.lost}
        pending.count(trace.calls, {one.span_id for one in trace.calls if one.span_id not in lost})
        if not pending.is_any_named and view.named:
            pending.is_any_named = True
        for one in view.lost:
            if not one.call.has_trace and break_within(view, one) is None:
                pending.put(one.entry, [one.call], is_asked_for=False)

    def finish(self) -> Iterator[Hit]:
        """Yield why calls have no owner: a hit for each that was kept, and one for all the rest."""
        for group in self._state.pending.groups():
            one = self._judge(group)
            drawn = self._state.sketch_of(group.entry)
            for call in group.evidence:
                hit = hit_at(one, [call], is_cause=True, drawn=drawn)
                yield replace(hit, place=_place(one, group))
            left = group.calls - len(group.evidence)
            if left:
                yield _rest(replace(hit, place=_place(one, group)), group, left)

    def _judge(self, group: Group) -> Break:
        pending = self._state.pending
        seen = pending.seen(group.place)
        is_indexer = seen.retrievals == seen.calls
        is_other_work = pending.is_any_named and (group.began == "job" or is_indexer)
        if seen.owned * _NEARLY_ALL <= seen.calls and not is_other_work:
            is_one_of_many = bool(group.place.api_key_id) and (
                pending.keys_of(group.place.service) >= _MANY_KEYS and len(seen.users) < _SEVERAL
            )
            if max(seen.traces, len(seen.users)) >= _SEVERAL and not is_one_of_many:
                return _single_key(group)
            return _missing(group)
        return _other_work(group)


def _place(one: Break, group: Group) -> tuple[str, ...]:
    """Return what findings are brought together by: the key too, where it is what is shared."""
    key = group.place.api_key_id if one.mode is Mode.SINGLE_KEY else ""
    return group.place.service, key, *place_of(one)


def _rest(hit: Hit, group: Group, left: int) -> Hit:
    """Return a hit for the calls of a group that were counted only."""
    told = [one.call.cost_pico for one in group.evidence if one.call is not None]
    known = [cost for cost in told if cost is not None]
    unpriced = group.unpriced_calls - (len(group.evidence) - len(known))
    return replace(
        hit,
        evidence=(),
        affected=(),
        calls=left,
        free_calls=group.free_calls - sum(map(is_free, group.evidence)),
        group=group.name,
        traces=max(0, group.traces - len({one.trace_id for one in group.evidence})),
        cost_pico=group.cost_pico - sum(known) if unpriced < left else None,
        unpriced_calls=unpriced,
    )


def _single_key(group: Group) -> Break:
    first = group.entry
    key = f" with key {group.place.api_key_id}" if group.place.api_key_id else ""
    who = where(group.evidence[0])
    title = f"no call of {who}{key} says who pays: one key stands for all tenants"
    return Break(Mode.SINGLE_KEY, "gateway", None, first, title, _ERROR)


def _other_work(group: Group) -> Break:
    first = group.entry
    if group.began == "job":
        title = f"jobs of {where(first)} ({first.name}) do not know whose they are"
        return Break(Mode.BACKGROUND_JOBS, "queue", None, first, title, _ERROR)
    if group.is_retrieval and group.began != "line":
        title = f"embeddings or reranking of {where(first)} ({first.name}) have no tenant"
        return Break(Mode.EMBEDDINGS_RETRIEVAL, "start", None, first, title, _ERROR)
    if group.began == "process":
        title = f"work of {where(first)} outside of any request ({first.name}) has no tenant"
        return Break(Mode.BACKGROUND_JOBS, "start", None, first, title, _ERROR)
    return _missing(group)


def _missing(group: Group) -> Break:
    first = group.entry
    title = f"{first.name} of {where(first)} names nobody who pays"
    return Break(Mode.MISSING_TENANT, "start", None, first, title, _ERROR)

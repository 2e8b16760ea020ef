"""Calls whose traces never say who pays: counted by service and key until everything was seen.

One trace cannot tell whether a service never names anybody or only this once; so these calls are
brought together by place and judged at the end.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.audit.rules.frameworks import is_job
from tollbook.audit.rules.lost import EMBEDDINGS, operation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tollbook.audit.facts import SpanFact

_GROUPS_MAX: Final = 2000
_PLACES_MAX: Final = 5000
_EVIDENCE_MAX: Final = 256
_KEPT_MAX: Final = 20_000
_USERS_MAX: Final = 64
_SERVER: Final = 2


class Place(NamedTuple):
    """Who called the provider: a service, with a key where it is known."""

    service: str
    api_key_id: str


class Seen:
    """All calls of a place."""

    def __init__(self) -> None:
        self.calls = self.owned = self.traces = self.retrievals = 0
        self.users: set[str] = set()
        """Users and sessions, so many at most as tell that there are several."""


class Group:
    """Calls of a place that wait for a cause, all by the same way."""

    def __init__(
        self, name: str, place: Place, entry: SpanFact, began: str, call: SpanFact
    ) -> None:
        self.name = name
        self.place = place
        self.entry = entry
        self.began = began
        """``job``, ``request``, ``line`` (of a log) or ``process``: how their traces begin."""
        self.is_retrieval = operation_of(call) in EMBEDDINGS
        self.calls = self.cost_pico = self.unpriced_calls = self.traces = 0
        self.free_calls = 0
        self.evidence: list[SpanFact] = []
        self._last_trace = ""

    def put(self, call: SpanFact, *, is_kept: bool) -> bool:
        """Count a call; say whether it was kept as evidence."""
        self.calls += 1
        self.free_calls += is_free(call)
        if call.trace_id != self._last_trace:
            self.traces += 1
            self._last_trace = call.trace_id
        cost = None if call.call is None else call.call.cost_pico
        if cost is None:
            self.unpriced_calls += 1
        else:
            self.cost_pico += cost
        if self.evidence and (not is_kept or len(self.evidence) >= _EVIDENCE_MAX):
            return False
        self.evidence.append(call)
        return True


class Pending:
    """Counts, in memory that does not grow with what is read."""

    def __init__(self) -> None:
        self.is_any_named = False
        """Whether anything that was read says who pays."""
        self._seen: dict[Place, Seen] = {}
        self._groups: dict[tuple[str, ...], Group] = {}
        self._kept = 0
        self.tell: Callable[[str, str], None] | None = None
        """Is told of each call that is only counted, with the name of its group."""
        self._keys: Counter[str] = Counter()

    def count(self, calls: Iterable[SpanFact], owned: frozenset[str] | set[str]) -> None:
        """Count the calls of a trace.

        Args:
            calls: all of them.
            owned: ids of those that have an owner.
        """
        places: set[Place] = set()
        for call in calls:
            place = place_of(call)
            seen = self._seen.get(place)
            if seen is None:
                if len(self._seen) >= _PLACES_MAX:
                    continue
                seen = self._seen[place] = Seen()
            seen.calls += 1
            seen.owned += call.span_id in owned
            seen.retrievals += operation_of(call) in EMBEDDINGS
            if place not in places:
                places.add(place)
                seen.traces += 1
            user = call.owner.get("user_id") or call.session_id
            if user is not None and len(seen.users) < _USERS_MAX:
                seen.users.add(user)

    def put(self, entry: SpanFact, calls: Sequence[SpanFact], *, is_asked_for: bool) -> None:
        """Take calls whose cause is not known yet.

        Args:
            entry: the topmost span above them.
            calls: without an owner, of one trace.
            is_asked_for: whether who caused them was found, and does not say who pays either.
        """
        began = "request" if is_asked_for else began_by(entry)
        for call in calls:
            place = place_of(call)
            retrieval = "retrieval" if operation_of(call) in EMBEDDINGS else ""
            key: tuple[str, ...] = (*place, began, retrieval, entry.service, entry.name)
            group = self._groups.get(key)
            if group is None:
                if len(self._groups) >= _GROUPS_MAX:
                    key = ("", "", began, retrieval)
                    group = self._groups.get(key)
                if group is None:
                    group = self._groups[key] = Group(
                        str(len(self._groups)), place, entry, began, call
                    )
            if group.put(call, is_kept=self._kept < _KEPT_MAX):
                self._kept += 1
            elif self.tell is not None:
                self.tell(call.ref, group.name)

    def keys_of(self, service: str) -> int:
        """Return how many keys a service calls with, as far as they are told."""
        if not self._keys:
            self._keys.update(Counter(place.service for place in self._seen if place.api_key_id))
        return self._keys[service]

    def seen(self, place: Place) -> Seen:
        """Return what was counted of a place."""
        return self._seen.get(place) or Seen()

    def groups(self) -> list[Group]:
        """Return what waits for a cause, those with the most calls first."""
        return sorted(
            self._groups.values(), key=lambda one: (-one.calls, one.place, one.entry.name)
        )


def is_free(call: SpanFact) -> bool:
    """Whether the provider did not charge a call."""
    return call.call is not None and not call.call.is_billable


def place_of(call: SpanFact) -> Place:
    """Return who called the provider."""
    return Place(call.service, "" if call.call is None else call.call.api_key_id or "")


def began_by(entry: SpanFact) -> str:
    """Return how a trace begins."""
    if not entry.has_trace:
        return "line"
    if is_job(entry):
        return "job"
    return "request" if entry.kind == _SERVER else "process"

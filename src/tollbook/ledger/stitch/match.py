"""Which sights are one call, and which are only the wrapping of others.

A function of all that is known, not of the order in which it came. Rules, strongest first:

1. the same span of the same trace,
2. the same response id of a provider, where it is long enough to be unique,
3. the only call within a span that is a call,
4. a short response id, where model and time agree as well,
5. the same request id of a provider.

Two calls of the gateway, or two of an SDK, are never one. A span with calls of other spans within
is a wrapper, whatever usage it repeats; siblings are not.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.ledger.stitch.sight import (
    OTLP_RANK,
    Sight,
    gap_us,
    is_strong,
    same_family,
    same_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tollbook.ledger.stitch.trails import Trails

STRONG_GAP_US: Final = 86_400_000_000
"""Longest time between two tellings of a unique id: clocks and zones of logs differ."""
WEAK_GAP_US: Final = 600_000_000
_NEIGHBOURS: Final = 32
"""A reused id is compared with so many calls next to it in time."""
_SINGLE_RANKS: Final = 2
"""Gateway and SDK tell of a call once; instrumentations and logs of the same one may be many."""
RESPONSE_ID, REQUEST_ID, SAME_SPAN, SPAN_WITHIN = (
    "response id", "request id", "the same span", "the only call within its span",
)  # fmt: skip


class Groups(NamedTuple):
    """What is one call; every sight is in exactly one of the three."""

    groups: list[list[Sight]]
    """The lead, whose id the charge bears, first."""
    wrappers: list[tuple[Sight, Sight]]
    """Each with a call within it."""
    covered: list[tuple[Sight, Sight]]
    """Calls without usage, each with the lead of the call around it."""
    how: dict[bytes, str]
    """By which rule a call was matched."""


def match(sights: Iterable[Sight], trails: Trails) -> Groups:
    """Group sights; the same for the same set in any order."""
    return _Matcher(sorted(sights, key=_order), trails).run()


def _order(one: Sight) -> tuple[int, bool, int, bytes]:
    return one.rank, not one.has_usage, one.start_us, one.call_id


class _Matcher:
    def __init__(self, sights: Sequence[Sight], trails: Trails) -> None:
        self._sights = sights
        self._root = list(range(len(sights)))
        self._members = [[at] for at in range(len(sights))]
        self._place = {one.call_id: at for at, one in enumerate(sights)}
        self._above = self._nearest(trails)
        self._within: dict[int, list[int]] = defaultdict(list)
        for at, above in enumerate(self._above):
            for one in above:
                self._within[one].append(at)
        self._wraps: dict[int, int] = {}
        self._how: dict[bytes, str] = {}
        self._trails = trails

    def run(self) -> Groups:
        self._join_spans()
        self._join_ids(_response_id, is_strong=True)
        weighs = self._weigh()
        order = sorted(self._within, key=lambda at: (-self._depth(at), at))
        for at in order:
            self._mark_wrapper(at, weighs)
        for at in order:
            self._join_within(at)
        self._join_ids(_response_id, is_strong=False)
        self._join_ids(_request_id, is_strong=True)
        return self._result(weighs)

    def _nearest(self, trails: Trails) -> list[tuple[int, ...]]:
        """Return for each sight the calls of the nearest span around it that is a call."""
        found: list[tuple[int, ...]] = []
        for one in self._sights:
            own = one.own_span
            nearest: tuple[int, ...] = ()
            for key in trails.upwards(one.parent_span) if trails.calls else ():
                if key in trails.calls and key != own:
                    nearest = tuple(sorted(self._place[two.call_id] for two in trails.calls[key]))
                    break
            found.append(nearest)
        # A circle of parents has no inside: none of its calls is within another.
        return [() if self._comes_back(at, found) else above for at, above in enumerate(found)]

    @staticmethod
    def _comes_back(start: int, above: list[tuple[int, ...]]) -> bool:
        passed: set[int] = set()
        waiting = list(above[start])
        while waiting:
            at = waiting.pop()
            if at == start:
                return True
            if at not in passed:
                passed.add(at)
                waiting += above[at]
        return False

    def _depth(self, at: int) -> int:
        depth, passed = 0, set[int]()
        while self._above[at] and at not in passed:
            passed.add(at)
            at, depth = self._above[at][0], depth + 1
        return depth

    def _find(self, at: int) -> int:
        while self._root[at] != at:
            self._root[at] = at = self._root[self._root[at]]
        return at

    def _group(self, at: int) -> list[int]:
        return self._members[self._find(at)]

    def _join(self, one: int, other: int, how: str) -> bool:
        first, second = sorted((self._find(one), self._find(other)))
        if first == second:
            return True
        ranks = [self._sights[at].rank for at in (*self._members[first], *self._members[second])]
        if any(ranks.count(rank) > 1 for rank in range(_SINGLE_RANKS)):
            return False
        for at in (one, other):
            self._how.setdefault(self._sights[at].call_id, how)
        self._root[second] = first
        self._members[first] += self._members[second]
        return True

    def _is_measured(self, at: int) -> bool:
        """Whether the gateway or an SDK saw the same call."""
        return any(self._sights[one].rank < OTLP_RANK for one in self._group(at))

    def _join_spans(self) -> None:
        for key in self._trails.calls:
            places = sorted(self._place[one.call_id] for one in self._trails.calls[key])
            for one, other in pairwise(places):
                if self._sights[one].rank != self._sights[other].rank:
                    self._join(one, other, SAME_SPAN)

    def _join_ids(self, id_of: Callable[[Sight], str | None], *, is_strong: bool) -> None:
        how = RESPONSE_ID if id_of is _response_id else REQUEST_ID
        for places in self._by_id(id_of, is_strong=is_strong):
            inner = self._inner(places)
            pairs = sorted(self._pairs(inner, is_strong=is_strong))
            for *_, one, other in pairs:
                self._join(one, other, how)

    def _by_id(
        self, id_of: Callable[[Sight], str | None], *, is_strong: bool
    ) -> Iterable[list[int]]:
        shared: dict[str, list[int]] = defaultdict(list)
        for at, one in enumerate(self._sights):
            value = id_of(one)
            if value and at not in self._wraps and _is_strong(value) == is_strong:
                shared[value].append(at)
        return [places for places in shared.values() if len(places) > 1]

    def _inner(self, places: list[int]) -> list[int]:
        """Return the calls that bear an id, without the spans around them that repeat it."""
        outer = set()
        if self._within:
            for at in places:
                passed, waiting = {at}, list(self._above[at])
                while waiting:
                    above = waiting.pop()
                    if above not in passed:
                        passed.add(above)
                        waiting += self._above[above]
                        one, two = self._sights[at], self._sights[above]
                        if one.rank == two.rank == OTLP_RANK and not self._is_measured(above):
                            outer.add(above)
        kept = [at for at in places if at not in outer and not self._sights[at].is_aggregate]
        if kept:
            # The total of an agent that bears the id of a call: that call is in it.
            for at in places:
                if at in outer or self._sights[at].is_aggregate:
                    self._wrap(at, kept[0])
        return kept

    def _pairs(
        self, places: list[int], *, is_strong: bool
    ) -> Iterable[tuple[bool, int, int, int, int]]:
        ordered = sorted(places, key=lambda at: (self._sights[at].start_us, at))
        for nth, first in enumerate(ordered):
            for second in ordered[nth + 1 : nth + 1 + _NEIGHBOURS]:
                one, two = self._sights[first], self._sights[second]
                if is_strong and gap_us(one, two) > STRONG_GAP_US:
                    continue
                if not is_strong and not _weakly_same(one, two):
                    continue
                is_apart = one.call.opened.trace_id != two.call.opened.trace_id
                apart_us = abs(one.start_us - two.start_us)
                pair = min(first, second), max(first, second)
                yield is_apart, gap_us(one, two), apart_us, pair[0], pair[1]

    def _weigh(self) -> list[bool]:
        """Return which sights stand for a call with a count of its own, or hold one that does."""
        weighs = [
            one.rank != OTLP_RANK or one.has_usage or self._is_measured(at)
            for at, one in enumerate(self._sights)
        ]
        for at in [at for at, does in enumerate(weighs) if does]:
            waiting = list(self._above[at])
            while waiting:
                above = waiting.pop()
                if not weighs[above]:
                    weighs[above] = True
                    waiting += self._above[above]
        return weighs

    def _mark_wrapper(self, at: int, weighs: list[bool]) -> None:
        """Take a span with calls of other instrumentations within for what it is."""
        one = self._sights[at]
        if one.rank != OTLP_RANK or self._is_measured(at):
            return
        inner = [
            inside
            for inside in self._within[at]
            if self._sights[inside].rank == OTLP_RANK and (weighs[inside] or not one.has_usage)
        ]
        if inner:
            self._wrap(at, inner[0])

    def _wrap(self, at: int, inside: int) -> None:
        for one in self._group(at):  # what is the same span told twice wraps as well
            self._wraps.setdefault(one, inside)

    def _join_within(self, at: int) -> None:
        """Join a call with the only one that was made within it."""
        one = self._sights[at]
        if at in self._wraps:
            return
        mine = self._find(at)
        others = {
            self._find(inside)
            for inside in self._within[at]
            if inside not in self._wraps and (
                self._sights[inside].rank != OTLP_RANK or self._is_measured(at)
                or one.rank != OTLP_RANK
            )
        } - {mine}  # fmt: skip
        if not others:
            return
        if not one.is_aggregate:
            due = {other for other in others if self._sights[other].is_due}
            only = others if len(others) == 1 else due
            if len(only) == 1 and self._may_be_same(mine, next(iter(only))):
                inside = min(each for each in self._within[at] if self._find(each) in only)
                if self._join(at, inside, SPAN_WITHIN):
                    return
        if one.rank == OTLP_RANK and not self._is_measured(at):
            self._wrap(at, min(others))

    def _may_be_same(self, one: int, other: int) -> bool:
        if any(self._sights[at].is_aggregate for at in self._members[other]):
            return False
        ours, theirs = self._ids(one), self._ids(other)
        return not ours or not theirs or bool(ours & theirs)

    def _ids(self, group: int) -> set[str]:
        ids = (self._sights[at].call.closed.provider_response_id for at in self._members[group])
        return {one for one in ids if one}

    def _result(self, weighs: list[bool]) -> Groups:
        wrappers = [(self._sights[at], self._leaf(at)) for at in sorted(self._wraps)]
        covered: list[tuple[Sight, Sight]] = []
        inside: set[int] = set(self._wraps)
        for at, one in enumerate(self._sights):
            above = next(iter(self._above[at]), None)
            if (
                above is not None and not weighs[at] and at not in self._wraps
                and len(self._group(at)) == 1 and above not in self._wraps
                and self._sights[above].rank == OTLP_RANK and self._sights[above].has_usage
            ):  # fmt: skip
                covered.append((one, self._sights[min(self._group(above))]))
                inside.add(at)
        groups = []
        for at in range(len(self._sights)):
            if self._find(at) == at:
                left = sorted(one for one in self._members[at] if one not in inside)
                if left:
                    groups.append([self._sights[one] for one in left])
        return Groups(groups, wrappers, covered, self._how)

    def _leaf(self, at: int) -> Sight:
        passed: set[int] = set()
        while at in self._wraps and at not in passed:
            passed.add(at)
            at = self._wraps[at]
        return self._sights[min(self._group(at))]


def _response_id(one: Sight) -> str | None:
    return one.call.closed.provider_response_id


def _request_id(one: Sight) -> str | None:
    return one.call.closed.provider_request_id


_is_strong = is_strong


def _weakly_same(one: Sight, two: Sight) -> bool:
    """Whether a short id, model, provider, time and trace agree, and two observers tell of it."""
    ours, theirs = one.call.opened, two.call.opened
    return (
        one.rank != two.rank
        and gap_us(one, two) <= WEAK_GAP_US
        and same_model(one.call, two.call)
        and same_family(ours.provider, theirs.provider)
        and (None in (ours.trace_id, theirs.trace_id) or ours.trace_id == theirs.trace_id)
    )

"""Turn what rules say into incidents: open, go on, come back, end."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.alerts.baseline import hour_of
from tollbook.alerts.incident import (
    QUIET_AFTER_MANUAL,
    REOPEN_WITHIN,
    Action,
    Event,
    Incident,
    State,
    after,
)
from tollbook.alerts.rule import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tollbook.alerts.cause import Cause
    from tollbook.alerts.evaluate import Evaluation
    from tollbook.alerts.rule import Rule
    from tollbook.alerts.shelf import Shelf
    from tollbook.alerts.signal import Signal

ACTOR: Final = "alerts"
_TELL_EVERY: Final = timedelta(minutes=15)
"""How often it is noted that an incident goes on."""
_GREW_PERCENT: Final = 125
_WORSE_TIMES: Final = 10
"""An incident that has become so many times dearer is told again."""


class Told(StrEnum):
    """What channels are told of an incident."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class News(NamedTuple):
    """Something that channels are told."""

    event: Told
    incident: Incident


class Keeper:
    """Keeps incidents in step with evaluations; one for each data directory.

    Args:
        shelf: where incidents are: the books, or memory.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._seen: dict[int, datetime] = {}
        """When each was last seen: finer than the events, which are kept for ever."""
        self._told: dict[int, int] = {}
        """Excess at the last time that channels were told, in pico."""

    def apply(
        self, evaluation: Evaluation, found: Sequence[tuple[Signal, Cause]],
        rules: Mapping[str, Rule],
    ) -> list[News]:  # fmt: skip
        """Book what an evaluation found, and return what is news.

        Args:
            evaluation: which rules were looked at, and when.
            found: its signals with their causes.
            rules: by name.

        Raises:
            BooksError: the books cannot be used.
        """
        now = evaluation.at
        live = {one.key: one for one in self._shelf.live(now)}  # the newest of a key
        groups: dict[str, list[tuple[Signal, Cause]]] = {}
        for signal, cause in found:
            groups.setdefault(cause.key, []).append((signal, cause))
        news: list[News] = []
        for key, some in groups.items():
            some.sort(key=lambda one: -SEVERITIES.index(one[0].severity))
            news += self._fires(live.get(key), key, some, rules, now)
        for key, one in live.items():
            if key not in groups:
                news += self._is_normal(one, evaluation, rules)
        return news

    def _fires(  # noqa: PLR0911 -- one for each state
        self, one: Incident | None, key: str, some: Sequence[tuple[Signal, Cause]],
        rules: Mapping[str, Rule], now: datetime,
    ) -> list[News]:  # fmt: skip
        events = [_signal(signal, cause, rules, now) for signal, cause in some]
        if one is None or _is_past(one, now):
            first = Event(
                action=Action.OPENED, at=now, actor=ACTOR,
                detail={"title": title_of(some[0][0], some[0][1]),
                        "severity": some[0][0].severity.value},
            )  # fmt: skip
            made = self._shelf.open(key, some[0][1].tenant, [first, *events])
            self._note(made, now)
            return [News(Told.TRIGGER, made)]
        if one.state is State.RESOLVED:
            assert one.resolved_at is not None, "the event that resolved it has a time"
            if one.resolved_by_hand and now - one.resolved_at < QUIET_AFTER_MANUAL:
                return []
            return self._again(one, Action.REOPENED, events, now)
        if one.state is State.EXPECTED and one.expected_until is not None:
            if now >= one.expected_until:
                return self._again(one, Action.EXPECTATION_OVER, events, now)
            self._go_on(one, events, now)
            return []
        changed = self._go_on(one, events, now)
        told = self._told.setdefault(one.incident_id, one.excess_pico)
        if changed.excess_pico > max(told, 1) * _WORSE_TIMES and one.state is State.OPEN:
            self._told[one.incident_id] = changed.excess_pico
            return [News(Told.TRIGGER, changed)]
        return []

    def _again(
        self, one: Incident, action: Action, events: Sequence[Event], now: datetime
    ) -> list[News]:
        some = [Event(action=action, at=now, actor=ACTOR), *events]
        self._shelf.add(one.incident_id, some)
        for event in some:
            one = after(one, event)
        self._note(one, now)
        return [News(Told.TRIGGER, one)]

    def _note(self, one: Incident, now: datetime) -> None:
        self._seen[one.incident_id] = now
        self._told[one.incident_id] = one.excess_pico

    def _go_on(self, one: Incident, events: Sequence[Event], now: datetime) -> Incident:
        """Note that it goes on, where that says something new."""
        self._seen[one.incident_id] = now
        kept = [event for event in events if _is_news(one, event, now)]
        if kept:
            self._shelf.add(one.incident_id, kept)
        for event in kept:
            one = after(one, event)
        return one

    def _is_normal(
        self, one: Incident, evaluation: Evaluation, rules: Mapping[str, Rule]
    ) -> list[News]:
        """Resolve an incident that no rule speaks of any more, after a while.

        Rules that are paused or gone speak of nothing; those that were not looked at do not count.
        """
        now = evaluation.at
        if one.state is State.RESOLVED:
            return []
        own = [rules[name] for name in one.rules if name in rules and not rules[name].is_paused]
        if any(rule.name not in evaluation.evaluated for rule in own):
            return []
        if any(rule.no_data == "keep" for rule in own):
            return []
        seen = max(one.last_seen, self._seen.get(one.incident_id, one.last_seen))
        if now - seen < timedelta(hours=one.resolve_after_h):
            return []
        reason = f"normal since {seen.isoformat(timespec='minutes')}"
        event = Event(action=Action.RESOLVED, at=now, actor=ACTOR, detail={"reason": reason})
        self._shelf.add(one.incident_id, [event])
        self._seen.pop(one.incident_id, None)
        self._told.pop(one.incident_id, None)
        return [News(Told.RESOLVE, after(one, event))]


def _is_past(one: Incident, now: datetime) -> bool:
    return (
        one.state is State.RESOLVED
        and one.resolved_at is not None
        and now - one.resolved_at >= REOPEN_WITHIN
    )


def _is_news(one: Incident, event: Event, now: datetime) -> bool:
    detail = event.detail
    name = f"{detail['rule']} {detail['entity_text']}"
    known = one.signals.get(name)
    if known is None or known.get("hour") != detail["hour"]:
        return True
    was = int(known.get("excess_pico", 0))
    return int(detail["excess_pico"]) * 100 > was * _GREW_PERCENT or (
        now - one.last_seen >= _TELL_EVERY
    )


def _signal(
    signal: Signal, cause: Cause, rules: Mapping[str, Rule], now: datetime
) -> Event:  # fmt: skip
    rule = rules[signal.rule]
    detail: dict[str, Any] = {
        "rule": signal.rule, "kind": signal.kind.value, "severity": signal.severity.value,
        "entity": signal.named, "entity_text": entity_text(signal),
        "observed": signal.observed, "expected": signal.expected, "unit": signal.unit,
        "excess_pico": signal.excess_pico, "calls": signal.calls, "words": signal.words,
        "since": signal.since.isoformat(), "until": signal.until.isoformat(),
        "where": list(signal.where), "hour": str(hour_of(signal.until)),
        "window_h": rule.window_h, "resolve_after_h": rule.resolve_after_h,
        "runs": list(signal.runs),
        "drivers": [
            {"depth": one.depth, "path": list(one.path), "excess_usd": one.excess_usd,
             "share_percent": one.share_percent}
            for one in cause.drivers
        ],
    }  # fmt: skip
    return Event(action=Action.SIGNAL, at=now, actor=ACTOR, detail=detail)


def entity_text(signal: Signal) -> str:
    """Return what a signal is about: ``tenant acme``; ``everything`` where it is about all."""
    return ", ".join(f"{name} {value}" for name, value in signal.named.items()) or "everything"


def title_of(signal: Signal, cause: Cause) -> str:
    """Return the head of an incident: what, and whose."""
    what = signal.kind.value.replace("_", " ").capitalize()
    whose = entity_text(signal)
    if cause.tenant is not None and "tenant" not in signal.each:
        whose = f"{whose}, tenant {cause.tenant}"
    return f"{what}: {whose}"

"""An incident and its states: a pure fold over events that are only ever added.

open -> acknowledged -> resolved; either -> expected until a moment, and back when that is over;
resolved -> open again where the same cause comes back within a day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tollbook.alerts.rule import SEVERITIES, Severity
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterable

REOPEN_WITHIN: Final = timedelta(hours=24)
QUIET_AFTER_MANUAL: Final = timedelta(hours=1)
"""Who resolves an incident by hand is not told again at once, if it goes on."""
EXPECT_MAX: Final = timedelta(days=366)


class State(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    EXPECTED = "expected"
    RESOLVED = "resolved"


class Action(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    SIGNAL = "signal"  # a rule fired, or goes on firing
    ACKNOWLEDGED = "acknowledged"
    EXPECTED = "expected"
    EXPECTATION_OVER = "expectation_over"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    ASSIGNED = "assigned"
    NOTED = "noted"


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    action: Action
    at: datetime
    actor: str
    detail: dict[str, Any] = {}


class Incident(Struct, frozen=True, kw_only=True):
    """What the events of one cause come to."""

    incident_id: int
    key: str
    tenant: str | None
    state: State
    severity: Severity
    title: str
    rules: tuple[str, ...]
    opened_at: datetime
    first_seen: datetime
    last_seen: datetime
    excess_pico: int = 0
    """Dollars above what was expected, since it began: of rules about an hour the sum of its
    hours, of longer ones the largest; of several rules the largest."""
    hours: dict[str, dict[str, int]] = {}
    """By rule, then by hour: the largest excess told, in pico."""
    owner: str | None = None
    expected_until: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by_hand: bool = False
    resolve_after_h: float = 2.0
    signals: dict[str, dict[str, Any]] = {}
    """The newest detail of each rule and entity."""
    notes: int = 0

    @property
    def lead(self) -> dict[str, Any]:
        """The newest detail of the rule that its title is of; empty before any."""
        return next(iter(self.signals.values()), {})


class IncidentError(TollbookError):
    """Something that cannot be done to an incident."""

    def __init__(self, incident_id: int, problem: str) -> None:
        super().__init__(f"incident {incident_id}: {problem}")


def opened(incident_id: int, key: str, tenant: str | None, event: Event) -> Incident:
    """Return a new incident, from the event that opens it."""
    return Incident(
        incident_id=incident_id, key=key, tenant=tenant, state=State.OPEN,
        severity=Severity(event.detail.get("severity", "warning")),
        title=str(event.detail.get("title", key)), rules=(), opened_at=event.at,
        first_seen=event.at, last_seen=event.at,
    )  # fmt: skip


def after(one: Incident, event: Event) -> Incident:  # noqa: PLR0911 -- one for each action
    """Return an incident after an event; events that change nothing leave it as it is."""
    detail = event.detail
    match event.action:
        case Action.SIGNAL:
            return _seen(one, event)
        case Action.ACKNOWLEDGED if one.state in (State.OPEN, State.EXPECTED):
            return replace(one, state=State.ACKNOWLEDGED, expected_until=None,
                           owner=one.owner or event.actor)  # fmt: skip
        case Action.EXPECTED if one.state is not State.RESOLVED:
            until = datetime.fromisoformat(detail["until"])
            return replace(one, state=State.EXPECTED, expected_until=until)
        case Action.EXPECTATION_OVER if one.state is State.EXPECTED:
            return replace(one, state=State.OPEN, expected_until=None)
        case Action.RESOLVED if one.state is not State.RESOLVED:
            return replace(
                one, state=State.RESOLVED, expected_until=None, resolved_at=event.at,
                resolved_by_hand=bool(detail.get("by_hand")),
            )  # fmt: skip
        case Action.REOPENED if one.state is State.RESOLVED:
            return replace(one, state=State.OPEN, resolved_at=None, resolved_by_hand=False)
        case Action.ASSIGNED:
            return replace(one, owner=detail.get("owner") or None)
        case Action.NOTED:
            return replace(one, notes=one.notes + 1)
        case _:
            return one


def fold(
    incident_id: int, key: str, tenant: str | None, events: Iterable[Event]
) -> Incident | None:
    """Return the incident that events come to; None of no event."""
    found: Incident | None = None
    for event in events:
        found = opened(incident_id, key, tenant, event) if found is None else after(found, event)
    return found


def _seen(one: Incident, event: Event) -> Incident:
    detail = event.detail
    rule, excess = str(detail["rule"]), int(detail.get("excess_pico", 0))
    hour = str(detail.get("hour", ""))
    hours = {name: dict(own) for name, own in one.hours.items()}
    own = hours.setdefault(rule, {})
    # Windows of several hours overlap: of them the largest counts, under one name.
    slot = hour if int(detail.get("window_h", 1)) == 1 else ""
    own[slot] = max(own.get(slot, 0), excess)
    severity = Severity(detail.get("severity", one.severity))
    since = datetime.fromisoformat(detail["since"])
    return replace(
        one, hours=hours, excess_pico=max(sum(some.values()) for some in hours.values()),
        rules=tuple(dict.fromkeys((*one.rules, rule))), last_seen=max(one.last_seen, event.at),
        first_seen=min(one.first_seen, max(since, event.at - timedelta(hours=1))),
        severity=max(one.severity, severity, key=SEVERITIES.index),
        signals=one.signals | {f"{rule} {detail.get('entity_text', '')}": detail},
        resolve_after_h=max(one.resolve_after_h, float(detail.get("resolve_after_h", 2.0)))
        if one.rules else float(detail.get("resolve_after_h", 2.0)),
    )  # fmt: skip


def deed(
    one: Incident, action: Action, actor: str, at: datetime, **detail: Any
) -> Event:  # fmt: skip
    """Return the event of what a person does to an incident.

    Raises:
        IncidentError: it cannot be done in this state, or a value is missing.
    """
    if action is Action.ACKNOWLEDGED and one.state not in (State.OPEN, State.EXPECTED):
        raise IncidentError(one.incident_id, f"is {one.state}, so it cannot be acknowledged")
    if action is Action.RESOLVED:
        if one.state is State.RESOLVED:
            raise IncidentError(one.incident_id, "is resolved already")
        detail["by_hand"] = True
    if action is Action.EXPECTED:
        if one.state is State.RESOLVED:
            raise IncidentError(one.incident_id, "is resolved, so there is nothing to expect")
        until: datetime = detail["until"]
        if not at < until <= at + EXPECT_MAX:
            raise IncidentError(one.incident_id, "until: expected a time within a year from now")
        detail["until"] = until.astimezone(UTC).isoformat()
    if action is Action.NOTED and not str(detail.get("text", "")).strip():
        raise IncidentError(one.incident_id, "the note is empty")
    return Event(action=action, at=at, actor=actor, detail=detail)

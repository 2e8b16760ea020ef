"""Incidents over the API: the list, one with its series, and what people do to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook import clock
from tollbook.alerts.delivery import list_deliveries, plan
from tollbook.alerts.incident import Action, Incident, State, after, deed
from tollbook.alerts.keeper import News, Told
from tollbook.alerts.rules_shelf import rules_in_force
from tollbook.alerts.series import series_rows
from tollbook.alerts.service import base_url
from tollbook.alerts.shelf import add_events, list_incidents, read_incident
from tollbook.alerts.shown import delivery_row, driver_rows, event_row, incident_row
from tollbook.books.events import current_user
from tollbook.desk import Desk, Operation
from tollbook.desk.permits import Scope
from tollbook.money import usd_text
from tollbook.reports.errors import QueryError
from tollbook.reports.times import parse_period
from tollbook.reports.zone import EPOCH, zone_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATES: Final = ("unresolved", "all", *(state.value for state in State))
_AHEAD_MAX_H: Final = 8_784


class IncidentsRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which incidents."""

    state: str = "unresolved"
    """``unresolved``, ``all``, or one state."""
    tenant: str | None = None
    rule: str | None = None
    since: str | None = None
    """Only those that were seen since."""
    tz: str = "UTC"
    limit: int = 200


def _list(desk: Desk, asked: IncidentsRequest) -> dict[str, Any]:
    if asked.state not in _STATES:
        raise QueryError("--state", f"{asked.state[:64]!r} is not one of {', '.join(_STATES)}")
    if not 1 <= asked.limit <= 1000:  # noqa: PLR2004 -- as the message says
        raise QueryError("--limit", "expected 1 to 1000")
    since = EPOCH
    if asked.since is not None:
        since = parse_period(asked.since, zone_of(asked.tz), clock.utc_now(), "--since").start
    every = list_incidents(desk.books)
    kept = [one for one in every if _is_wanted(one, asked, since)]
    counts = {state.value: sum(one.state is state for one in every) for state in State}
    return {
        "rows": [incident_row(one) for one in kept[: asked.limit]], "counts": counts,
        "excess_usd": usd_text(sum(one.excess_pico for one in kept)),
        "has_more": len(kept) > asked.limit,
    }  # fmt: skip


def _is_wanted(one: Incident, asked: IncidentsRequest, since: datetime) -> bool:
    if asked.state == "unresolved" and one.state is State.RESOLVED:
        return False
    if asked.state not in ("unresolved", "all", one.state.value):
        return False
    if asked.tenant is not None and one.tenant != asked.tenant:
        return False
    return (asked.rule is None or asked.rule in one.rules) and one.last_seen >= since


class IncidentRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which incident."""

    id: int


def _show(desk: Desk, asked: IncidentRequest) -> dict[str, Any]:
    one, events = read_incident(desk.books, asked.id)
    rule = rules_in_force(desk.books).get(str(one.lead.get("rule")))
    series = [] if rule is None else series_rows(desk.reader, rule, one, clock.utc_now())
    told = list_deliveries(desk.books, incident_id=asked.id)
    return {
        "rows": [incident_row(one)], "drivers": driver_rows(one),
        "signals": [_signal_row(detail) for detail in one.signals.values()],
        "events": [event_row(event) for event in reversed(events)], "series": series,
        "deliveries": [delivery_row(delivery) for delivery in told],
    }  # fmt: skip


def _signal_row(detail: dict[str, Any]) -> dict[str, Any]:
    names = ("rule", "kind", "entity_text", "observed", "expected", "unit", "words", "since",
             "until", "calls", "where")  # fmt: skip
    found = {name: detail.get(name) for name in names}
    return found | {"excess_usd": usd_text(int(detail.get("excess_pico", 0)))}


class AcknowledgeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which incident, and a note."""

    id: int
    note: str | None = None


class ExpectRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Until when it is expected, and why."""

    id: int
    until: str
    """A date or time, or so long from now: ``4h``, ``7d``."""
    reason: str = ""
    tz: str = "UTC"


class NoteRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A note on an incident."""

    id: int
    text: str


class AssignRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose it is; nobody: it is free again."""

    id: int
    owner: str = ""


_TEXT_MAX: Final = 4000


def _do(desk: Desk, incident_id: int, action: Action, **detail: Any) -> dict[str, Any]:
    """Book what somebody does, tell channels of it, and return the incident."""
    one, _ = read_incident(desk.books, incident_id)
    for name, value in detail.items():
        if isinstance(value, str) and len(value) > _TEXT_MAX:
            raise QueryError(f"--{name}", f"is longer than {_TEXT_MAX:,} characters")
    now = clock.utc_now()
    event = deed(one, action, desk.author or current_user(), now, **detail)
    add_events(desk.books, incident_id, [event])
    changed = after(one, event)
    told = {Action.ACKNOWLEDGED: Told.ACKNOWLEDGE, Action.RESOLVED: Told.RESOLVE}.get(action)
    if told is not None:
        news: Sequence[News] = [News(told, changed)]
        plan(desk.books, news, rules_in_force(desk.books), base_url(desk.config), now)
    return {"rows": [incident_row(changed)]}


def _acknowledge(desk: Desk, asked: AcknowledgeRequest) -> dict[str, Any]:
    answer = _do(desk, asked.id, Action.ACKNOWLEDGED)
    if asked.note:
        answer = _do(desk, asked.id, Action.NOTED, text=asked.note)
    return answer


def _expect(desk: Desk, asked: ExpectRequest) -> dict[str, Any]:
    until = _later(asked.until, asked.tz)
    return _do(desk, asked.id, Action.EXPECTED, until=until, reason=asked.reason)


def _later(text: str, tz: str) -> datetime:
    """Read a time to come: a date or moment, or so many hours, days or weeks from now."""
    now, count, unit = clock.utc_now(), text[:-1], text[-1:]
    hours = {"h": 1, "d": 24, "w": 168}.get(unit)
    if hours is not None and count.isdecimal() and len(count) < 6:  # noqa: PLR2004 -- more than a year of hours
        return now + timedelta(hours=min(int(count) * hours, 2 * _AHEAD_MAX_H))
    return parse_period(text, zone_of(tz), now, "--until").start.astimezone(UTC)


def _resolve(desk: Desk, asked: AcknowledgeRequest) -> dict[str, Any]:
    return _do(desk, asked.id, Action.RESOLVED, reason=asked.note or "")


def _note(desk: Desk, asked: NoteRequest) -> dict[str, Any]:
    return _do(desk, asked.id, Action.NOTED, text=asked.text)


def _assign(desk: Desk, asked: AssignRequest) -> dict[str, Any]:
    return _do(desk, asked.id, Action.ASSIGNED, owner=asked.owner)


INCIDENT_OPERATIONS: Final = (
    Operation("incidents.list", "GET", "/incidents", IncidentsRequest, _list,
              "Incidents, newest first.", scope=Scope.ALERTS),
    Operation("anomalies.list", "GET", "/anomalies", IncidentsRequest, _list,
              "Anomalies: incidents under their public name.", scope=Scope.ALERTS),
    Operation("incidents.show", "GET", "/incidents/show", IncidentRequest, _show,
              "One incident: drivers, series, events, deliveries.", scope=Scope.ALERTS),
    Operation("incidents.acknowledge", "POST", "/incidents/acknowledge", AcknowledgeRequest,
              _acknowledge, "Acknowledge an incident.", scope=Scope.ALERTS),
    Operation("incidents.expect", "POST", "/incidents/expect", ExpectRequest, _expect,
              "Expect an incident to go on until a moment.", scope=Scope.ALERTS),
    Operation("incidents.resolve", "POST", "/incidents/resolve", AcknowledgeRequest, _resolve,
              "Resolve an incident.", scope=Scope.ALERTS),
    Operation("incidents.note", "POST", "/incidents/note", NoteRequest, _note,
              "Add a note to an incident.", scope=Scope.ALERTS),
    Operation("incidents.assign", "POST", "/incidents/assign", AssignRequest, _assign,
              "Say whose an incident is.", scope=Scope.ALERTS),
)  # fmt: skip

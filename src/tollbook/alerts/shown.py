"""Incidents, rules and deliveries as answers have them: plain names, dollars as decimal text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.alerts.message import query_path
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.alerts.delivery import Delivery
    from tollbook.alerts.incident import Event, Incident
    from tollbook.alerts.rule import Rule


def incident_row(one: Incident) -> dict[str, Any]:
    """Return an incident."""
    signal = one.lead
    drivers = [
        " / ".join("(not set)" if value is None else value for value in driver["path"])
        for driver in signal.get("drivers", ())
    ]
    return {
        "id": one.incident_id, "state": one.state.value, "severity": one.severity.value,
        "title": one.title, "tenant": one.tenant,
        "excess_usd": usd_text(one.excess_pico) if one.excess_pico else None,
        "driver": _deepest(signal.get("drivers", ())) or (drivers[0] if drivers else None),
        "words": signal.get("words"), "rules": list(one.rules), "owner": one.owner,
        "opened_at": one.opened_at.isoformat(), "first_seen": one.first_seen.isoformat(),
        "last_seen": one.last_seen.isoformat(),
        "expected_until": None if one.expected_until is None else one.expected_until.isoformat(),
        "resolved_at": None if one.resolved_at is None else one.resolved_at.isoformat(),
        "calls_path": query_path(signal) if signal else None, "notes": one.notes,
    }  # fmt: skip


def _deepest(drivers: Any) -> str | None:
    """Return the way down from the largest tenant: ``acme / search / gpt-5``."""
    path: list[Any] = []
    for driver in drivers:
        if driver["depth"] == len(path) and driver["path"][: len(path)] == path:
            path = list(driver["path"])
    return " / ".join("(not set)" if one is None else one for one in path) or None


def driver_rows(one: Incident) -> list[dict[str, Any]]:
    """Return the drivers of an incident, as its newest signal has them."""
    levels = ("tenant", "feature", "model")
    return [
        {
            "level": levels[driver["depth"]], "name": driver["path"][-1],
            "path": driver["path"], "depth": driver["depth"],
            "excess_usd": driver["excess_usd"], "share_percent": driver["share_percent"],
        }
        for driver in one.lead.get("drivers", ())
    ]  # fmt: skip


def event_row(one: Event) -> dict[str, Any]:
    """Return an event of an incident."""
    detail = one.detail
    words = detail.get("words") or detail.get("text") or detail.get("reason")
    if one.action.value == "expected":
        words = f"until {detail['until']}: {detail.get('reason') or ''}".rstrip(": ")
    if one.action.value == "assigned":
        words = f"to {detail.get('owner') or 'nobody'}"
    if one.action.value == "opened":
        words = detail.get("title")
    if one.action.value == "signal":
        words = f"{detail['rule']}: {words}"
    return {"at": one.at.isoformat(), "action": one.action.value, "actor": one.actor,
            "words": words}  # fmt: skip


def rule_row(one: Rule, origin: str) -> dict[str, Any]:
    """Return a rule."""
    found: dict[str, Any] = msgspec.to_builtins(one)
    return found | {
        "each": list(one.each), "where": list(one.where), "channels": list(one.channels),
        "state": "paused" if one.is_paused else "on", "origin": origin,
    }  # fmt: skip


def delivery_row(one: Delivery) -> dict[str, Any]:
    """Return a notification."""
    return {
        "id": one.notification_id, "channel": one.channel, "incident": one.incident_id,
        "event": one.event, "title": one.title, "state": one.state.value, "tries": one.tries,
        "planned_at": one.planned_at.isoformat(), "last_at": one.last_at.isoformat(),
        "http_status": one.http_status, "detail": one.detail,
    }  # fmt: skip

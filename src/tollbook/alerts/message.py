"""What a channel is told: plain data first, then in the words of each kind of channel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from msgspec import Struct

from tollbook.alerts.kinds_spend import dollars
from tollbook.money import pico_from_usd, usd_text

if TYPE_CHECKING:
    from tollbook.alerts.channel import Channel
    from tollbook.alerts.incident import Incident

TEXT_MAX: Final = 2000
_DRIVERS_MAX: Final = 6
_LEVELS: Final = ("tenant", "feature", "model")
WORDS: Final = {
    "trigger": "Open", "acknowledge": "Acknowledged", "resolve": "Resolved", "test": "Test",
}  # fmt: skip


class Message(Struct, frozen=True, kw_only=True):
    """One thing that is told; nothing in it is secret, and it is kept in the log."""

    message_id: str
    """The same for each try: receivers tell copies by it."""
    event: str
    incident_id: int | None
    dedup_key: str
    """The same for all that is told of one incident, and no name in it."""
    severity: str
    title: str
    text: str
    at: datetime
    excess_usd: str | None = None
    tenant: str | None = None
    entity: dict[str, str] = {}
    drivers: tuple[dict[str, str], ...] = ()
    url: str = ""
    """Of the incident in the console."""
    query_url: str = ""
    """Of exactly its calls: since and until are frozen."""


def message_of(
    event: str, incident: Incident, channel: Channel, message_id: str, base_url: str, now: datetime
) -> Message:
    """Return what a channel is told of an incident.

    To a tenant's channel goes what is the tenant's: its own drivers, and no names of rules, people
    or notes, which somebody may have given another tenant's name.
    """
    signal = incident.lead
    title, text = incident.title, str(signal.get("words", ""))
    entity = {str(name): str(value) for name, value in signal.get("entity", {}).items()}
    drivers = list(signal.get("drivers", ()))
    if channel.tenant is not None:
        drivers = [one for one in drivers if one["path"][0] == channel.tenant]
        entity = {"tenant": channel.tenant}
        kind = str(signal.get("kind", "alert")).replace("_", " ").capitalize()
        title = f"{kind}: tenant {channel.tenant}"
    base = base_url.rstrip("/")
    return Message(
        message_id=message_id, event=event, incident_id=incident.incident_id,
        dedup_key=dedup_key(incident.incident_id), severity=incident.severity.value,
        title=title, text=text[:TEXT_MAX], at=now.astimezone(UTC),
        excess_usd=usd_text(incident.excess_pico) if incident.excess_pico else None,
        tenant=incident.tenant, entity=entity,
        drivers=tuple(_driver(one) for one in drivers[:_DRIVERS_MAX]),
        url=f"{base}/incident?id={incident.incident_id}",
        query_url=f"{base}{query_path(signal)}" if signal else "",
    )  # fmt: skip


def dedup_key(incident_id: int) -> str:
    """Return what receivers know an incident by."""
    return f"tollbook-incident-{incident_id}"


def query_path(signal: dict[str, Any]) -> str:
    """Return the console's path of the calls of a signal, of that time for ever."""
    pairs = [("since", signal["since"]), ("until", signal["until"])]
    pairs += [("where", text) for text in signal.get("where", ()) if not text.startswith("budget=")]
    return f"/calls?{urlencode(pairs)}"


def _driver(one: dict[str, Any]) -> dict[str, str]:
    path = [value if value is not None else "(not set)" for value in one["path"]]
    named = dict(zip(_LEVELS, path, strict=False))
    return {**named, "excess_usd": one["excess_usd"], "share_percent": str(one["share_percent"])}


def lines_of(message: Message) -> list[str]:
    """Return a message as lines of plain text, for mail and chat."""
    lines = [message.text] if message.text else []
    if message.excess_usd is not None:
        lines.append(f"Excess so far: {dollars(pico_from_usd(message.excess_usd))}")
    for one in message.drivers:
        name = " / ".join(one[level] for level in _LEVELS if level in one)
        lines.append(
            f"- {name}: {dollars(pico_from_usd(one['excess_usd']))} ({one['share_percent']} %)"
        )
    if message.url:
        lines.append(f"Incident: {message.url}")
    if message.query_url:
        lines.append(f"Its calls: {message.query_url}")
    return lines


def head_of(message: Message) -> str:
    """Return one line that says it all."""
    return f"[{WORDS[message.event]}] {message.severity}: {message.title}"[:200]

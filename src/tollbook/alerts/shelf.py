"""Incidents in the books: events are added, and an incident is what they come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import sqlalchemy as sa

from tollbook.alerts.incident import (
    REOPEN_WITHIN,
    Action,
    Event,
    Incident,
    IncidentError,
    State,
    after,
    fold,
    opened,
)
from tollbook.books.tables_incidents import incident_events, incidents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.store import Books

LIST_MAX: Final = 1000
_NS: Final = 1000
_TURNS: Final = (Action.OPENED.value, Action.REOPENED.value, Action.RESOLVED.value)


class Shelf(Protocol):
    """Where incidents are."""

    def live(self, now: datetime) -> list[Incident]:
        """Return what may go on or come back, the oldest first."""

    def open(self, key: str, tenant: str | None, events: Sequence[Event]) -> Incident:
        """Keep a new incident with its first events."""

    def add(self, incident_id: int, events: Sequence[Event]) -> None:
        """Keep what happened to an incident."""


class BooksShelf:
    """Incidents in the books, for ever.

    Args:
        books: where.
    """

    def __init__(self, books: Books) -> None:
        self._books = books

    def live(self, now: datetime) -> list[Incident]:
        """Return what may go on or come back; see :func:`live_incidents`."""
        return live_incidents(self._books, now)

    def open(self, key: str, tenant: str | None, events: Sequence[Event]) -> Incident:
        """Keep a new incident; see :func:`open_incident`."""
        return open_incident(self._books, key, tenant, events)

    def add(self, incident_id: int, events: Sequence[Event]) -> None:
        """Keep events; see :func:`add_events`."""
        add_events(self._books, incident_id, events)


class MemoryShelf:
    """Incidents of a back-test: nothing is kept."""

    def __init__(self) -> None:
        self.found: dict[int, Incident] = {}

    def live(self, now: datetime) -> list[Incident]:
        """Return what may go on or come back."""
        return [
            one for one in self.found.values()
            if one.resolved_at is None or now - one.resolved_at < REOPEN_WITHIN
        ]  # fmt: skip

    def open(self, key: str, tenant: str | None, events: Sequence[Event]) -> Incident:
        """Hold a new incident."""
        number = len(self.found) + 1
        one = fold(number, key, tenant, events)
        assert one is not None, "it has events"
        self.found[number] = one
        return one

    def add(self, incident_id: int, events: Sequence[Event]) -> None:
        """Hold what happened to an incident."""
        for event in events:
            self.found[incident_id] = after(self.found[incident_id], event)


def ns_of(moment: datetime) -> int:
    """Return a moment as nanoseconds since the epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * _NS


def moment_at(at_ns: int) -> datetime:
    """Return nanoseconds since the epoch as a moment, to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // _NS)


def live_incidents(books: Books, now: datetime) -> list[Incident]:
    """Return what is not resolved, or was resolved so lately that it may come back.

    Raises:
        BooksError: the books cannot be read.
    """
    events = incident_events.c
    newest = (
        sa.select(events.incident_id, sa.func.max(events.event_id).label("event_id"))
        .where(events.action.in_(_TURNS))
        .group_by(events.incident_id)
        .subquery()
    )
    oldest_ns = ns_of(now - REOPEN_WITHIN)
    query = (
        sa.select(events.incident_id)
        .join(newest, events.event_id == newest.c.event_id)
        .where((events.action != Action.RESOLVED.value) | (events.at_ns >= oldest_ns))
    )
    with books.read() as connection:
        wanted = sorted(int(row[0]) for row in connection.execute(query))
        return _read(connection, wanted)


def list_incidents(books: Books, limit: int = LIST_MAX) -> list[Incident]:
    """Return the newest incidents, newest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(incidents.c.incident_id).order_by(incidents.c.incident_id.desc())
    with books.read() as connection:
        wanted = [int(row[0]) for row in connection.execute(query.limit(limit))]
        return _read(connection, wanted)


def read_incident(books: Books, incident_id: int) -> tuple[Incident, list[Event]]:
    """Return an incident and its events, oldest first.

    Raises:
        IncidentError: there is no such incident.
        BooksError: the books cannot be read.
    """
    with books.read() as connection:
        found = _read(connection, [incident_id])
        if not found:
            raise IncidentError(incident_id, "there is no such incident; see tollbook alerts list")
        return found[0], _events(connection, [incident_id])[incident_id]


def open_incident(
    books: Books, key: str, tenant: str | None, events: Sequence[Event]
) -> Incident:  # fmt: skip
    """Keep a new incident with its first events.

    Raises:
        BooksError: the books cannot be written.
    """
    with books.write() as connection:
        made = connection.execute(
            incidents.insert().values(
                dedup_key=key, tenant_id=tenant, opened_at_ns=ns_of(events[0].at)
            )
        )
        number = int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0
        _add(connection, number, events)
    found = opened(number, key, tenant, events[0])
    return fold(number, key, tenant, events) or found


def add_events(books: Books, incident_id: int, events: Sequence[Event]) -> None:
    """Keep what happened to an incident.

    Raises:
        BooksError: the books cannot be written.
    """
    with books.write() as connection:
        _add(connection, incident_id, events)


def _add(connection: sa.Connection, incident_id: int, events: Sequence[Event]) -> None:
    for one in events:
        connection.execute(
            incident_events.insert().values(
                incident_id=incident_id, at_ns=ns_of(one.at), action=one.action.value,
                actor=one.actor, detail=msgspec.json.encode(one.detail).decode(),
            )
        )  # fmt: skip


def _read(connection: sa.Connection, wanted: Sequence[int]) -> list[Incident]:
    """Return incidents in the order of their numbers in ``wanted``."""
    if not wanted:
        return []
    rows = {
        row.incident_id: row
        for row in connection.execute(
            sa.select(incidents).where(incidents.c.incident_id.in_(wanted))
        )
    }
    events = _events(connection, wanted)
    found = []
    for number in wanted:
        if number in rows:
            row = rows[number]
            one = fold(number, row.dedup_key, row.tenant_id, events.get(number, ()))
            if one is not None:
                found.append(one)
    return found


def _events(connection: sa.Connection, wanted: Sequence[int]) -> dict[int, list[Event]]:
    query = (
        sa.select(incident_events)
        .where(incident_events.c.incident_id.in_(wanted))
        .order_by(incident_events.c.event_id)
    )
    found: dict[int, list[Event]] = {number: [] for number in wanted}
    for row in connection.execute(query):
        found[row.incident_id].append(
            Event(
                action=Action(row.action), at=moment_at(row.at_ns), actor=row.actor,
                detail=msgspec.json.decode(row.detail, type=dict[str, Any]),
            )
        )  # fmt: skip
    return found


def is_live(one: Incident) -> bool:
    """Whether an incident is not resolved."""
    return one.state is not State.RESOLVED

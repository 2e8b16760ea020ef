"""What was done to a period: its steps, approvals and accepted checks, for ever."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books.tables_periods import period_closes, period_events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.books.store import Books


class PeriodState(StrEnum):
    """How far a period is."""

    OPEN = "open"
    RECONCILED = "reconciled"
    ALLOCATED = "allocated"
    CLOSED = "closed"


STEPS = (PeriodState.OPEN, PeriodState.RECONCILED, PeriodState.ALLOCATED, PeriodState.CLOSED)
"""In order."""


class EventKind(StrEnum):
    """What an event says."""

    STEP = "step"  # detail: to
    ACCEPTED = "accepted"  # detail: check, problem; reason says why
    SEALED = "sealed"  # detail: seal; a close is prepared
    APPROVED = "approved"  # detail: seal
    CLOSED = "closed"  # detail: seal


class PeriodEvent(Struct, frozen=True, kw_only=True):
    """One thing that somebody did to a period."""

    event_id: int
    period: str
    kind: EventKind
    actor: str
    at_ns: int
    reason: str | None
    detail: dict[str, Any]


def add_period_event(
    connection: sa.Connection, period: str, kind: EventKind, actor: str,
    detail: Mapping[str, Any], reason: str | None = None,
) -> None:  # fmt: skip
    """Append an event inside a transaction of the caller's."""
    connection.execute(
        period_events.insert().values(
            period=period, kind=kind.value, actor=actor, at_ns=clock.unix_ns(), reason=reason,
            detail=msgspec.json.encode(detail).decode(),
        )
    )  # fmt: skip


def period_history(books: Books, period: str | None = None) -> list[PeriodEvent]:
    """Return what was done to a period, or to all, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(period_events).order_by(period_events.c.event_id)
    if period is not None:
        query = query.where(period_events.c.period == period)
    with books.read() as connection:
        return [_event(row) for row in connection.execute(query)]


def _event(row: Any) -> PeriodEvent:
    return PeriodEvent(
        event_id=row.event_id, period=row.period, kind=EventKind(row.kind), actor=row.actor,
        at_ns=row.at_ns, reason=row.reason, detail=msgspec.json.decode(row.detail),
    )  # fmt: skip


def period_state(books: Books, period: str) -> PeriodState:
    """Return how far a period is; one that nothing was done to is open.

    A month that lies before a closed one is closed with it.

    Raises:
        BooksError: the books cannot be read.
    """
    with books.read() as connection:
        later = sa.select(period_closes.c.period).where(period_closes.c.period >= period).limit(1)
        if connection.execute(later).first() is not None:
            return PeriodState.CLOSED
    return state_after(period_history(books, period))


def state_after(events: list[PeriodEvent]) -> PeriodState:
    """Return the state that steps, oldest first, have led to."""
    steps = [one.detail["to"] for one in events if one.kind is EventKind.STEP]
    return PeriodState(steps[-1]) if steps else PeriodState.OPEN

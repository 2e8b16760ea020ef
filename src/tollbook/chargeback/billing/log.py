"""The delivery log: what is to be sent, what was tried, and what came of it."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.exc import IntegrityError

from tollbook import clock
from tollbook.books.events import current_user
from tollbook.books.tables_deliveries import deliveries, delivery_events
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.books.store import Books

DETAIL_MAX: Final = 300
_KEY_CHARS: Final = 40


class State(StrEnum):
    """What is known of a delivery."""

    PLANNED = "planned"  # to be sent
    HELD = "held"  # cannot be sent as it is; says why
    SENDING = "sending"  # on its way; after a crash: perhaps there
    FAILED = "failed"  # surely not there; will be tried again
    UNCLEAR = "unclear"  # perhaps there: the connection broke; sent again under the same id
    UNCERTAIN = "uncertain"  # perhaps there, too long ago to send again safely
    CONFIRMED = "confirmed"  # there
    REFUSED = "refused"  # the system says that it is wrong
    SETTLED = "settled"  # by other means, such as a credit note: counts, and is never sent
    VOID = "void"  # never taken: counts for nothing, and is planned anew


TO_SEND: Final = frozenset([State.PLANNED, State.SENDING, State.FAILED, State.UNCLEAR])
MAYBE_THERE: Final = frozenset([State.SENDING, State.UNCLEAR])


class Delivery(Struct, frozen=True, kw_only=True):
    """One increment of one meter, tenant and bucket."""

    delivery_key: str
    system: str
    document_id: str
    meter: str
    tenant_id: str
    customer_id: str | None
    bucket_ns: int
    event_ns: int
    sequence: int
    quantity: int
    """In units of the meter; negative lowers what was sent."""
    total: int
    cancels: str | None = None
    planned_at_ns: int
    planned_by: str


class Known(Struct, frozen=True, kw_only=True):
    """A delivery with its state."""

    delivery: Delivery
    state: State
    state_at_ns: int
    maybe_since_ns: int | None
    """When it was first sent without a clear answer, since it was last planned."""
    attempts: int
    http_status: int | None
    detail: str | None


class Event(Struct, frozen=True, kw_only=True):
    """What came of a delivery."""

    delivery_key: str
    state: State
    http_status: int | None = None
    detail: str | None = None


class BusyError(TollbookError):
    """Somebody else plans deliveries of the same system."""

    def __init__(self, system: str) -> None:
        super().__init__(f"{system}: another push is planning deliveries; try again")


def delivery_key(system: str, meter: str, tenant: str, bucket_ns: int, sequence: int) -> str:
    """Return the id under which a delivery is sent: the same for the same increment, always."""
    told = "\0".join((system, meter, tenant, str(bucket_ns), str(sequence)))
    return "tb-" + hashlib.sha256(told.encode()).hexdigest()[:_KEY_CHARS]


def plan(
    books: Books, new: Sequence[tuple[Delivery, State, str | None]], voided: Sequence[Event]
) -> None:
    """Keep what is to be sent, before any of it is sent; all of it or nothing.

    Args:
        books: where it is kept.
        new: deliveries with their first state and why.
        voided: what they take the place of.

    Raises:
        BusyError: another process planned the same meanwhile.
        BooksError: the books cannot be written.
    """
    if not new and not voided:
        return
    events = [Event(delivery_key=one.delivery_key, state=state, detail=why)
              for one, state, why in new]  # fmt: skip
    try:
        with books.write() as connection:
            if new:
                connection.execute(deliveries.insert(), [_row(one) for one, _, _ in new])
            connection.execute(delivery_events.insert(), _event_rows([*voided, *events], None))
    except IntegrityError as error:
        raise BusyError(new[0][0].system) from error


def _row(one: Delivery) -> dict[str, Any]:
    fields = {name: getattr(one, name) for name in Delivery.__struct_fields__}
    return fields | {"quantity": str(one.quantity), "total": str(one.total)}


def note(books: Books, events: Iterable[Event], actor: str | None = None) -> None:
    """Append to the log.

    Raises:
        BooksError: the books cannot be written.
    """
    rows = _event_rows(events, actor)
    if rows:
        with books.write() as connection:
            connection.execute(delivery_events.insert(), rows)


def _event_rows(events: Iterable[Event], actor: str | None) -> list[dict[str, Any]]:
    now, who = clock.unix_ns(), actor or current_user()
    return [
        {
            "delivery_key": one.delivery_key, "state": one.state.value, "at_ns": now,
            "http_status": one.http_status,
            "detail": None if one.detail is None else one.detail[:DETAIL_MAX], "actor": who,
        }
        for one in events
    ]  # fmt: skip


def known(
    books: Books, system: str, since_ns: int | None = None, *, keys: Sequence[str] | None = None,
    states: Iterable[State] | None = None, attempts: bool = True,
) -> list[Known]:  # fmt: skip
    """Return the deliveries of a system with their states, in the order planned.

    Args:
        books: where they are kept.
        system: by name.
        since_ns: only of buckets from here on.
        keys: only these.
        states: only those in one of them.
        attempts: whether attempts are looked up, which reads every event of each; without, there
            are 0 and ``maybe_since_ns`` is None.

    Raises:
        BooksError: the books cannot be read.
    """
    event = delivery_events.c
    last = (
        sa.select(event.delivery_key, sa.func.max(event.event_id).label("event_id"))
        .group_by(event.delivery_key)
        .subquery()
    )
    query = (
        sa.select(deliveries, event.state, event.at_ns, event.http_status, event.detail)
        .join(last, last.c.delivery_key == deliveries.c.delivery_key)
        .join(delivery_events, event.event_id == last.c.event_id)
        .where(deliveries.c.system == system)
        .order_by(deliveries.c.delivery_id)
    )
    if since_ns is not None:
        query = query.where(deliveries.c.bucket_ns >= since_ns)
    if keys is not None:
        query = query.where(deliveries.c.delivery_key.in_(keys))
    if states is not None:
        query = query.where(event.state.in_([one.value for one in states]))
    with books.read() as connection:
        rows = connection.execute(query).all()
        told = [row.delivery_key for row in rows] if attempts else []
        tried = _attempts(connection, told)
    return [_known(row, tried.get(row.delivery_key, _NEVER)) for row in rows]


class _Tried(NamedTuple):
    attempts: int
    maybe_since_ns: int | None


_NEVER: Final = _Tried(0, None)
_KEYS_MAX: Final = 500
"""In one statement."""


def _attempts(connection: sa.Connection, keys: Sequence[str]) -> dict[str, _Tried]:
    found: dict[str, list[Any]] = {}
    event = delivery_events.c
    for at in range(0, len(keys), _KEYS_MAX):
        query = (
            sa.select(event.delivery_key, event.state, event.at_ns)
            .where(event.delivery_key.in_(keys[at : at + _KEYS_MAX]))
            .order_by(event.event_id)
        )
        for row in connection.execute(query):
            found.setdefault(row.delivery_key, []).append(row)
    return {key: _tried(events) for key, events in found.items()}


def _tried(events: list[Any]) -> _Tried:
    maybe: int | None = None
    before: int | None = None
    attempts = 0
    for event in events:
        state = State(event.state)
        if state is State.PLANNED:
            maybe = None
        elif state is State.SENDING:
            attempts += 1
            before, maybe = maybe, event.at_ns if maybe is None else maybe
        elif state is State.FAILED:
            maybe = before  # this attempt surely came to nothing
    return _Tried(attempts, maybe)


def _known(row: Any, tried: _Tried) -> Known:
    fields = {name: getattr(row, name) for name in Delivery.__struct_fields__}
    whole = Delivery(**(fields | {"quantity": int(row.quantity), "total": int(row.total)}))
    return Known(
        delivery=whole, state=State(row.state), state_at_ns=row.at_ns,
        maybe_since_ns=tried.maybe_since_ns, attempts=tried.attempts,
        http_status=row.http_status, detail=row.detail,
    )  # fmt: skip


def has_deliveries(books: Books, system: str) -> bool:
    """Whether anything was ever planned for a system.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(deliveries.c.delivery_id).where(deliveries.c.system == system).limit(1)
    with books.read() as connection:
        return connection.execute(query).first() is not None


def events_of(books: Books, system: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest events of a system, the newest first, with what they are about.

    Raises:
        BooksError: the books cannot be read.
    """
    joined = delivery_events.join(
        deliveries, deliveries.c.delivery_key == delivery_events.c.delivery_key
    )
    query = (
        sa.select(delivery_events, deliveries.c.meter, deliveries.c.tenant_id,
                  deliveries.c.bucket_ns, deliveries.c.quantity)
        .select_from(joined)
        .where(deliveries.c.system == system)
        .order_by(delivery_events.c.event_id.desc())
        .limit(limit)
    )  # fmt: skip
    with books.read() as connection:
        return [row._asdict() for row in connection.execute(query)]

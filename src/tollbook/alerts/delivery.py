"""The delivery log: what channels are to be told, each try, and the next one.

A notification is written before it is sent and survives a restart; a try that nobody saw the end of
is made again under the same id, by which receivers tell copies.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock, ids
from tollbook.alerts.channel import ChannelError, channels_in_force, hears
from tollbook.alerts.message import Message, message_of
from tollbook.alerts.secret import secret_of
from tollbook.alerts.send import Sent, send
from tollbook.alerts.shelf import moment_at, ns_of
from tollbook.books.events import current_user
from tollbook.books.tables_incidents import notification_events, notifications

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tollbook.alerts.channel import Channel
    from tollbook.alerts.keeper import News
    from tollbook.alerts.rule import Rule
    from tollbook.books.store import Books

TRIES_MAX: Final = 8
FIRST_WAIT: Final = timedelta(seconds=15)
WAIT_MAX: Final = timedelta(hours=1)
"""Tries: at once, then after 15 s, 30 s, 1 min, 2, 4, 8 and 16 min."""
STALE_AFTER: Final = timedelta(hours=24)
"""What could not be told for so long is no news any more."""
BATCH_MAX: Final = 50


class State(StrEnum):
    """What is known of a notification."""

    PLANNED = "planned"
    FAILED = "failed"  # will be tried again
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


_DONE: Final = frozenset([State.DELIVERED, State.GIVEN_UP])


class Delivery(Struct, frozen=True, kw_only=True):
    """One notification and what came of it."""

    notification_id: int
    channel: str
    incident_id: int | None
    event: str
    title: str
    state: State
    tries: int
    planned_at: datetime
    last_at: datetime
    http_status: int | None
    detail: str | None
    message: Message

    @property
    def next_at(self) -> datetime:
        """When it is tried next."""
        if not self.tries:
            return self.planned_at
        wait: timedelta = min(WAIT_MAX, FIRST_WAIT * 2 ** (self.tries - 1))
        return self.last_at + wait


def plan(
    books: Books, news: Sequence[News], rules: Mapping[str, Rule], base_url: str, now: datetime
) -> int:  # fmt: skip
    """Write down who is told what; return how many notifications that are.

    Raises:
        BooksError: the books cannot be used.
    """
    if not news:
        return 0
    channels = channels_in_force(books)
    count = 0
    for one in news:
        for channel in channels.values():
            if hears(channel, one.event.value, one.incident, dict(rules)):
                message = message_of(
                    one.event.value, one.incident, channel, new_message_id(), base_url, now
                )
                put(books, channel.name, message)
                count += 1
    return count


def new_message_id() -> str:
    """Return an id for a message."""
    return f"msg_{ids.new_id().hex()}"


def put(books: Books, channel: str, message: Message, author: str | None = None) -> int:
    """Write a notification down and return its number.

    Raises:
        BooksError: the books cannot be written.
    """
    with books.write() as connection:
        made = connection.execute(
            notifications.insert().values(
                message_id=message.message_id, channel=channel, incident_id=message.incident_id,
                event=message.event, message=msgspec.json.encode(message).decode(),
                planned_at_ns=ns_of(message.at), planned_by=author or current_user(),
            )
        )  # fmt: skip
        return int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0


class Courier:
    """Sends what is due.

    Args:
        books: where the log is.
        environ: where secrets are.
        data_dir: where files with secrets are.
        sender: sends once; tests put another one in its place.
    """

    def __init__(
        self, books: Books, environ: Mapping[str, str], data_dir: Path,
        sender: Callable[[Channel, Message, str | None], Sent] = send,
    ) -> None:  # fmt: skip
        self._books, self._environ, self._data_dir = books, environ, data_dir
        self._send = sender

    def deliver_due(self, now: datetime) -> int:
        """Try what is due, oldest first, and return how many were delivered.

        Raises:
            BooksError: the books cannot be used.
        """
        delivered = 0
        channels = channels_in_force(self._books)
        for one in undelivered(self._books, now)[:BATCH_MAX]:
            if now < one.next_at:
                continue
            if now - one.planned_at > STALE_AFTER:
                self._note(one.notification_id, Sent(False, detail="too old to be news",
                                                     is_final=True), one.tries)  # fmt: skip
                continue
            sent = self.attempt(channels.get(one.channel), one)
            delivered += sent.is_delivered
        return delivered

    def attempt(self, channel: Channel | None, one: Delivery) -> Sent:
        """Try one notification now, and note what came of it.

        Raises:
            BooksError: the books cannot be written.
        """
        if channel is None or channel.is_paused:
            sent = Sent(False, detail="the channel was removed or paused", is_final=True)
        elif channel.tenant is not None and channel.tenant != one.message.tenant and (
            one.event != "test"
        ):  # fmt: skip
            # The channel was given to a tenant after the message was written.
            sent = Sent(False, detail="the channel is another tenant's now", is_final=True)
        else:
            try:
                secret = secret_of(channel, self._environ, self._data_dir)
                sent = self._send(channel, one.message, secret)
            except ChannelError as error:
                sent = Sent(False, detail=error.message)
        if one.event == "test":
            sent = sent._replace(is_final=True)  # whoever asked for it sees what came of it
        self._note(one.notification_id, sent, one.tries + 1)
        return sent

    def _note(self, notification_id: int, sent: Sent, tries: int) -> None:
        state = State.DELIVERED if sent.is_delivered else State.FAILED
        if not sent.is_delivered and (sent.is_final or tries >= TRIES_MAX):
            state = State.GIVEN_UP
        with self._books.write() as connection:
            connection.execute(
                notification_events.insert().values(
                    notification_id=notification_id, state=state.value, at_ns=clock.unix_ns(),
                    http_status=sent.status, detail=sent.detail,
                )
            )  # fmt: skip


def undelivered(books: Books, now: datetime) -> list[Delivery]:
    """Return what is still to be delivered, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    oldest_ns = ns_of(now - 2 * STALE_AFTER)
    done = sa.select(notification_events.c.notification_id).where(
        notification_events.c.state.in_([state.value for state in _DONE])
    )
    query = (
        sa.select(notifications)
        .where(notifications.c.planned_at_ns >= oldest_ns)
        .where(notifications.c.notification_id.not_in(done))
        # Whoever asks for a test sends it; sent from here as well it would arrive twice.
        .where(notifications.c.event != "test")
        .order_by(notifications.c.notification_id)
    )
    with books.read() as connection:
        return _read(connection, list(connection.execute(query)))


def list_deliveries(
    books: Books, *, limit: int = 100, channel: str | None = None, incident_id: int | None = None
) -> list[Delivery]:
    """Return the newest notifications, newest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(notifications).order_by(notifications.c.notification_id.desc()).limit(limit)
    if channel is not None:
        query = query.where(notifications.c.channel == channel)
    if incident_id is not None:
        query = query.where(notifications.c.incident_id == incident_id)
    with books.read() as connection:
        return _read(connection, list(connection.execute(query)))


def _read(connection: sa.Connection, rows: Sequence[Any]) -> list[Delivery]:
    tries: dict[int, list[Any]] = {row.notification_id: [] for row in rows}
    if tries:
        query = (
            sa.select(notification_events)
            .where(notification_events.c.notification_id.in_(list(tries)))
            .order_by(notification_events.c.event_id)
        )
        for event in connection.execute(query):
            tries[event.notification_id].append(event)
    found = []
    for row in rows:
        own = tries[row.notification_id]
        last = own[-1] if own else None
        message = msgspec.json.decode(row.message, type=Message)
        found.append(Delivery(
            notification_id=row.notification_id, channel=row.channel, incident_id=row.incident_id,
            event=row.event, title=message.title,
            state=State.PLANNED if last is None else State(last.state), tries=len(own),
            planned_at=moment_at(row.planned_at_ns),
            last_at=moment_at(row.planned_at_ns if last is None else last.at_ns),
            http_status=None if last is None else last.http_status,
            detail=None if last is None else last.detail, message=message,
        ))  # fmt: skip
    return found

"""The audit trail: who did what, kept for ever."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.books.store import Books


class Event(Struct, frozen=True):
    """One thing that was done. ``detail`` never holds a secret."""

    event_id: int
    at_ns: int
    actor: str
    action: str  # such as key.created, key.revoked, rerate.applied, segment.quarantined
    detail: dict[str, object]


def record_event(
    books: Books, *, actor: str | None, action: str, detail: Mapping[str, object]
) -> None:
    """Append to the audit trail.

    Args:
        books: where it is kept.
        actor: who did it: a user name, or the name of a process; None for this process's user.
        action: what was done, ``noun.verb``.
        detail: what JSON can hold; no secrets.

    Raises:
        BooksError: the books cannot be written.
    """
    with books.write() as connection:
        add_event(connection, actor=actor, action=action, detail=detail)


def add_event(
    connection: sa.Connection, *, actor: str | None, action: str, detail: Mapping[str, object]
) -> None:
    """Append to the audit trail inside a transaction of the caller's."""
    connection.execute(
        tables.events.insert().values(
            at_ns=clock.unix_ns(),
            actor=current_user() if actor is None else actor,
            action=action,
            detail=msgspec.json.encode(detail).decode(),
        )
    )


def current_user() -> str:
    """Return the name of the user this process runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return f"uid {os.getuid()}"


def list_events(books: Books, *, action: str | None = None, limit: int = 1000) -> list[Event]:
    """Return the newest events, newest first, of one action or all.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(tables.events).order_by(tables.events.c.event_id.desc()).limit(limit)
    if action is not None:
        query = query.where(tables.events.c.action == action)
    with books.read() as connection:
        return [
            Event(row.event_id, row.at_ns, row.actor, row.action, msgspec.json.decode(row.detail))
            for row in connection.execute(query)
        ]

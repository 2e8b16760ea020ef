"""Sessions of people who have signed in, kept in the books by the SHA-256 of their ids.

A request looks its session up in memory for a few seconds at a time. When it was last used is
written once a minute at most, so looking at pages writes nothing.
"""

from __future__ import annotations

import secrets
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books.tables_people import accounts, sessions

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.books.store import Books

_ID_BYTES: Final = 32
SEEN_EVERY_NS: Final = 60 * clock.NS_PER_S
AGENT_CHARS: Final = 120
KEPT_S: Final = 30 * 86_400
"""How long a session that has ended is still shown."""
_TABLE: Final = sessions.c

_changes: Final[Counter[Path]] = Counter()
"""How often sessions or accounts of some books were changed by this process: what others remember
of them holds as long as this stands."""


class Lives(NamedTuple):
    """How long sessions last."""

    idle_ns: int
    max_ns: int


class Session(Struct, frozen=True, kw_only=True):
    """One session; its id is known to the browser only."""

    digest: str
    account_id: str
    method: str
    address: str
    agent: str
    created_at_ns: int
    seen_at_ns: int
    expires_at_ns: int
    ended_at_ns: int | None = None

    def is_alive(self, now_ns: int, lives: Lives) -> bool:
        """Whether it still stands for its account."""
        return (
            self.ended_at_ns is None
            and now_ns < self.expires_at_ns
            and now_ns < self.seen_at_ns + lives.idle_ns
        )


def changes(books: Books) -> int:
    """Return a number that changes whenever this process changes sessions, accounts or tokens."""
    return _changes[books.path]


def note_change(books: Books) -> None:
    """Have what is remembered of sessions, accounts and tokens looked up again."""
    _changes[books.path] += 1


def digest_of(session_id: str) -> str:
    """Return what a session is kept by."""
    return sha256(session_id.encode(errors="replace")).hexdigest()


def begin_session(
    books: Books, account_id: str, *, method: str, address: str, agent: str, lives: Lives,
    instead_of: str | None = None,
) -> str:  # fmt: skip
    """Begin a session and return its new id; the one that the browser had before ends.

    Args:
        books: where it is kept.
        account_id: whose.
        method: how the person was recognised.
        address: of the client.
        agent: of the client, as it calls itself.
        lives: how long it lasts.
        instead_of: id of the session before it, None without.
    """
    session_id, now_ns = secrets.token_urlsafe(_ID_BYTES), clock.unix_ns()
    row = {
        "session_sha256": digest_of(session_id), "account_id": account_id, "method": method,
        "address": address, "agent": agent[:AGENT_CHARS], "created_at_ns": now_ns,
        "seen_at_ns": now_ns, "expires_at_ns": now_ns + lives.max_ns,
    }  # fmt: skip
    with books.write() as connection:
        # An account that was disabled while its password was being checked gets no session.
        is_able = sa.select(accounts.c.account_id).where(
            accounts.c.account_id == account_id, accounts.c.disabled_at_ns.is_(None)
        )
        if connection.execute(is_able).first() is not None:
            connection.execute(sessions.insert().values(row))
        if instead_of is not None:
            _end(connection, _TABLE.session_sha256 == digest_of(instead_of))
    note_change(books)
    return session_id


def end_session(books: Books, digest: str, account_id: str | None = None) -> bool:
    """End a session, with ``account_id`` only if it is that account's; tell whether one ended."""
    condition = _TABLE.session_sha256 == digest
    if account_id is not None:
        condition &= _TABLE.account_id == account_id
    with books.write() as connection:
        ended = _end(connection, condition)
    note_change(books)
    return ended > 0


def end_sessions_of(books: Books, connection: sa.Connection, account_id: str) -> int:
    """End all sessions of an account in a transaction of the caller's; return how many."""
    ended = _end(connection, _TABLE.account_id == account_id)
    note_change(books)
    return ended


def list_sessions(books: Books, account_id: str | None = None) -> list[Session]:
    """Return the sessions of one account or all, newest first; old ended ones are left out."""
    oldest_ns = clock.unix_ns() - KEPT_S * clock.NS_PER_S
    query = sa.select(sessions).where(_TABLE.expires_at_ns > oldest_ns)
    if account_id is not None:
        query = query.where(_TABLE.account_id == account_id)
    with books.read() as connection:
        rows = connection.execute(query.order_by(_TABLE.created_at_ns.desc())).mappings()
        return [session_of(row) for row in rows]


def mark_seen(connection: sa.Connection, digest: str, at_ns: int) -> None:
    """Write when a session was last used."""
    is_it = (_TABLE.session_sha256 == digest) & (_TABLE.seen_at_ns < at_ns)
    connection.execute(sessions.update().where(is_it).values(seen_at_ns=at_ns))


def forget_old(connection: sa.Connection, now_ns: int) -> None:
    """Delete sessions that ended long ago; what was done in them is in the audit trail."""
    oldest_ns = now_ns - KEPT_S * clock.NS_PER_S
    connection.execute(sessions.delete().where(_TABLE.expires_at_ns < oldest_ns))


def session_of(row: sa.RowMapping) -> Session:
    """Return a session of its row."""
    return Session(
        digest=row["session_sha256"], account_id=row["account_id"], method=row["method"],
        address=row["address"], agent=row["agent"], created_at_ns=row["created_at_ns"],
        seen_at_ns=row["seen_at_ns"], expires_at_ns=row["expires_at_ns"],
        ended_at_ns=row["ended_at_ns"],
    )  # fmt: skip


def _end(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> int:
    ended = connection.execute(
        sessions.update()
        .where(condition, _TABLE.ended_at_ns.is_(None))
        .values(ended_at_ns=clock.unix_ns())
    )
    return int(ended.rowcount)

"""Who presents a session or an API token: looked up in the books, remembered for a few seconds.

What this process changes itself (a sign-out, a revoked token) is seen at once; what another process
changes in the books, after :data:`REMEMBERED_NS` at most.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from tollbook import clock
from tollbook.books.tables_people import accounts, sessions
from tollbook.people.access_log import Seen, Used
from tollbook.people.accounts import account_of
from tollbook.people.sessions import SEEN_EVERY_NS, changes, digest_of, session_of
from tollbook.people.tokens import USED_EVERY_NS, token_of_secret

if TYPE_CHECKING:
    from tollbook.books.store import Books
    from tollbook.desk.permits import Principal
    from tollbook.people.access_log import Accesses
    from tollbook.people.sessions import Lives

REMEMBERED_NS: Final = 3 * clock.NS_PER_S
_ENTRIES_MAX: Final = 10_000


class _Remembered(NamedTuple):
    principal: Principal | None
    until_ns: int  # monotonic
    changes: int


class Visitors:
    """Finds who a session or a token stands for; safe in many threads.

    Args:
        books: where they are.
        lives: how long sessions last.
        accesses: where their use is noted.
    """

    def __init__(self, books: Books, lives: Lives, accesses: Accesses) -> None:
        self._books, self._lives, self._accesses = books, lives, accesses
        self._memory: OrderedDict[str, _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def remembered(self, secret: str) -> tuple[bool, Principal | None]:
        """Return whether it is known who a secret stands for without asking the books, and who."""
        with self._lock:
            found = self._memory.get(digest_of(secret))
        if (
            found is None
            or found.until_ns < clock.monotonic_ns()
            or found.changes != changes(self._books)
        ):
            return False, None
        return True, found.principal

    def of_session(self, session_id: str) -> Principal | None:
        """Return whose session an id is of; None where it is nobody's any more.

        Raises:
            BooksError: the books cannot be read.
        """
        known = changes(self._books)
        principal, left_ns = self._session(digest_of(session_id))
        return self._keep(session_id, principal, known, left_ns)

    def of_token(self, secret: str) -> Principal | None:
        """Return who presents an API token; None where it opens nothing.

        Raises:
            BooksError: the books cannot be read.
        """
        known, now_ns = changes(self._books), clock.unix_ns()
        token = token_of_secret(self._books, secret)
        if token is None or not token.is_alive(now_ns):
            return self._keep(secret, None, known, REMEMBERED_NS)
        if token.used_at_ns is None or now_ns - token.used_at_ns >= USED_EVERY_NS:
            self._accesses.note(Used(token.token_id, now_ns))
        left_ns = REMEMBERED_NS if token.expires_at_ns is None else token.expires_at_ns - now_ns
        return self._keep(secret, token.principal(), known, left_ns)

    def _session(self, digest: str) -> tuple[Principal | None, int]:
        query = sa.select(sessions).where(sessions.c.session_sha256 == digest)
        now_ns = clock.unix_ns()
        with self._books.read() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                return None, REMEMBERED_NS
            session = session_of(row)
            of_it = sa.select(accounts).where(accounts.c.account_id == session.account_id)
            account = account_of(connection.execute(of_it).mappings().one())
        if account.disabled_at_ns is not None or not session.is_alive(now_ns, self._lives):
            return None, REMEMBERED_NS
        # Often enough that a short idle time cannot pass between two notes.
        if now_ns - session.seen_at_ns >= min(SEEN_EVERY_NS, self._lives.idle_ns // 4):
            self._accesses.note(Seen(session.digest, now_ns))
        return account.principal(session.digest), session.expires_at_ns - now_ns

    def _keep(
        self, secret: str, principal: Principal | None, known: int, left_ns: int
    ) -> Principal | None:
        until_ns = clock.monotonic_ns() + max(0, min(REMEMBERED_NS, left_ns))
        with self._lock:
            self._memory[digest_of(secret)] = _Remembered(principal, until_ns, known)
            while len(self._memory) > _ENTRIES_MAX:
                self._memory.popitem(last=False)
        return principal

"""Sessions over time: a machine that does anything, against a model that is plain."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from tollbook import clock
from tollbook.books.store import open_books
from tollbook.desk.permits import Role
from tollbook.people import accounts, sessions, tokens
from tollbook.people.access_log import AccessLog
from tollbook.people.sessions import Lives
from tollbook.people.visitors import REMEMBERED_NS, Visitors

S = clock.NS_PER_S
LIVES = Lives(1800 * S, 7200 * S)
START_NS = 1_800_000_000 * S


class Sessions(RuleBasedStateMachine):
    """People sign in, look, wait, sign out, are disabled; nobody is ever let in who should not."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = START_NS
        self._real: tuple[Any, Any] = (clock.unix_ns, clock.monotonic_ns)
        clock.unix_ns = lambda: self.now_ns
        clock.monotonic_ns = lambda: self.now_ns
        self._dir = tempfile.TemporaryDirectory()
        self.books = open_books(Path(self._dir.name))
        self.log = AccessLog(self.books, 30)
        self.visitors = Visitors(self.books, LIVES, self.log)
        self.alive: dict[str, dict[str, Any]] = {}
        self.dead: set[str] = set()
        self.disabled: set[str] = set()

    @initialize()
    def people(self) -> None:
        for name in ("anna", "bob"):
            accounts.add_account(self.books, name=name, role=Role.OWNER, actor="test")

    def teardown(self) -> None:
        clock.unix_ns, clock.monotonic_ns = self._real
        self.log.close()
        self.books.close()
        self._dir.cleanup()

    @rule(target=held, name=st.sampled_from(["anna", "bob"]))
    def sign_in(self, name: str) -> str:
        account = accounts.found_account(self.books, name)
        made = sessions.begin_session(
            self.books, account.account_id, method="password", address="", agent="", lives=LIVES
        )
        if name in self.disabled:
            self.dead.add(made)
        else:
            self.alive[made] = {"name": name, "began": self.now_ns, "seen": self.now_ns}
        return made

    @rule(session=held)
    def look(self, session: str) -> None:
        is_known, found = self.visitors.remembered(session)
        if not is_known:
            found = self.visitors.of_session(session)
            self.log.flush()
        kept = self.alive.get(session)
        if kept is None:
            assert found is None
            return
        is_over = self.now_ns >= kept["began"] + LIVES.max_ns
        # When it was last used is written to a minute, and what is remembered holds for seconds.
        idle_ns = self.now_ns - kept["seen"]
        if is_over or idle_ns >= LIVES.idle_ns + REMEMBERED_NS:
            assert found is None
            self._died(session)
        elif idle_ns < LIVES.idle_ns - sessions.SEEN_EVERY_NS - REMEMBERED_NS:
            assert found is not None
            assert found.name == f"user:{kept['name']}"
            assert found.session == sessions.digest_of(session)
            kept["seen"] = self.now_ns
        elif found is None:
            self._died(session)
        else:
            kept["seen"] = self.now_ns

    @rule(seconds=st.one_of(st.integers(0, 5), st.integers(0, 4000)))
    def wait(self, seconds: int) -> None:
        self.now_ns += seconds * S

    @rule(session=consumes(held))
    def sign_out(self, session: str) -> None:
        sessions.end_session(self.books, sessions.digest_of(session))
        self._died(session)

    @rule(name=st.sampled_from(["anna", "bob"]))
    def end_all(self, name: str) -> None:
        account = accounts.found_account(self.books, name)
        with self.books.write() as connection:
            sessions.end_sessions_of(self.books, connection, account.account_id)
        self._all_died(name)

    @rule()
    def disable_or_enable_bob(self) -> None:
        is_disabled = "bob" not in self.disabled
        accounts.set_disabled(self.books, "bob", is_disabled=is_disabled, actor="test")
        self.disabled ^= {"bob"}
        self._all_died("bob")

    @rule()
    def forge(self) -> None:
        assert self.visitors.of_session("a session that nobody began") is None

    @invariant()
    def the_dead_stay_dead(self) -> None:
        for session in self.dead:
            is_known, found = self.visitors.remembered(session)
            assert not is_known or found is None

    def _died(self, session: str) -> None:
        self.alive.pop(session, None)
        self.dead.add(session)

    def _all_died(self, name: str) -> None:
        for session in [one for one, kept in self.alive.items() if kept["name"] == name]:
            self._died(session)


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


def test_looking_at_pages_writes_nothing(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        account = accounts.add_account(books, name="anna", role=Role.OWNER, actor="test")
        log = AccessLog(books, 30)
        visitors = Visitors(books, LIVES, log)
        made = sessions.begin_session(
            books, account.account_id, method="password", address="", agent="", lives=LIVES
        )
        with books.read() as connection:
            before = connection.exec_driver_sql("PRAGMA data_version").scalar()
            for _ in range(50):
                assert visitors.of_session(made) is not None
            log.flush()
            assert connection.exec_driver_sql("PRAGMA data_version").scalar() == before
        log.close()


def test_what_another_process_ends_is_seen_within_seconds(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        account = accounts.add_account(books, name="anna", role=Role.OWNER, actor="test")
        log = AccessLog(books, 30)
        visitors = Visitors(books, LIVES, log)
        made = sessions.begin_session(
            books, account.account_id, method="password", address="", agent="", lives=LIVES
        )
        assert visitors.of_session(made) is not None
        with books.write() as connection:  # as another process does: nothing is noted here
            connection.exec_driver_sql("UPDATE sessions SET ended_at_ns = 1")
        assert visitors.remembered(made)[0]
        later_ns, real = clock.monotonic_ns() + REMEMBERED_NS + 1, clock.monotonic_ns
        try:
            clock.monotonic_ns = lambda: later_ns
            assert not visitors.remembered(made)[0]
        finally:
            clock.monotonic_ns = real
        assert visitors.of_session(made) is None
        log.close()


def test_a_token_ends_when_it_expires_or_is_revoked(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        log = AccessLog(books, 30)
        visitors = Visitors(books, LIVES, log)
        soon_ns = clock.unix_ns() + 3600 * S
        made, secret = tokens.create_token(
            books, label="ci", permits=["spend"], expires_at_ns=soon_ns, actor="test"
        )
        found = visitors.of_token(secret)
        assert found is not None
        assert (found.name, found.session, found.role) == ("token:ci", None, None)
        assert {str(one) for one in found.permits} == {"spend:read"}
        log.flush()
        assert tokens.list_tokens(books)[0].used_at_ns is not None
        real = clock.unix_ns
        try:
            clock.unix_ns = lambda: soon_ns
            assert visitors.of_token(secret) is None
        finally:
            clock.unix_ns = real
        assert visitors.of_token(secret) is not None
        tokens.revoke_token(books, "ci", actor="test")
        assert not visitors.remembered(secret)[0]  # at once, in this process
        assert visitors.of_token(secret) is None
        assert visitors.of_token(tokens.PREFIX + "x") is None
        assert visitors.of_token(made.token_id) is None
        log.close()

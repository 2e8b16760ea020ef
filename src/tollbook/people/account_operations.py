"""What owners do to accounts, and everybody to their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook import clock
from tollbook.desk import Operation
from tollbook.desk.permits import Role, Scope
from tollbook.people import accounts
from tollbook.people.errors import AccountInputError, AccountNotFoundError, PeopleError
from tollbook.people.links import make_password_link, make_setup_link
from tollbook.people.sessions import Lives, Session, end_session, end_sessions_of, list_sessions
from tollbook.people.shown import account_row, link_url, session_row
from tollbook.people.signin import sign_in
from tollbook.people.throttle import Throttle

if TYPE_CHECKING:
    from tollbook.desk import Desk

_HOUR_NS: Final = 3600 * clock.NS_PER_S
_OWN_THROTTLE: Final = Throttle()
"""Of people who type their password again: whoever finds a browser open cannot guess on."""
_PREFIX_MIN_CHARS: Final = 8


class Nothing(Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing is asked."""


class AddAccount(Struct, forbid_unknown_fields=True, kw_only=True):
    """An account to be made."""

    name: str
    role: Role
    tenant: str | None = None
    """Of role tenant: the only one that it sees."""
    password: str | None = None
    """None: the answer has a link to choose one."""


class SetRole(Struct, forbid_unknown_fields=True, kw_only=True):
    """Another role for an account."""

    name: str
    role: Role
    tenant: str | None = None


class WhichAccount(Struct, forbid_unknown_fields=True, kw_only=True):
    """An account."""

    name: str


class LinkAccount(Struct, forbid_unknown_fields=True, kw_only=True):
    """Who an account is at a provider of OpenID Connect."""

    name: str
    issuer: str
    subject: str


class WhichSessions(Struct, forbid_unknown_fields=True, kw_only=True):
    """Sessions of one account or all."""

    name: str | None = None


class ChangePassword(Struct, forbid_unknown_fields=True, kw_only=True):
    """Another password of one's own."""

    current_password: str
    new_password: str


class WhichSession(Struct, forbid_unknown_fields=True, kw_only=True):
    """A session of one's own."""

    session: str
    """Its beginning, as it is listed."""


def lives_of(desk: Desk) -> Lives:
    """Return how long sessions last."""
    console = desk.config.console
    return Lives(int(console.session_idle_h * _HOUR_NS), int(console.session_max_h * _HOUR_NS))


def list_people(desk: Desk, asked: Nothing) -> dict[str, Any]:
    """Return all accounts, and how many sessions each has."""
    del asked
    now_ns, lives = clock.unix_ns(), lives_of(desk)
    alive = [one.account_id for one in list_sessions(desk.books) if one.is_alive(now_ns, lives)]
    found = accounts.list_accounts(desk.books)
    return {"rows": [account_row(one, alive.count(one.account_id)) for one in found]}


def add(desk: Desk, asked: AddAccount) -> dict[str, Any]:
    """Make an account; without a password, with a link to choose one."""
    made = accounts.add_account(
        desk.books, name=asked.name, role=asked.role, tenant_id=asked.tenant,
        password=asked.password, actor=desk.author,
    )  # fmt: skip
    return _with_link(desk, made) if asked.password is None else account_row(made)


def set_role(desk: Desk, asked: SetRole) -> dict[str, Any]:
    """Give an account another role; its sessions end."""
    changed = accounts.set_role(desk.books, asked.name, asked.role, asked.tenant, actor=desk.author)
    return account_row(changed)


def disable(desk: Desk, asked: WhichAccount) -> dict[str, Any]:
    """Keep an account from signing in; its sessions end."""
    return account_row(
        accounts.set_disabled(desk.books, asked.name, is_disabled=True, actor=desk.author)
    )


def enable(desk: Desk, asked: WhichAccount) -> dict[str, Any]:
    """Let a disabled account sign in again."""
    return account_row(
        accounts.set_disabled(desk.books, asked.name, is_disabled=False, actor=desk.author)
    )


def reset(desk: Desk, asked: WhichAccount) -> dict[str, Any]:
    """Make a link to choose another password; earlier ones open nothing any more."""
    return _with_link(desk, accounts.found_account(desk.books, asked.name))


def _with_link(desk: Desk, account: accounts.Account) -> dict[str, Any]:
    link = link_url(desk.config, make_password_link(desk.books, account))
    return account_row(account) | {"link": link, "link_works": "once, for a day"}


def setup(desk: Desk, asked: Nothing) -> dict[str, Any]:
    """Make the link that makes the first owner; there is none once there is an account."""
    del asked
    secret = make_setup_link(desk.books)
    if secret is None:
        return {"link": None, "link_works": "not any more: there is an account"}
    return {
        "link": link_url(desk.config, secret, is_local=True),
        "link_works": "once, for an hour, on this machine",
    }


def link(desk: Desk, asked: LinkAccount) -> dict[str, Any]:
    """Say who an account is at the provider of OpenID Connect."""
    return account_row(
        accounts.set_subject(desk.books, asked.name, asked.issuer, asked.subject, actor=desk.author)
    )


def sessions(desk: Desk, asked: WhichSessions) -> dict[str, Any]:
    """Return the sessions of one account or of all, newest first."""
    names = {one.account_id: one.name for one in accounts.list_accounts(desk.books)}
    only = None
    if asked.name is not None:
        only = accounts.found_account(desk.books, asked.name).account_id
    return {"rows": _session_rows(desk, list_sessions(desk.books, only), names)}


def _session_rows(desk: Desk, found: list[Session], names: dict[str, str]) -> list[dict[str, Any]]:
    lives = lives_of(desk)
    return [session_row(one, names[one.account_id], lives) for one in found]


def end_sessions(desk: Desk, asked: WhichAccount) -> dict[str, Any]:
    """End all sessions of an account."""
    account = accounts.found_account(desk.books, asked.name)
    with desk.books.write() as connection:
        ended = end_sessions_of(desk.books, connection, account.account_id)
    return {"account": account.name, "ended": ended}


def _own(desk: Desk) -> accounts.Account:
    """Return the account of whoever asks.

    Raises:
        PeopleError: a token or a command asks, which has none.
    """
    name = desk.author or ""
    if not name.startswith(accounts.PREFIX):
        raise PeopleError(f"{name or 'this command'} has no account; sign in to the console")
    return accounts.found_account(desk.books, name.removeprefix(accounts.PREFIX))


def show_own(desk: Desk, asked: Nothing) -> dict[str, Any]:
    """Return one's own account and its sessions."""
    del asked
    own = _own(desk)
    found = list_sessions(desk.books, own.account_id)
    rows = _session_rows(desk, found, {own.account_id: own.name})
    return {"account": account_row(own), "rows": rows}


def change_password(desk: Desk, asked: ChangePassword) -> dict[str, Any]:
    """Change one's own password; all one's sessions end, this one too."""
    own = _own(desk)
    if own.has_password:
        # Also what is typed by somebody who has signed in counts as an attempt.
        sign_in(desk.books, _OWN_THROTTLE, own.name, asked.current_password, "")
    else:
        raise AccountInputError(
            "password", "this account signs in without; ask an owner for a link"
        )
    accounts.set_password(desk.books, own.name, asked.new_password, actor=desk.author)
    return {"account": own.name, "sessions": "ended; sign in again"}


def end_own(desk: Desk, asked: WhichSession) -> dict[str, Any]:
    """End a session of one's own."""
    own = _own(desk)
    if len(asked.session) < _PREFIX_MIN_CHARS:
        raise AccountInputError("session", "give it as it is listed")
    for one in list_sessions(desk.books, own.account_id):
        if one.digest.startswith(asked.session):
            end_session(desk.books, one.digest, own.account_id)
            return {"session": asked.session, "state": "ended"}
    raise AccountNotFoundError(asked.session)


def end_all_own(desk: Desk, asked: Nothing) -> dict[str, Any]:
    """End all sessions of one's own, this one too."""
    del asked
    own = _own(desk)
    with desk.books.write() as connection:
        return {"ended": end_sessions_of(desk.books, connection, own.account_id)}


def _of_people(verb: str, path: str, request: type[Struct], run: Any, summary: str) -> Operation:
    return Operation(f"people.{verb}", "POST", path, request, run, summary, scope=Scope.PEOPLE)


def _own_deed(verb: str, path: str, request: type[Struct], run: Any, summary: str) -> Operation:
    return Operation(
        f"account.{verb}", "POST", path, request, run, summary, scope=Scope.SPEND, is_own=True
    )


OPERATIONS: Final = (
    Operation("people.list", "GET", "/people", Nothing, list_people, "All accounts.",
              scope=Scope.PEOPLE),
    Operation("people.sessions", "GET", "/people/sessions", WhichSessions, sessions,
              "Sessions of one account or of all.", scope=Scope.PEOPLE),
    _of_people("add", "/people", AddAccount, add, "Make an account."),
    _of_people("setup", "/people/setup", Nothing, setup, "Make a link for the first owner."),
    _of_people("role", "/people/role", SetRole, set_role, "Give an account another role."),
    _of_people("disable", "/people/disable", WhichAccount, disable, "Disable an account."),
    _of_people("enable", "/people/enable", WhichAccount, enable, "Enable an account again."),
    _of_people("reset", "/people/reset", WhichAccount, reset, "Make a link to choose a password."),
    _of_people("link", "/people/link", LinkAccount, link,
               "Link an account to somebody at the provider of single sign-on."),
    _of_people("end-sessions", "/people/sessions/end", WhichAccount, end_sessions,
               "End all sessions of an account."),
    Operation("account.show", "GET", "/account", Nothing, show_own,
              "One's own account and its sessions.", scope=Scope.SPEND),
    _own_deed("password", "/account/password", ChangePassword, change_password,
              "Change one's own password."),
    _own_deed("end-session", "/account/sessions/end", WhichSession, end_own,
              "End a session of one's own."),
    _own_deed("end-sessions", "/account/sessions/end-all", Nothing, end_all_own,
              "End all sessions of one's own."),
)  # fmt: skip

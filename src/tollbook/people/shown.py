"""Accounts, sessions and tokens as rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tollbook import clock
from tollbook.people.errors import AccountInputError
from tollbook.reports.errors import QueryError
from tollbook.reports.query import LATEST
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from tollbook.config import Config
    from tollbook.people.accounts import Account
    from tollbook.people.sessions import Lives, Session
    from tollbook.people.tokens import ApiToken

SESSION_CHARS: Final = 16
"""Of a session's digest that people see; enough to tell sessions apart, and opens nothing."""
_ANY_ADDRESS: Final = ("0.0.0.0", "::", "")  # noqa: S104 -- compared, not bound
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DIGITS_MAX: Final = 5


def when(at_ns: int | None) -> str | None:
    """Return a moment as text, to the second, in UTC."""
    if at_ns is None:
        return None
    at = datetime.fromtimestamp(at_ns // clock.NS_PER_S, UTC)
    return at.isoformat().replace("+00:00", "Z")


def account_row(one: Account, live_sessions: int | None = None) -> dict[str, Any]:
    """Return an account as a row."""
    ways = [
        *(["password"] if one.has_password else []),
        *(["single sign-on"] if one.issuer is not None else []),
    ]
    return {
        "name": one.name, "role": one.role.value, "tenant": one.tenant_id,
        "state": "active" if one.disabled_at_ns is None else "disabled",
        "signs_in_with": " or ".join(ways) or None, "sessions": live_sessions,
        "created_at": when(one.created_at_ns), "created_by": one.created_by,
        "disabled_at": when(one.disabled_at_ns),
    }  # fmt: skip


def session_row(one: Session, name: str, lives: Lives) -> dict[str, Any]:
    """Return a session as a row."""
    is_alive = one.is_alive(clock.unix_ns(), lives)
    state = "active" if is_alive else "ended" if one.ended_at_ns is not None else "expired"
    return {
        "session": one.digest[:SESSION_CHARS], "account": name, "state": state,
        "method": one.method, "address": one.address, "agent": one.agent,
        "began_at": when(one.created_at_ns), "seen_at": when(one.seen_at_ns),
        "ends_at": when(min(one.expires_at_ns, one.seen_at_ns + lives.idle_ns)),
        "ended_at": when(one.ended_at_ns),
    }  # fmt: skip


def token_row(one: ApiToken) -> dict[str, Any]:
    """Return a token as a row."""
    state = "active" if one.is_alive(clock.unix_ns()) else "expired"
    return {
        "token_id": one.token_id, "label": one.label,
        "state": state if one.revoked_at_ns is None else "revoked",
        "permits": " ".join(one.permits), "tenant": one.tenant_id,
        "created_at": when(one.created_at_ns), "created_by": one.created_by,
        "expires_at": when(one.expires_at_ns), "used_at": when(one.used_at_ns),
        "revoked_at": when(one.revoked_at_ns),
    }  # fmt: skip


def link_url(config: Config, secret: str, *, is_local: bool = False) -> str:
    """Return the address of a link that works once; ``is_local``: for the machine itself."""
    console = config.console
    base = console.public_url
    if base is None or is_local:
        host = "127.0.0.1" if console.host in _ANY_ADDRESS or is_local else console.host
        base = f"http://{f'[{host}]' if ':' in host else host}:{console.port}"
    return f"{base.rstrip('/')}/login/link?token={secret}"


def expiry_ns(text: str | None) -> int | None:
    """Return the moment that something ends; a bare length such as ``90d`` counts from now.

    Raises:
        AccountInputError: it is not understood, or too late.
    """
    if text is None:
        return None
    given = text.strip().lower()
    try:
        if given[:-1].isdecimal() and given[-1:] in _UNITS and len(given) <= _DIGITS_MAX + 1:
            length = timedelta(**{_UNITS[given[-1]]: int(given[:-1])})
            at = clock.utc_now() + length
        else:
            at = parse_period(text, zone_of("UTC"), clock.utc_now(), "expires").start
    except (QueryError, OverflowError) as error:
        raise AccountInputError(
            "expires", f"{text[:40]!r}: give a date, or 12h, 90d, 4w"
        ) from error
    if at > LATEST:
        raise AccountInputError("expires", "lies after 2200; leave it out for no end")
    return int(at.timestamp()) * clock.NS_PER_S

"""Session cookies and API tokens as authenticators of the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from tollbook.console.bearer import bearer_token
from tollbook.console.origin import origin_of
from tollbook.people.tokens import PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar.types import HTTPScope

    from tollbook.config.people import Console
    from tollbook.desk.permits import Principal
    from tollbook.people.visitors import Visitors

SESSION: Final = "tollbook-session"
_SECURE_PREFIX: Final = "__Host-"
_VALUE_MAX_CHARS: Final = 4096
_THREADS: Final = 4
"""Of their own: reports that take long must not keep people from being recognised."""


def cookie_name(name: str, *, is_secure: bool) -> str:
    """Return the name of a cookie; over HTTPS one that no other host or plain page can set."""
    return _SECURE_PREFIX + name if is_secure else name


def cookie_of(scope: HTTPScope, console: Console, name: str) -> str | None:
    """Return a cookie of ours; None where there is none, or several."""
    wanted = cookie_name(name, is_secure=origin_of(scope, console).is_secure)
    found = [
        value
        for key, text in scope["headers"]
        if key.lower() == b"cookie"
        for given, _, value in (
            part.strip().partition("=") for part in text.decode("latin-1").split(";")
        )
        if given == wanted
    ]
    return found[0] if len(found) == 1 and len(found[0]) <= _VALUE_MAX_CHARS else None


def set_cookie(
    name: str, value: str, *, is_secure: bool, max_age_s: int | None = None
) -> tuple[str, str]:
    """Return the header that sets a cookie, for scripts unreadable; an empty value removes it.

    Args:
        name: without prefix.
        value: of URL-safe characters.
        is_secure: whether the browser is at an ``https`` address; on plain HTTP (this machine) the
            ``Secure`` attribute would keep some browsers from storing it.
        max_age_s: how long it is kept; None: until the browser is closed.
    """
    parts = [f"{cookie_name(name, is_secure=is_secure)}={value}", "Path=/", "HttpOnly"]
    parts += ["SameSite=Lax", *(["Secure"] if is_secure else [])]
    if not value:
        max_age_s = 0
    if max_age_s is not None:
        parts.append(f"Max-Age={max_age_s}")
    return "set-cookie", "; ".join(parts)


class Recognised:
    """Authenticators that look in the books, in threads, where memory does not tell.

    Args:
        visitors: who looks.
        console: where the console is.
    """

    def __init__(self, visitors: Visitors, console: Console) -> None:
        self._visitors, self._console = visitors, console
        self._limiter: CapacityLimiter | None = None  # belongs to the event loop that runs first

    async def by_session(self, scope: HTTPScope) -> Principal | None:
        """Return whose session cookie a request has."""
        session_id = cookie_of(scope, self._console, SESSION)
        if not session_id:
            return None
        return await self._ask(self._visitors.of_session, session_id)

    async def by_token(self, scope: HTTPScope) -> Principal | None:
        """Return whose API token a request has."""
        secret = bearer_token(scope)
        if secret is None or not secret.startswith(PREFIX) or len(secret) > _VALUE_MAX_CHARS:
            return None
        return await self._ask(self._visitors.of_token, secret)

    async def _ask(self, look: Callable[[str], Principal | None], secret: str) -> Principal | None:
        is_known, principal = self._visitors.remembered(secret)
        if is_known:
            return principal
        if self._limiter is None:
            self._limiter = CapacityLimiter(_THREADS)
        return await run_sync(look, secret, limiter=self._limiter)


if TYPE_CHECKING:
    AsyncAuthenticator = Callable[[HTTPScope], Awaitable[Principal | None]]

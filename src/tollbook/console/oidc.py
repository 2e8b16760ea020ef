"""Signing in through a provider of OpenID Connect: the way there and the way back.

What must be remembered until the browser is back stands in a cookie of that browser, signed:
nothing is kept for strangers, and an answer counts only in the browser that asked.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from anyio.to_thread import run_sync
from litestar import Request, Response, get
from litestar.response import Redirect

from tollbook import clock
from tollbook.console.origin import client_address
from tollbook.console.pages.deeds import own_path
from tollbook.console.sessions import cookie_of, set_cookie
from tollbook.console.watch import NOBODY
from tollbook.people.errors import OidcError, PeopleError, SignInError
from tollbook.people.oidc import Started
from tollbook.people.oidc_accounts import account_for

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from tollbook.console.login import LoginPages
    from tollbook.people.accounts import Account
    from tollbook.people.oidc import OidcClient

_Asked = Request[Any, Any, Any]
_COOKIE: Final = "tollbook-oidc"
_LIFE_S: Final = 600
CALLBACK: Final = "/login/oidc/callback"


def oidc_handlers(pages: LoginPages, client: OidcClient) -> list[HTTPRouteHandler]:
    """Return the routes at ``/login/oidc``."""

    @get("/oidc", sync_to_thread=True, name="login_oidc")
    def begin(request: _Asked) -> Response[Any]:
        """Send the browser to the provider."""
        origin = pages.origin(request)
        if not pages.may_sign_in(request):
            return pages.page(request, "login", **pages.of_login("/"))
        until_ns = clock.unix_ns() + _LIFE_S * clock.NS_PER_S
        then = own_path(request.query_params.get("next", "/"))
        try:
            pages.doors.throttle.attempt("single sign-on", client_address(request.scope))
            url, started = client.begin(f"{origin.url}{CALLBACK}", then, until_ns)
        except PeopleError as error:
            return pages.refused(request, "login", error, **pages.of_login(then))
        name, cookie = set_cookie(
            _COOKIE, _sealed(pages.doors.csrf_secret, started), is_secure=origin.is_secure,
            max_age_s=_LIFE_S,
        )  # fmt: skip
        return Redirect(url, status_code=303, headers={"cache-control": "no-store", name: cookie})

    @get("/oidc/callback", name="login_oidc_callback")
    async def back(request: _Asked) -> Response[Any]:
        """Take the provider's answer."""
        return await _returned(pages, client, request)

    return [begin, back]


async def _returned(pages: LoginPages, client: OidcClient, request: _Asked) -> Response[Any]:
    sealed = cookie_of(request.scope, pages.doors.console, _COOKIE)
    answer = {name: request.query_params[name] for name in request.query_params}

    def account() -> tuple[Account, str]:
        started = None if sealed is None else _opened(pages.doors.csrf_secret, sealed)
        if started is None:
            raise OidcError("this browser has not begun to sign in; begin again, with cookies on")
        person = client.finish(started, answer)
        return account_for(pages.doors.books, client.settings, person), started.then

    try:
        found, then = await run_sync(account)
    except PeopleError as error:
        pages.note(request, NOBODY, "sign-in", "failed", "oidc")
        shown = await run_sync(pages.of_login, "/")
        response: Response[Any] = pages.refused(request, "login", error, **shown)
        response.status_code = _status(error)
        return response
    return await pages.let_in(request, found, "oidc", then)


def _status(error: PeopleError) -> int:
    return HTTPStatus.FORBIDDEN if isinstance(error, SignInError) else HTTPStatus.BAD_REQUEST


def _sealed(secret: bytes, started: Started) -> str:
    content = urlsafe_b64encode(msgspec.json.encode(started)).decode().rstrip("=")
    return f"{content}.{_mark(secret, content)}"


def _opened(secret: bytes, sealed: str) -> Started | None:
    content, _, mark = sealed.partition(".")
    if not hmac.compare_digest(_mark(secret, content).encode(), mark.encode()):
        return None
    padded = content + "=" * (-len(content) % 4)
    try:
        return msgspec.json.decode(urlsafe_b64decode(padded), type=Started)
    except (ValueError, msgspec.DecodeError):
        return None


def _mark(secret: bytes, content: str) -> str:
    return hmac.new(secret, b"oidc:" + content.encode(), hashlib.sha256).hexdigest()

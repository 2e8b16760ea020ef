"""The pages where people sign in and out. No script is needed."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from anyio.to_thread import run_sync
from litestar import Request, Response, Router, get, post
from litestar.exceptions import PermissionDeniedException
from litestar.response import Redirect

from tollbook.console.origin import (
    Origin,
    client_address,
    header,
    is_from_own_page,
    origin_of,
)
from tollbook.console.pages.csrf import FIELD, is_genuine
from tollbook.console.pages.deeds import own_path
from tollbook.console.pages.render import environment
from tollbook.console.pages.router import HEADERS
from tollbook.console.permit import OPEN
from tollbook.console.sessions import SESSION, cookie_of, set_cookie
from tollbook.console.watch import NOBODY
from tollbook.desk.permits import Principal, Role
from tollbook.people.access_log import access
from tollbook.people.accounts import (
    PREFIX,
    Account,
    has_accounts,
    password_hash_of,
)
from tollbook.people.errors import PeopleError, SignInError, ThrottledError
from tollbook.people.passwords import MIN_CHARS
from tollbook.people.sessions import begin_session, end_session
from tollbook.people.signin import sign_in

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from tollbook.console.doors import Doors

_Asked = Request[Any, Any, Any]
_FORM: Final = "tollbook-form"
"""Cookie that a form of somebody without a session is bound to."""
_NAME_SHOWN_CHARS: Final = 64
NEXT: Final = "next"
PORTAL: Final = "/portal/"


class LoginPages:
    """What the routes below share.

    Args:
        doors: sessions, throttle, access log.
    """

    def __init__(self, doors: Doors) -> None:
        self.doors = doors

    def origin(self, request: _Asked) -> Origin:
        """Return where the browser believes it is."""
        return origin_of(request.scope, self.doors.console)

    def page(
        self, request: _Asked, what: str, *, status: int = HTTPStatus.OK,
        problem: str | None = None, **more: Any,
    ) -> Response[str]:  # fmt: skip
        """Return a page of the template, with a form that is bound to this browser."""
        bound = cookie_of(request.scope, self.doors.console, _FORM) or secrets.token_urlsafe(16)
        origin = self.origin(request)
        text = environment().get_template("login.html").render(
            what=what, problem=problem, form_token=self._form_token(bound), more=more,
            min_chars=MIN_CHARS, is_refused=not self.may_sign_in(request),
        )  # fmt: skip
        name, cookie = set_cookie(_FORM, bound, is_secure=origin.is_secure)
        return Response(
            text, media_type="text/html", status_code=status, headers={**HEADERS, name: cookie}
        )

    def may_sign_in(self, request: _Asked) -> bool:
        """Whether a password can be sent from where the browser is without others reading it."""
        origin = self.origin(request)
        return origin.is_secure or origin.is_local or self.doors.console.insecure_login

    async def form(self, request: _Asked) -> dict[str, str]:
        """Return the fields of a form of ours.

        Raises:
            PermissionDeniedException: it was not made for this browser, or another site sent it,
                or it came over a line that others can read.
        """
        if not self.may_sign_in(request):
            raise PermissionDeniedException(
                "signing in over plain HTTP is refused; set [console] public_url to an https one"
            )
        fields = {
            name: value for name, value in (await request.form()).items() if isinstance(value, str)
        }
        bound = cookie_of(request.scope, self.doors.console, _FORM) or ""
        right = self._form_token(bound).encode()
        is_ours = bool(bound) and hmac.compare_digest(
            right, fields.get(FIELD, "").encode(errors="replace")
        )
        if not is_ours or not is_from_own_page(request.scope, self.doors.console, must_say=False):
            raise PermissionDeniedException(
                "the form was not made for this browser; load the page again, with cookies allowed"
            )
        return fields

    def _form_token(self, bound: str) -> str:
        text = b"form:" + bound.encode()
        return hmac.new(self.doors.csrf_secret, text, hashlib.sha256).hexdigest()

    async def let_in(
        self, request: _Asked, account: Account, method: str, then: str
    ) -> Response[Any]:
        """Begin a session with an id that nobody has seen, and send the browser on."""
        before = cookie_of(request.scope, self.doors.console, SESSION)
        address = client_address(request.scope)

        def begin() -> str:
            return begin_session(
                self.doors.books, account.account_id, method=method, address=address,
                agent=header(request.scope, b"user-agent") or "", lives=self.doors.lives,
                instead_of=before,
            )  # fmt: skip

        session_id = await run_sync(begin)
        self.note(request, f"{PREFIX}{account.name}", "sign-in", "ok", method)
        target = PORTAL if account.role is Role.TENANT else own_path(then)
        return self.sent_on(request, target, session_id)

    def sent_on(self, request: _Asked, target: str, session_id: str) -> Response[Any]:
        """Return a redirect that sets the session cookie, or removes it."""
        name, cookie = set_cookie(SESSION, session_id, is_secure=self.origin(request).is_secure)
        return Redirect(
            target, status_code=303, headers={"cache-control": "no-store", name: cookie}
        )

    def note(self, request: _Asked, actor: str, kind: str, outcome: str, how: str = "") -> None:
        """Note a sign-in or what came of trying."""
        self.doors.accesses.note(
            access(
                actor=actor, kind=kind, path=request.url.path, outcome=outcome, query=how,
                address=client_address(request.scope),
            )
        )  # fmt: skip

    def refused(self, request: _Asked, what: str, error: PeopleError, **more: Any) -> Response[str]:
        """Return the page again, with what is wrong."""
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        if isinstance(error, ThrottledError):
            status = HTTPStatus.TOO_MANY_REQUESTS
        elif isinstance(error, SignInError):
            status = HTTPStatus.UNAUTHORIZED
        page = self.page(request, what, problem=error.message, status=status, **more)
        if isinstance(error, ThrottledError):
            page.headers["retry-after"] = str(error.retry_after_s)
        return page

    def of_login(self, then: str, name: str = "") -> dict[str, Any]:
        """Return what the login page shows."""
        label = self.doors.oidc_label if self.doors.oidc is not None else None
        return {
            "then": own_path(then), "name": name[:_NAME_SHOWN_CHARS], "single_sign_on": label,
            "has_accounts": has_accounts(self.doors.books),
        }  # fmt: skip


def login_router(doors: Doors) -> Router:
    """Return the routes below ``/login``."""
    from tollbook.console.links import link_handlers  # noqa: PLC0415 -- it knows this module

    pages = LoginPages(doors)
    handlers = [*_handlers(pages), *link_handlers(pages)]
    if doors.oidc is not None:
        from tollbook.console.oidc import oidc_handlers  # noqa: PLC0415 -- needs an extra

        handlers += oidc_handlers(pages, doors.oidc)
    return Router("/login", route_handlers=handlers, include_in_schema=False, opt=OPEN)


def _handlers(pages: LoginPages) -> list[HTTPRouteHandler]:
    @get("/", sync_to_thread=True, name="login")
    def show(request: _Asked) -> Response[Any]:
        """Show the form, or send on who has signed in already."""
        return _shown(pages, request)

    @post("/", status_code=HTTPStatus.OK, name="login_try")
    async def log_in(request: _Asked) -> Response[Any]:
        """Sign in with a name and a password."""
        return await _tried(pages, request)

    @post("/out", status_code=HTTPStatus.OK, name="login_out")
    async def log_out(request: _Asked) -> Response[Any]:
        """End this session."""
        return await _signed_out(pages, request)

    @get("/bye", sync_to_thread=True, name="login_bye")
    def bye(request: _Asked) -> Response[Any]:
        """Say that one has signed out, and how to sign out of single sign-on as well."""
        oidc, url = pages.doors.oidc, None
        if oidc is not None:
            # Where the provider is away one is signed out here all the same.
            with suppress(PeopleError):
                url = oidc.sign_out_url(f"{pages.origin(request).url}/login")
        return pages.page(request, "bye", sign_out_url=url, label=pages.doors.oidc_label)

    return [show, log_in, log_out, bye]


def _shown(pages: LoginPages, request: _Asked) -> Response[Any]:
    user, then = request.scope.get("user"), request.query_params.get(NEXT, "/")
    if isinstance(user, Principal) and user.session is not None:
        target = PORTAL if user.tenant is not None else own_path(then)
        return Redirect(target, status_code=303, headers={"cache-control": "no-store"})
    return pages.page(request, "login", **pages.of_login(then))


async def _tried(pages: LoginPages, request: _Asked) -> Response[Any]:
    fields, doors = await pages.form(request), pages.doors
    name, then = fields.get("name", ""), fields.get(NEXT, "/")
    password, address = fields.get("password", ""), client_address(request.scope)
    try:
        account = await run_sync(sign_in, doors.books, doors.throttle, name, password, address)
    except PeopleError as error:
        # What was typed may be a password in the wrong field: only a name that exists is kept.
        found = await run_sync(password_hash_of, doors.books, name)
        actor = NOBODY if found is None else f"{PREFIX}{found[0].name}"
        pages.note(request, actor, "sign-in", "failed", "password")
        shown = await run_sync(pages.of_login, then, name)
        return pages.refused(request, "login", error, **shown)
    return await pages.let_in(request, account, "password", then)


async def _signed_out(pages: LoginPages, request: _Asked) -> Response[Any]:
    user = request.scope.get("user")
    if not isinstance(user, Principal) or user.session is None:
        return pages.sent_on(request, "/login", "")
    given = str((await request.form()).get(FIELD, ""))
    if not is_genuine(pages.doors.csrf_secret, user, given):
        raise PermissionDeniedException("the form was not made for this session")
    await run_sync(end_session, pages.doors.books, user.session)
    pages.note(request, user.name, "sign-out", "ok")
    return pages.sent_on(request, "/login/bye", "")

"""What every request passes first: who is it, may it come from there, and what is remembered."""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from litestar.enums import ScopeType

from tollbook.config.people import Console
from tollbook.console.origin import is_from_own_page
from tollbook.console.problems import MEDIA_TYPE, problem_body
from tollbook.console.watch import SAFE_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

    from tollbook.console.watch import Watch
    from tollbook.desk.permits import Principal

    Authenticator = Callable[[HTTPScope], Principal | Awaitable[Principal | None] | None]

QUERY_MAX_BYTES: Final = 32_768
_OPEN_PATHS: Final = frozenset(["/healthz", "/login", "/portal"])
_OPEN_PREFIXES: Final = ("/static/", "/login/", "/portal/")
"""Where people come who have not signed in, and tenants with tokens of their portals; each route
there has its own check."""
_API: Final = ("/api/", "/v1/")
_FORMS: Final = "/do/"
"""Forms carry a token of their own, so browsers that do not say where they come from may send
them."""


class Gate:
    """ASGI middleware: 401 for nobody, 403 for other sites, 414 for an overlong query.

    Args:
        app: what is behind it.
        authenticators: asked in turn who a request is from.
        console: where the console is.
        watch: notes who saw what; None: nobody does.
    """

    def __init__(
        self, app: ASGIApp, *, authenticators: Sequence[Authenticator],
        console: Console | None = None, watch: Watch | None = None,
    ) -> None:  # fmt: skip
        self._app = app
        self._authenticators = authenticators
        self._console, self._watch = console or Console(), watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer it."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        if len(scope["query_string"]) > QUERY_MAX_BYTES:
            detail = f"the query is longer than {QUERY_MAX_BYTES} bytes"
            await _refuse(send, HTTPStatus.REQUEST_URI_TOO_LONG, detail)
            return
        if self._watch is not None:
            send = self._watch.watched(scope, send)
        principal = await self._who(scope)
        if principal is not None:
            scope["user"] = principal
            if not self._is_own(scope, principal):
                detail = "this was sent by a page of another site; repeat it from the console"
                await _refuse(send, HTTPStatus.FORBIDDEN, detail)
                return
        elif not _is_open(scope["path"]):
            await _ask_who(scope, send)
            return
        await self._app(scope, receive, send)

    async def _who(self, scope: HTTPScope) -> Principal | None:
        for ask in self._authenticators:
            found = ask(scope)
            if isinstance(found, Awaitable):
                found = await found
            if found is not None:
                return found
        return None

    def _is_own(self, scope: HTTPScope, principal: Principal) -> bool:
        """Whether a browser was not made to send a request by somebody else's page."""
        if principal.session is None or scope["method"] in SAFE_METHODS:
            return True
        is_form = scope["path"].startswith(_FORMS) or _is_open(scope["path"])
        return is_from_own_page(scope, self._console, must_say=not is_form)


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES)


async def _ask_who(scope: HTTPScope, send: Send) -> None:
    accept = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept")
    is_browser = b"text/html" in accept and not scope["path"].startswith(_API)
    if is_browser and scope["method"] == "GET":
        target = scope["path"]
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        location = f"/login?next={quote(target, safe='')}".encode("latin-1")
        await _send(send, HTTPStatus.SEE_OTHER, b"", [(b"location", location)])
        return
    await _refuse(
        send,
        HTTPStatus.UNAUTHORIZED,
        "give an API token, or that of the file console.token in the data directory, as "
        "'Authorization: Bearer TOKEN'",
        [(b"www-authenticate", b'Bearer realm="tollbook"')],
    )


async def _refuse(
    send: Send, status: HTTPStatus, detail: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    content_type = (b"content-type", MEDIA_TYPE.encode())
    await _send(send, status, problem_body(status, detail), [content_type, *(headers or [])])


async def _send(
    send: Send, status: HTTPStatus, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})

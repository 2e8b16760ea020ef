"""What every request passes first: who is it, and limits on what may be asked."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from litestar.enums import ScopeType

from tollbook.console.problems import MEDIA_TYPE, problem_body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

    from tollbook.desk.permits import Principal

    Authenticator = Callable[[HTTPScope], Principal | None]

QUERY_MAX_BYTES: Final = 32_768
_OPEN_PATHS: Final = frozenset(["/healthz", "/login"])
_OPEN_PREFIXES: Final = ("/static/", "/login/", "/portal/")
"""Where people come who have not signed in, and tenants with tokens of their portals; each route
there has its own check."""
_API: Final = ("/api/", "/v1/")


class Gate:
    """ASGI middleware: 401 for nobody, 414 for an overlong query; some paths are open.

    Args:
        app: what is behind it.
        authenticators: asked in turn who a request is from.
    """

    def __init__(self, app: ASGIApp, *, authenticators: Sequence[Authenticator]) -> None:
        self._app = app
        self._authenticators = authenticators

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer it."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        if len(scope["query_string"]) > QUERY_MAX_BYTES:
            detail = f"the query is longer than {QUERY_MAX_BYTES} bytes"
            await _refuse(send, HTTPStatus.REQUEST_URI_TOO_LONG, detail)
            return
        principal = next(filter(None, (ask(scope) for ask in self._authenticators)), None)
        if principal is not None:
            scope["user"] = principal
        elif not _is_open(scope["path"]):
            await _ask_who(scope, send)
            return
        await self._app(scope, receive, send)


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

"""What every request passes first: the bearer token, and limits on what may be asked."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from litestar.enums import ScopeType

from tollbook.console.auth import is_token
from tollbook.console.problems import MEDIA_TYPE, problem_body

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

QUERY_MAX_BYTES: Final = 32_768
_OPEN_PATHS: Final = frozenset(["/healthz"])
_SCHEME: Final = b"bearer "


class Gate:
    """ASGI middleware: 401 without the token, 414 for an overlong query; ``/healthz`` is open."""

    def __init__(self, app: ASGIApp, *, token_digest: bytes) -> None:
        self._app = app
        self._token_digest = token_digest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer it."""
        if scope["type"] != ScopeType.HTTP or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
        elif not self._has_token(scope["headers"]):
            await _refuse(
                send,
                HTTPStatus.UNAUTHORIZED,
                "give the token of the file console.token in the data directory as "
                "'Authorization: Bearer TOKEN'",
                [(b"www-authenticate", b'Bearer realm="tollbook"')],
            )
        elif len(scope["query_string"]) > QUERY_MAX_BYTES:
            await _refuse(
                send,
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"the query is longer than {QUERY_MAX_BYTES} bytes",
            )
        else:
            await self._app(scope, receive, send)

    def _has_token(self, headers: list[tuple[bytes, bytes]] | object) -> bool:
        assert isinstance(headers, (list, tuple))
        values = [value for name, value in headers if name.lower() == b"authorization"]
        if len(values) != 1 or not values[0].lower().startswith(_SCHEME):
            return False
        return is_token(values[0][len(_SCHEME) :].decode("latin-1").strip(), self._token_digest)


async def _refuse(
    send: Send, status: HTTPStatus, detail: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = problem_body(status, detail)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", MEDIA_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
                *(headers or []),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})

"""Notes who saw what: every answer to somebody who was recognised, and what was denied to others.

What is done is in the audit trail already, by the operation that did it; here is what was looked
at, exported, and refused.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from tollbook.console.origin import client_address
from tollbook.desk.permits import Principal
from tollbook.people.access_log import access
from tollbook.people.throttle import Buckets, Rate, network_of

if TYPE_CHECKING:
    from litestar.types import HTTPScope, Send

    from tollbook.people.access_log import Accesses

SAFE_METHODS: Final = frozenset(["GET", "HEAD", "OPTIONS"])
_SILENT: Final = frozenset(
    ["/healthz", "/api/v1/status", "/api/v1/tail", "/api/v1/ingest", "/api/v1/openapi.json"]
)
"""What commands and dashboards ask all the time, and that shows nobody's spend."""
_SILENT_PREFIXES: Final = ("/static/", "/login")
"""Sign-ins are noted by the pages that they happen on."""
_SECRET_QUERIES: Final = ("/portal/", "/login")
_API: Final = ("/api/", "/v1/")
_STRANGERS: Final = Rate(20, 10.0)
"""Of an address: so many refusals of strangers are noted at once, and another after so long."""
NOBODY: Final = "nobody"


class Watch:
    """Wraps what sends answers, so that they are noted.

    Args:
        accesses: where.
        is_on: whether what is seen is noted; what is denied always is.
    """

    def __init__(self, accesses: Accesses, *, is_on: bool = True) -> None:
        self._accesses, self._is_on = accesses, is_on
        self._strangers = Buckets(_STRANGERS)

    def watched(self, scope: HTTPScope, send: Send) -> Send:
        """Return what sends an answer, and notes it when it begins."""
        path = scope["path"]
        if path in _SILENT or path.startswith(_SILENT_PREFIXES):
            return send

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"], message.get("headers", ()))
            await send(message)

        return sending

    def _note(self, scope: HTTPScope, status: int, headers: Any) -> None:
        user = scope.get("user")
        actor = user.name if isinstance(user, Principal) else NOBODY
        outcome = outcome_of(status)
        address = client_address(scope)
        if actor == NOBODY:
            is_plain = outcome != "denied" or status == HTTPStatus.SEE_OTHER
            if is_plain or self._strangers.take(network_of(address)):
                return
        if outcome == "ok" and (not self._is_on or scope["method"] not in SAFE_METHODS):
            return
        path = scope["path"]
        is_secret = path.startswith(_SECRET_QUERIES)
        self._accesses.note(
            access(
                actor=actor, kind=_kind(scope, headers), path=path, outcome=outcome, status=status,
                query="" if is_secret else scope["query_string"].decode("latin-1"), address=address,
            )
        )  # fmt: skip


def outcome_of(status: int) -> str:
    """Return in a word what came of a request."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "denied"
    return "ok" if status < HTTPStatus.BAD_REQUEST else "failed"


def _kind(scope: HTTPScope, headers: Any) -> str:
    path = scope["path"]
    if scope["method"] not in SAFE_METHODS:
        return "deed"
    for name, value in headers:
        lowered = name.lower()
        is_file = lowered == b"content-disposition" and value.startswith(b"attachment")
        if is_file or (lowered == b"content-type" and value.startswith(b"text/csv")):
            return "export"
    if path.startswith("/portal/"):
        return "portal"
    return "api" if path.startswith(_API) or path.endswith(".json") else "page"

"""ETags of answers, 304 for those that the caller has, and gzip (RFC 9110 sections 8.8.3, 13.1.2).

There are two kinds. A read of the ledger has a tag of what its answer depends on: how far the
ledger and the books are, the question, and the minute where it counts from now. It is known before
anything is asked, so a 304 costs next to nothing. Any other answer has a digest of its bytes, which
saves only the way. All are weak: packed and plain answers share them.
"""

from __future__ import annotations

import gzip
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa
from anyio.to_thread import run_sync
from litestar import Response
from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType

from tollbook import __version__, clock
from tollbook.errors import TollbookError
from tollbook.reports.params import parse_range

if TYPE_CHECKING:
    from datetime import datetime

    from litestar import Request
    from litestar.types import ASGIApp, BeforeRequestHookHandler, Message, Receive, Scope, Send

    from tollbook.books.store import Books
    from tollbook.reports.reader import Reader

BUFFER_MAX_BYTES: Final = 2 * 1024 * 1024
"""Larger answers pass as they are."""
GZIP_MIN_BYTES: Final = 1_024
_GZIP_LEVEL: Final = 5
_PREFIXES: Final = ("/api/v1/", "/portal/api/")
"""Pages are left alone: packing a page that holds a form's secret beside what the URL says would
tell the secret by its length (CVE-2013-3587)."""
_PACKED: Final = ("application/json", "text/csv", "application/vnd.oai.openapi+json")
_TAG: Final = "tollbook_etag"
_RANGE: Final = ("since", "until", "period", "tz", "billing_period")
_OK, _NOT_MODIFIED = 200, 304
_MARKS: Final = sa.text(
    "SELECT (SELECT max(rowid) FROM documents), (SELECT max(rowid) FROM period_closes),"
    " (SELECT max(rowid) FROM reconciliations)"
)


def tagging(reader: Reader, books: Books) -> BeforeRequestHookHandler:
    """Return a hook of routes that read the ledger; it runs behind their guards.

    It answers 304 before the question is asked if the caller has the answer, or else notes its tag.
    A function, since Litestar copies what it is given, and a ledger cannot be copied.
    """

    async def before(request: Request[Any, Any, Any]) -> Response[Any] | None:
        tag = await run_sync(_tag, reader, books, request)
        if tag is None:
            return None
        cast("dict[str, Any]", request.scope)[_TAG] = tag
        if _has(request.headers.get("if-none-match"), tag):
            headers = {"cache-control": "no-store", "etag": tag}
            return Response(None, status_code=_NOT_MODIFIED, headers=headers)
        return None

    return before


def _tag(reader: Reader, books: Books, request: Request[Any, Any, Any]) -> str | None:
    """Return what an answer from the ledger depends on; None where there will be none."""
    asked = request.query_params
    given = {name: asked[name] for name in _RANGE if name in asked}
    try:
        period = parse_range(given, clock.utc_now())
        rows = reader.fetch(
            "SELECT (SELECT max(entry_id) FROM entries), max(complete_until),"
            " (SELECT count(*) FROM incidents) FROM progress"
        )
        with books.read() as connection:
            marks = tuple(connection.execute(_MARKS).one())
    except TollbookError:
        return None  # the route says what is wrong with the question
    entry_id, complete_until, incidents = rows[0]
    end = period.end.replace(tzinfo=None)
    until = end if complete_until is None else min(complete_until, end)
    parts = (
        __version__, request.url.path, request.scope["query_string"],
        request.headers.get("accept", ""), entry_id, incidents, marks,
        _minute(period.start), _minute(until),
    )  # fmt: skip
    return _quoted(repr(parts).encode())


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M}"


def _quoted(content: bytes) -> str:
    return f'W/"{blake2b(content, digest_size=16).hexdigest()}"'


def _has(if_none_match: str | None, tag: str) -> bool:
    """Whether a request names a tag (weak comparison)."""
    if if_none_match is None:
        return False
    given = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in given or tag.removeprefix("W/") in given


class Conditional:
    """ASGI middleware: tags answers of the API, answers 304, packs what is large.

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        is_read = scope["type"] == ScopeType.HTTP and scope["method"] == "GET"
        if not is_read or not scope["path"].startswith(_PREFIXES):
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        await self._app(scope, receive, answer.take)


class _Answer:
    """One answer on its way: held until it is whole, or too large to hold."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._start: Any = None
        self._body = bytearray()

    async def take(self, message: Message) -> None:
        """Take the next message of the application."""
        if message["type"] == "http.response.start" and message["status"] == _OK:
            self._start = message
        elif self._start is None:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._body += message["body"]
            if message.get("more_body") and len(self._body) <= BUFFER_MAX_BYTES:
                return
            if message.get("more_body"):
                await self._pass_on()
            else:
                await self._end()
        else:
            await self._send(message)

    async def _pass_on(self) -> None:
        """Send what is held; the rest passes as it comes."""
        start, self._start = self._start, None
        await self._send(start)
        await self._send(
            {"type": "http.response.body", "body": bytes(self._body), "more_body": True}
        )

    async def _end(self) -> None:
        start, body = self._start, bytes(self._body)
        headers = MutableScopeHeaders.from_message(start)
        asked = Headers.from_scope(self._scope)
        tag = str(self._scope.get(_TAG) or _quoted(body))
        headers["etag"] = tag
        headers["vary"] = "accept, accept-encoding, authorization, cookie"
        if _has(asked.get("if-none-match"), tag):
            for name in ("content-length", "content-type", "content-disposition"):
                if name in headers:
                    del headers[name]
            start["status"], body = _NOT_MODIFIED, b""
        elif _packs(headers, asked, body):
            body = await run_sync(gzip.compress, body, _GZIP_LEVEL)
            headers["content-encoding"] = "gzip"
            headers["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _packs(headers: MutableScopeHeaders, asked: Headers, body: bytes) -> bool:
    accepted = asked.get("accept-encoding", "")
    names = [one.partition(";")[0].strip() for one in accepted.lower().split(",")]
    refused = "gzip;q=0" in accepted.replace(" ", "").lower().split(",")
    return (
        "gzip" in names
        and not refused
        and len(body) >= GZIP_MIN_BYTES
        and headers.get("content-type", "").startswith(_PACKED)
        and "content-encoding" not in headers
    )

"""OTLP over HTTP and ``/v1/frames``, as an ASGI application.

OTLP 1.x, sections OTLP/HTTP Request, Response, Failures and Throttling: answers are in the
encoding of the request, errors are a google.rpc.Status, 503 carries Retry-After, and a request of
which a part is refused for good is a success that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.capture.otlp.door import Refused
from tollbook.capture.otlp.outcome import RETRY_AFTER_S, Kind, Outcome, Signal, refused
from tollbook.capture.otlp.status_body import answer_json, answer_protobuf
from tollbook.capture.otlp.unpack import CODINGS

if TYPE_CHECKING:
    from tollbook.capture.otlp.desk import Desk
    from tollbook.capture.otlp.door import Door
    from tollbook.config.receiver import Receiver as Settings
    from tollbook.identity import KeyBinding

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SIGNALS: Final = {
    "/v1/traces": Signal.TRACES,
    "/v1/logs": Signal.LOGS,
    "/v1/metrics": Signal.METRICS,
    "/v1/frames": Signal.FRAMES,
}
_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_ENCODINGS: Final = {_PROTOBUF: "protobuf", "application/protobuf": "protobuf", _JSON: "json"}
_MSGPACK: Final = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")
LOST_HEADER: Final = "x-tollbook-calls-lost"
"""How many calls an SDK has given up since it last told of it."""
_DIGITS_MAX: Final = 12
_DISCARD_TIMEOUT_S: Final = 5.0
_UNSUPPORTED_TYPE: Final = 415
_NOT_ALLOWED: Final = 405
_NOT_FOUND: Final = 404
_OK: Final = 200


class _Asked(NamedTuple):
    """The head of a request."""

    signal: Signal
    encoding: str
    coding: str
    length: int
    key: KeyBinding | None
    lost: int


class _Body:
    """The body of a request, of which the rest is read before it is refused.

    A connection that is closed while its sender writes is reset, and the sender never reads the
    answer: it would send again what is refused for good (RFC 9112, section 9.6).
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_read = False

    async def receive(self) -> Message:
        """Return what comes next."""
        message = await self._receive()
        is_gone = message["type"] == "http.disconnect"
        self._is_read = is_gone or not message.get("more_body", False)
        return message

    async def discard(self, limit_bytes: int) -> None:
        """Read on to the end, for a while and up to a limit."""
        left = limit_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_TIMEOUT_S):
                while left > 0 and not self._is_read:
                    left -= len((await self.receive()).get("body", b""))


class HttpReceiver:
    """The application; belongs to the loop of its desk."""

    def __init__(self, desk: Desk, door: Door, settings: Settings) -> None:
        self._desk, self._door, self._settings = desk, door, settings

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        signal = SIGNALS.get(path)
        if signal is None:
            await self._look(path, method, send)
        elif method != "POST":
            await _plain(send, _NOT_ALLOWED, f"{path} takes POST only", [(b"allow", b"POST")])
        else:
            await self._export(signal, scope["headers"], receive, send)

    async def _look(self, path: str, method: str, send: Send) -> None:
        health = self._desk.receiver.spool_health
        if method not in {"GET", "HEAD"} or path not in {"/healthz", "/readyz", "/metrics"}:
            known = ", ".join(SIGNALS)
            await _plain(send, _NOT_FOUND, f"nothing is here; POST to one of {known}")
        elif path == "/metrics":
            text = self._desk.receiver.tally.text(health)
            await _answer(send, _OK, text.encode(), b"text/plain; version=0.0.4")
        elif path == "/readyz" and not health.ok:
            await _plain(send, Kind.UNAVAILABLE.http_status, f"the spool fails: {health.error}")
        else:
            await _plain(send, _OK, "ok")

    async def _export(
        self, signal: Signal, raw: list[tuple[bytes, bytes]], receive: Receive, send: Send
    ) -> None:
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
        by_name = dict(headers)
        content_type = by_name.get("content-type", "").partition(";")[0].strip().lower()
        encoding = _ENCODINGS.get(content_type)
        if signal is Signal.FRAMES:
            encoding = "msgpack" if content_type in _MSGPACK else None
        coding = by_name.get("content-encoding", "").strip().lower()
        body = _Body(receive)
        if encoding is None or coding not in {"", "identity", *CODINGS}:
            await body.discard(self._settings.max_body_bytes)
            # A page in a browser cannot send these types to another origin unasked, either.
            expected = _MSGPACK[0] if signal is Signal.FRAMES else f"{_PROTOBUF} or {_JSON}"
            text = f"send content-type {expected}, content-encoding gzip, deflate or none"
            await _plain(send, _UNSUPPORTED_TYPE, text)
            return
        admitted = self._door.admit(headers)
        if isinstance(admitted, Refused):
            outcome = refused(Kind.UNAUTHENTICATED, admitted.message)
            await body.discard(self._settings.max_body_bytes)
            await _tell(send, signal, encoding, self._desk.count(signal, outcome))
            return
        asked = _Asked(
            signal, encoding, coding, _number(by_name.get("content-length")), admitted,
            _number(by_name.get(LOST_HEADER)) if signal is Signal.FRAMES else 0,
        )  # fmt: skip
        outcome = await self._take(asked, body.receive)
        if outcome.kind is not Kind.TIMED_OUT:
            await body.discard(2 * self._settings.max_body_bytes)
        await _tell(send, signal, encoding, outcome)

    async def _take(self, asked: _Asked, receive: Receive) -> Outcome:
        """Read the body within its limits, then have it taken."""
        desk, signal = self._desk, asked.signal
        if asked.length > self._settings.max_body_bytes:
            return self._too_large(signal)
        if not desk.enter():
            return desk.turn_away(signal)
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._settings.body_timeout_s):
                    problem = await self._read(body, signal, receive)
            except TimeoutError:
                problem = refused(Kind.TIMED_OUT, "the body did not come in time")
                desk.count(signal, problem)
            if problem is not None:
                return problem
            data = bytes(body)
            return await desk.take(
                signal, asked.encoding, asked.coding, data, asked.key, asked.lost
            )
        finally:
            desk.leave(len(body))

    async def _read(self, body: bytearray, signal: Signal, receive: Receive) -> Outcome | None:
        """Read on to the end of a body; what is in it is held by the desk."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return self._desk.count(signal, refused(Kind.TIMED_OUT, "the sender has gone"))
            part = message.get("body", b"")
            if len(body) + len(part) > self._settings.max_body_bytes:
                return self._too_large(signal)
            if not self._desk.hold(len(part)):
                return self._desk.turn_away(signal)
            body += part
            if not message.get("more_body", False):
                return None

    def _too_large(self, signal: Signal) -> Outcome:
        limit = self._settings.max_body_bytes
        message = f"a request may have {limit} bytes; send smaller batches"
        return self._desk.count(signal, refused(Kind.TOO_LARGE, message))


def _number(text: str | None) -> int:
    """Return the number of a header, 0 where there is none."""
    is_number = text is not None and text.isascii() and text.isdecimal()
    return int(text) if text is not None and is_number and len(text) <= _DIGITS_MAX else 0


async def _tell(send: Send, signal: Signal, encoding: str, outcome: Outcome) -> None:
    headers = []
    if outcome.kind is Kind.UNAVAILABLE:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    if outcome.kind is Kind.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b'Bearer realm="tollbook"'))
    if outcome.kind in {Kind.TOO_LARGE, Kind.TIMED_OUT}:
        headers.append((b"connection", b"close"))  # the rest of the body is not wanted
    if encoding == "protobuf":
        body, kind = answer_protobuf(outcome), _PROTOBUF
    else:
        body, kind = answer_json(signal, outcome), _JSON
    await _answer(send, outcome.kind.http_status, body, kind.encode(), headers)


async def _plain(
    send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    await _answer(send, status, f"{text}\n".encode(), b"text/plain; charset=utf-8", headers)


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
                *(headers or []),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})

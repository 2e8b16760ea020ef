"""A small, strict HTTP/1.1 server on httptools, with raw control for faults.

The write buffer's high mark is zero, which makes uvloop hand bytes to the kernel at once; so
"written to the connection" can be observed, not hoped for.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, cast

import httptools

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.simulator.provider.answers import Header

HEAD_MAX_BYTES = 64 * 1024
HEADERS_MAX = 256
BODY_MAX_BYTES = 64 * 1024 * 1024
PIPELINE_MAX = 16
REQUEST_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 300.0
_REASONS = {
    200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
    405: b"Method Not Allowed", 413: b"Content Too Large", 429: b"Too Many Requests",
    431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    503: b"Service Unavailable", 529: b"Overloaded",
}  # fmt: skip


class Request:
    """One request as received; header names in lower case, repeated ones joined by commas."""

    __slots__ = ("arrived_at_ns", "body", "headers", "keep_alive", "method", "path", "query")

    def __init__(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        *,
        keep_alive: bool,
        query: str = "",
    ) -> None:
        self.method = method
        self.path = path  # without the query
        self.query = query
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.arrived_at_ns = clock.unix_ns()


class Listener(Protocol):
    """What an exchange tells whoever answers it."""

    def on_gone(self) -> None:
        """The connection ended before the answer was whole in the kernel's hands."""

    def on_room(self) -> None:
        """All bytes written so far are in the kernel's hands."""


class Exchange:
    """One request and the means to answer it."""

    __slots__ = ("_connection", "_is_chunked", "is_done", "listener", "request")

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection = connection
        self._is_chunked = False
        self.request = request
        self.listener: Listener | None = None
        self.is_done = False

    @property
    def is_gone(self) -> bool:
        """Whether nothing more can reach the client."""
        return self._connection.is_closing

    @property
    def is_flushed(self) -> bool:
        """Whether everything written is in the kernel's hands."""
        return not self._connection.is_closing and self._connection.buffered_bytes == 0

    @property
    def _ends_connection(self) -> bool:
        return not self.request.keep_alive

    def start(self, status: int, headers: Sequence[Header], length: int | None) -> bytes:
        """Return the response head; ``length`` None means a chunked body."""
        self._is_chunked = length is None
        lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Unknown"))]
        lines += [b"%b: %b" % header for header in headers]
        lines.append(
            b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
        )
        if self._ends_connection:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    def frame(self, data: bytes) -> bytes:
        """Return body bytes as they go on the wire."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data

    def last(self) -> bytes:
        """Return what ends the body."""
        return b"0\r\n\r\n" if self._is_chunked else b""

    def write(self, data: bytes) -> None:
        """Hand bytes to the connection; silently nothing when it is gone."""
        self._connection.write(data)

    def finish(self) -> None:
        """Say that the response is complete."""
        self.is_done = True
        self._connection.finish(self)

    def break_off(self, *, reset: bool) -> None:
        """End the connection before the response is complete."""
        self.listener = None
        self._connection.break_off(reset=reset)


class Connection(asyncio.Protocol):
    """One client connection; answers its requests one after another."""

    def __init__(
        self,
        handler: Callable[[Exchange], None],
        connections: set[Connection],
        upgrade: Callable[[Request, asyncio.Transport, bytes], None] | None = None,
    ) -> None:
        self._upgrade = upgrade  # answers a WebSocket's handshake, with what came behind it
        self._upgrading: Request | None = None
        self._handler = handler
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Request] = deque()
        self._exchange: Exchange | None = None
        self._is_paused = False
        self._begin()
        self.active_at_ns = clock.monotonic_ns()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._header_count = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._has_begun = False

    # -- the transport's side --------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to read."""
        # uvloop's transports have the interface but not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """Tell whoever is answering."""
        self._connections.discard(self)
        self._waiting.clear()
        self._transport = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.listener is not None:
            exchange.listener.on_gone()

    def eof_received(self) -> bool:
        """Treat a half-closed client as gone, as providers do."""
        return False

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """All is out."""
        self._is_paused = False
        if self._exchange is not None and self._exchange.listener is not None:
            self._exchange.listener.on_room()

    def data_received(self, data: bytes) -> None:
        """Parse; refuse what is not HTTP with 400 and close."""
        self.active_at_ns = clock.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(upgrade, data)
        except httptools.HttpParserError:
            self._refuse(400)

    def _switch(self, upgrade: Any, data: bytes) -> None:
        """Give the connection away to a WebSocket."""
        request, self._upgrading = self._upgrading, None
        if request is None or self._upgrade is None or self._transport is None:
            self._refuse(400)
            return
        self._connections.discard(self)
        self._upgrade(request, self._transport, data[upgrade.args[0] :])

    def _refuse(self, status: int) -> None:
        if self._transport is not None and not self._transport.is_closing():
            reason = _REASONS[status]
            head = b"HTTP/1.1 %d %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self._transport.write(head % (status, reason))
            self._transport.close()

    # -- the parser's side -----------------------------------------------------------------------
    def on_message_begin(self) -> None:
        """Make room for a request."""
        self._begin()
        self._has_begun = True

    def on_url(self, url: bytes) -> None:
        """Collect the target."""
        self._url += url
        self._grow_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._header_count += 1
        self._grow_head(len(name) + len(value))
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def _grow_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_MAX_BYTES or self._header_count > HEADERS_MAX:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        """Answer ``Expect: 100-continue``."""
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._body_bytes += len(body)
        if self._body_bytes > BODY_MAX_BYTES:
            self._refuse(413)
            self._body.clear()
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer the request, or queue it behind the one being answered."""
        self._has_begun = False
        if self._transport is None or self._transport.is_closing():
            return
        target = httptools.parse_url(self._url)
        request = Request(
            self._parser.get_method().decode("latin-1"),
            (target.path or b"/").decode("latin-1"),
            self._headers,
            b"".join(self._body),
            keep_alive=self._parser.should_keep_alive(),
            query=(target.query or b"").decode("latin-1"),
        )
        if self._headers.get("upgrade", "").lower() == "websocket":
            self._upgrading = request
            return
        self._waiting.append(request)
        if len(self._waiting) > PIPELINE_MAX:
            self._transport.abort()
        elif self._exchange is None:
            self._next()

    # -- the exchange's side ---------------------------------------------------------------------
    @property
    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._transport is None or self._transport.is_closing()

    @property
    def buffered_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def _next(self) -> None:
        if self._waiting and self._exchange is None:
            self._exchange = Exchange(self, self._waiting.popleft())
            self._handler(self._exchange)

    def write(self, data: bytes) -> None:
        """Send bytes unless the connection is going."""
        if not self.is_closing and self._transport is not None:
            self._transport.write(data)

    def finish(self, exchange: Exchange) -> None:
        """Go on to the next request, or close."""
        self.active_at_ns = clock.monotonic_ns()
        self._exchange = None
        if self._transport is None:
            return
        if not exchange.request.keep_alive:
            self._transport.close()
        elif self._waiting:
            # Not called directly, so that a deep pipeline cannot exhaust the stack.
            asyncio.get_running_loop().call_soon(self._next)

    def break_off(self, *, reset: bool) -> None:
        """Close at once: with a reset, or in order but too early."""
        self._exchange = None
        if self._transport is None:
            return
        if not reset:
            self._transport.close()
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            # Linger of zero seconds turns close into a reset (RFC 9293 section 3.10.4, ABORT).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def sweep(self, now_ns: int) -> None:
        """Close a connection that has been silent for too long."""
        limit_s = REQUEST_TIMEOUT_S if self._has_begun else IDLE_TIMEOUT_S
        is_late = now_ns - self.active_at_ns > limit_s * clock.NS_PER_S
        if is_late and self._exchange is None and self._transport is not None:
            self._transport.close()

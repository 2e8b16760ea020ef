"""One connection to a provider: parses responses, hands them to the exchange it serves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.capture.gateway.pool import Pool
    from tollbook.dialects.base import Header

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_HEADERS: Final = 512
_SWITCHING_PROTOCOLS: Final = 101
_FIRST_FINAL: Final = 200


class ProtocolError(Exception):
    """The provider broke HTTP; the text says how, for the log."""


class UpstreamUser(Protocol):
    """The exchange that a connection serves."""

    is_head: bool

    def response_head(
        self, status: int, headers: list[Header], connection: UpstreamConnection
    ) -> None:
        """Take the final response head."""

    def response_body(self, data: bytes) -> None:
        """Take body bytes, neither chunked nor cut."""

    def response_fed(self, *, is_complete: bool) -> None:
        """All events of one read have been given; the response may be complete."""

    def upstream_failed(self, error: Exception | None, *, is_timeout: bool) -> None:
        """Take that the connection is gone before the response was complete."""

    def upstream_paused(self) -> None:
        """Stop sending: the provider reads slowly."""

    def upstream_resumed(self) -> None:
        """Send on."""


class UpstreamConnection(asyncio.Protocol):
    """An HTTP/1.1 client connection, one request at a time."""

    __slots__ = (
        "_head_bytes", "_headers", "_is_complete", "_parser", "_parts", "_parts_of_answer", "_pool",
        "bucket", "deadline", "has_bytes", "is_final_head", "is_length_known", "is_reused",
        "keep_alive", "on_body", "transport", "user",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parts: list[bytes] = []
        self._parts_of_answer = 0
        # The parser's callback for body bytes is the list itself: a stream has one for each event.
        self.on_body: Callable[[bytes], None] = self._parts.append
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[Header] = []
        self._head_bytes = 0
        self._is_complete = False
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.user: UpstreamUser | None = None
        self.is_reused = False
        self.keep_alive = True
        self.has_bytes = False
        """Whether any byte of the present response has come."""
        self.is_final_head = False
        self.is_length_known = True
        """False when the end of the response is the end of the connection."""
        self.deadline = 0.0
        self.bucket = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self._pool.wheel.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; an exchange that waits for more learns of it."""
        self._pool.wheel.discard(self)
        user, self.user = self.user, None
        self._pool.lost(self)
        if user is not None:
            user.upstream_failed(exc, is_timeout=False)

    def eof_received(self) -> bool:
        """Close; where the response had no length, this is its proper end."""
        user = self.user
        if user is not None and self.is_final_head and not self.is_length_known:
            self._is_complete, self.keep_alive = True, False
            user.response_fed(is_complete=True)
        return False

    def data_received(self, data: bytes) -> None:
        """Parse, then tell the exchange once what this read brought."""
        user = self.user
        if user is None:  # bytes that nobody asked for
            self.transport.abort()
            return
        self.has_bytes = True
        if not self.is_final_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._is_complete:
                if self.is_final_head:
                    self._hand_over(user)
                self.fail(_cause(error))
                return
            self.keep_alive = False  # junk behind a complete response
        if not self.is_final_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                self.fail(ProtocolError(f"response head over {MAX_HEAD_BYTES} bytes"))
            return
        self._headers.clear()  # trailers, of which nobody wants to know
        self._hand_over(user)
        self.deadline = self._pool.wheel.now + self._pool.idle_timeout_s
        user.response_fed(is_complete=self._is_complete)

    def _hand_over(self, user: UpstreamUser) -> None:
        parts = self._parts
        if parts:
            if self._is_complete and len(parts) > self._parts_of_answer:
                self.keep_alive = False  # what follows a complete response is no part of it
                del parts[self._parts_of_answer :]
            if parts:
                user.response_body(parts[0] if len(parts) == 1 else b"".join(parts))
                parts.clear()

    def pause_writing(self) -> None:
        """Pass the back-pressure on to the client."""
        if self.user is not None:
            self.user.upstream_paused()

    def resume_writing(self) -> None:
        """Let the client send on."""
        if self.user is not None:
            self.user.upstream_resumed()

    # httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Judge the head and give it to the exchange; interim responses are dropped."""
        parser, user = self._parser, self.user
        if self._is_complete or user is None:
            self.keep_alive = False
            return
        headers, self._headers = self._headers, []
        if len(headers) > MAX_HEADERS:
            raise ProtocolError(f"over {MAX_HEADERS} response headers")
        status = parser.get_status_code()
        if status < _FIRST_FINAL:
            if status == _SWITCHING_PROTOCOLS:
                raise ProtocolError("it switched protocols unasked")
            return
        has_length = False
        for name, value in headers:
            if name == b"content-length":
                has_length = True
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked":
                    raise ProtocolError("its Transfer-Encoding is not 'chunked'")
                has_length = True
        self.is_length_known = has_length or user.is_head or status in {204, 304}
        self.keep_alive = parser.should_keep_alive() and self.is_length_known
        self.is_final_head = True
        user.response_head(status, headers, self)
        if user.is_head:
            # The parser would wait for the body that a HEAD response announces but has not.
            self._is_complete = True
            self._parts_of_answer = 0
            self._parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        """Note the end of a final response."""
        if not self.is_final_head and self._parts:
            raise ProtocolError("an interim response has a body")
        if self.is_final_head and not self._is_complete:
            self._is_complete = True
            self._parts_of_answer = len(self._parts)

    # for the exchange

    def serve(self, user: UpstreamUser) -> None:
        """Belong to an exchange until released."""
        self.user = user
        self.has_bytes = self.is_final_head = self._is_complete = False
        self.is_length_known = True
        self._head_bytes = 0
        self.deadline = self._pool.wheel.now + self._pool.first_byte_timeout_s

    def release(self) -> None:
        """Go back to the pool after a complete response."""
        self.user = None
        if self.keep_alive and not self.transport.is_closing():
            self.is_reused = True
            self._pool.give_back(self)
        else:
            self.transport.close()

    def abandon(self) -> None:
        """Close at once: nobody wants the rest."""
        self.user = None
        self.transport.abort()

    def fail(self, error: Exception) -> None:
        """Close and tell the exchange why."""
        user, self.user = self.user, None
        self.transport.abort()
        if user is not None:
            user.upstream_failed(error, is_timeout=False)

    def on_deadline(self) -> None:
        """Give up waiting: for the first byte, for the next one, or for another request."""
        user, self.user = self.user, None
        self.transport.abort()
        if user is not None:
            user.upstream_failed(None, is_timeout=True)


def _cause(error: Exception) -> Exception:
    context = error.__context__
    return context if isinstance(context, ProtocolError) else ProtocolError(str(error) or "upgrade")

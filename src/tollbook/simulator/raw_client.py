"""One keep-alive HTTP/1.1 connection of the fast driver, on httptools."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

BODY_MAX_BYTES = 128 * 1024 * 1024


class BrokenError(Exception):
    """The connection ended before the answer did."""


class HungUpError(Exception):
    """The client left on purpose."""


class RawAnswer(NamedTuple):
    """A whole answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection(asyncio.Protocol):
    """Sends one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[RawAnswer] | None = None
        self._leave_when: Callable[[bytes], bool] | None = None
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(
        self, request: bytes, leave_when: Callable[[bytes], bool] | None
    ) -> asyncio.Future[RawAnswer]:
        """Send a request; the future gives the answer, BrokenError or HungUpError.

        Args:
            request: head and body, complete.
            leave_when: told each piece of a 200 answer; True closes the connection at once.
        """
        assert self._transport is not None
        self._reset()
        self._leave_when = leave_when
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiter

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if self._transport is not None:
            self._transport.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    # -- asyncio ---------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (uvloop's have the interface but not the base class)."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """Fail the request under way."""
        self._transport = None
        self._fail(BrokenError())

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(BrokenError())

    # -- httptools -------------------------------------------------------------------------------
    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note the status."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Collect, and leave when it is time."""
        self._body.append(body)
        self._size += len(body)
        if self._size > BODY_MAX_BYTES:
            self._fail(BrokenError())
        elif self._leave_when is not None and self.status == 200 and self._leave_when(body):  # noqa: PLR2004 -- HTTP OK
            self._leave_when = None
            self._fail(HungUpError())

    def on_message_complete(self) -> None:
        """Hand the answer over; close where the server will."""
        if self.status < 200:  # noqa: PLR2004 -- informational answers precede the real one
            return
        waiter, self._waiter = self._waiter, None
        if not self._parser.should_keep_alive():
            self.close()
        if waiter is not None and not waiter.done():
            waiter.set_result(RawAnswer(self.status, self.headers, b"".join(self._body)))

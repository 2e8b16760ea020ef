"""What a client connection knows of itself, and how it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import httptools

from tollbook.capture.gateway.headers import own_response
from tollbook.capture.gateway.local import error_reply
from tollbook.capture.gateway.reading import HELD_BY_PEER, Reading

if TYPE_CHECKING:
    from collections import deque

    from tollbook.capture.gateway.exchange import Exchange
    from tollbook.capture.gateway.framing import HeadError
    from tollbook.capture.gateway.parsed import Request
    from tollbook.capture.gateway.service import Service
    from tollbook.capture.gateway.socket_open import Opening
    from tollbook.dialects.base import Header

_LINGER_S: Final = 2.0


class ClientState(asyncio.Protocol):
    """The state of a client connection; see :mod:`tollbook.capture.gateway.client`."""

    __slots__ = (
        "_dead_bytes", "_error", "_exchange", "_got_body", "_head_fed", "_headers",
        "_in_head", "_is_deaf", "_is_ending", "_local", "_parser", "_queue", "_reading", "_service",
        "_target", "_upgrade", "_waiting", "bucket", "deadline", "transport",
    )  # fmt: skip

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parser = httptools.HttpRequestParser(self)
        self._upgrade: Opening | None = None  # the head of a WebSocket, until its end is parsed
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._exchange: Exchange | None = None
        self._local: Request | None = None  # the current request, when the gateway answers it
        self._waiting: Request | None = None  # the request being parsed, when it is not current
        self._queue: deque[Request] | None = None
        self._error: HeadError | None = None  # to be answered after those before it
        self._target = b""
        self._headers: list[Header] = []
        self._head_fed = 0
        self._dead_bytes = 0
        self._in_head = True
        self._got_body = False
        self._is_deaf = False  # no further request is read
        self._is_ending = False  # the last byte has been written; what still comes is dropped
        self._reading = Reading()
        self.deadline = 0.0
        self.bucket = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is here, whole or in part."""
        return self._exchange is None and self._local is None and not self._head_fed

    @property
    def _is_busy(self) -> bool:
        return self._exchange is not None or self._local is not None

    def hold_reading(self) -> None:
        """Stop reading: the provider cannot take more."""
        self.deadline = 0
        self._reading.hold(HELD_BY_PEER)

    def release_reading(self) -> None:
        """Read on."""
        if self._reading.is_held_by(HELD_BY_PEER):
            self.deadline = self._service.wheel.now + self._service.config.gateway.body_timeout_s
            self._reading.release(HELD_BY_PEER)

    def cut(self, data: bytes, *, hard: bool) -> None:
        """Break off a response, so that nobody takes it for whole."""
        self._exchange = None
        self._is_deaf = self._is_ending = True
        if data:
            self.transport.write(data)
        if hard:
            self.transport.abort()
        else:
            self.transport.close()

    def _reply_error(self, why: HeadError) -> None:
        self._is_deaf = True
        self._local = None
        if why.status:
            self._service.metrics.refused(why.status)
            self.transport.write(
                own_response(why.status, error_reply(why.message), keep_alive=False)
            )
        self._end(linger=True)

    def _end(self, *, linger: bool = False) -> None:
        """Close after the last byte; where unread bytes may come, so that it still arrives."""
        self._is_deaf = self._is_ending = True
        transport = self.transport
        if transport.is_closing():
            return
        if (linger or not self._in_head or self._queue) and transport.can_write_eof():
            transport.write_eof()
            transport.resume_reading()
            self.deadline = self._service.wheel.now + _LINGER_S
        else:
            transport.close()

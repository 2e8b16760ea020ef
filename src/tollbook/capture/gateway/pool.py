"""Connections to one provider: kept alive, bounded, with a bounded queue for those that wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from tollbook.capture.gateway.upstream import UpstreamConnection

if TYPE_CHECKING:
    from tollbook.capture.gateway.dialer import Dialer
    from tollbook.capture.gateway.wheel import Wheel
    from tollbook.config.schema import Provider


class PoolExhaustedError(Exception):
    """No connection came free in time, or too many wait already."""


class Waiter(Protocol):
    """An exchange that wants a connection."""

    wait_until: float
    is_waiting: bool

    def connected(self, connection: UpstreamConnection) -> None:
        """Take a connection."""

    def connect_failed(self, error: Exception) -> None:
        """Take that there is none."""


class Pool:
    """The connections of one worker to one provider."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, dialer: Dialer, wheel: Wheel, settings: Provider
    ) -> None:
        self._loop = loop
        self._dialer = dialer
        self.wheel = wheel
        self.first_byte_timeout_s = settings.first_byte_timeout_s
        self.idle_timeout_s = settings.idle_timeout_s
        self._wait_s = settings.connect_timeout_s
        self._keepalive_s = settings.keepalive_s
        self._max_connections = settings.max_connections
        self._max_waiting = max(1024, settings.max_connections)
        self._idle: list[UpstreamConnection] = []
        self._waiting: deque[Waiter] = deque()
        self._dialing: set[asyncio.Task[None]] = set()
        self._connections: set[UpstreamConnection] = set()
        self._is_closed = False
        wheel.each_turn(self._expire_waiters)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Connections open, of these idle, and exchanges that wait."""
        return len(self._connections), len(self._idle), len(self._waiting)

    def acquire(self, waiter: Waiter, *, must_be_fresh: bool = False) -> None:
        """Call ``waiter.connected`` or ``waiter.connect_failed``, now or later.

        ``must_be_fresh`` asks for a new connection: a kept one has just proved dead.
        """
        if must_be_fresh:
            self._drop_idle()
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.transport.is_closing():
                waiter.connected(connection)
                return
        if len(self._waiting) >= self._max_waiting or self._is_closed:
            waiter.connect_failed(PoolExhaustedError())
            return
        waiter.wait_until = self.wheel.now + self._wait_s
        waiter.is_waiting = True
        self._waiting.append(waiter)
        self._dial_if_needed()

    def leave(self, waiter: Waiter) -> None:
        """Let an exchange that waits here wait no longer."""
        waiter.is_waiting = False
        self._waiting.remove(waiter)

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request, or hand it to one that waits."""
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.connected(connection)
        elif self._is_closed:
            connection.transport.close()
        else:
            connection.deadline = self.wheel.now + self._keepalive_s
            self._idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget a closed connection."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._dial_if_needed()

    def close(self) -> None:
        """Close everything."""
        self._is_closed = True
        for task in self._dialing:
            task.cancel()
        for connection in list(self._connections):
            connection.transport.abort()

    def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.transport.close()

    def _dial_if_needed(self) -> None:
        while (
            len(self._dialing) < len(self._waiting)
            and len(self._connections) + len(self._dialing) < self._max_connections
            and not self._is_closed
        ):
            task = self._loop.create_task(self._dial())
            self._dialing.add(task)

    async def _dial(self) -> None:
        error: Exception | None = None
        connection = None
        try:
            connection = await self._dialer.dial(lambda: UpstreamConnection(self))
        except Exception as caught:  # noqa: BLE001 -- whatever it was, the waiter must hear of it
            error = caught
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._dialing.discard(task)
        if connection is not None:
            self._connections.add(connection)
            if connection.transport.is_closing():
                self.lost(connection)
                error = ConnectionResetError("closed at once")
            else:
                self.give_back(connection)
        if error is not None:
            waiter = self._next_waiter()
            if waiter is not None:
                waiter.connect_failed(error)
            self._dial_if_needed()

    def _next_waiter(self) -> Waiter | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if waiter.is_waiting:
                waiter.is_waiting = False
                return waiter
        return None

    def _expire_waiters(self) -> None:
        while self._waiting:
            waiter = self._waiting[0]
            if waiter.is_waiting and waiter.wait_until > self.wheel.now:
                return
            self._waiting.popleft()
            if waiter.is_waiting:
                waiter.is_waiting = False
                waiter.connect_failed(TimeoutError() if self._dialing else PoolExhaustedError())

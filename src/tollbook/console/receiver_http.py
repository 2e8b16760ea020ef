"""uvicorn on an event loop that is ours, with a limit on the time a request's head may take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tollbook.console.server import bound_listener

if TYPE_CHECKING:
    import socket

_CONNECTIONS_MAX: Final = 512


class _Protocol(HttpToolsProtocol):
    """uvicorn's, which by itself waits for a head for ever."""

    header_timeout_s = 10.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self.header_timeout_s, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_timer is None:  # a later request of the connection
            self._head_timer = self.loop.call_later(self.header_timeout_s, self.transport.abort)

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Server(uvicorn.Server):
    """uvicorn's, which tells when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()


class HttpServer:
    """Serves an application on the running loop."""

    def __init__(self, app: Any, header_timeout_s: float) -> None:
        protocol = type("Protocol", (_Protocol,), {"header_timeout_s": header_timeout_s})
        self._server = _Server(
            uvicorn.Config(
                app, http=protocol, ws="none", log_config=None, access_log=False, lifespan="off",
                server_header=False, limit_concurrency=_CONNECTIONS_MAX, backlog=_CONNECTIONS_MAX,
            )
        )  # fmt: skip
        self._task: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int) -> int:
        """Serve on a port (0: any free one) and return which.

        Raises:
            OSError: the address is taken or does not exist.
        """
        listener = bound_listener(host, port, _CONNECTIONS_MAX)
        bound: int = listener.getsockname()[1]
        # Its serve() would take the signals, which are the process's business.
        self._task = asyncio.create_task(self._server._serve([listener]))  # noqa: SLF001 -- see above
        await self._server.has_started.wait()
        return bound

    async def stop(self, timeout_s: float) -> None:
        """Answer what is in hand, then stop."""
        if self._task is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, int(timeout_s))
        self._server.should_exit = True
        await self._task

"""uvicorn in a thread, so that the main thread is left to signals and the stop order."""

from __future__ import annotations

import socket
import threading
from typing import Any, Final

import uvicorn

from tollbook.errors import TollbookError

_BACKLOG: Final = 128
_POLL_S: Final = 0.02
_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 15.0
_CONNECTIONS_MAX: Final = 256


class ListenError(TollbookError):
    """The API's address cannot be used."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        super().__init__(
            f"the ledger's API cannot listen on {host}:{port}: {problem}; stop the other program "
            "or set console.port (TOLLBOOK_CONSOLE__PORT)"
        )


def bound_listener(host: str, port: int, backlog: int = _BACKLOG) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        OSError: the address is taken or does not exist.
    """
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def listen(host: str, port: int) -> socket.socket:
    """Return the API's listening socket; port 0 takes a free one.

    Raises:
        ListenError: the address is taken or does not exist.
    """
    try:
        return bound_listener(host, port)
    except OSError as error:
        raise ListenError(host, port, (error.strerror or str(error)).lower()) from error


class ApiServer:
    """Serves an ASGI application on a listening socket until stopped."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        self._listener = listener
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", server_header=False,
                limit_concurrency=_CONNECTIONS_MAX, timeout_graceful_shutdown=10,
            )
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)

    @property
    def port(self) -> int:
        """The port in use."""
        port: int = self._listener.getsockname()[1]
        return port

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def start(self) -> None:
        """Return when requests are answered.

        Raises:
            RuntimeError: the server did not start.
        """
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_START_TIMEOUT_S / _POLL_S)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waited.wait(_POLL_S)
        raise RuntimeError("the API server did not start")

    def stop(self) -> None:
        """Finish what is being answered, then stop."""
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT_S)
        self._listener.close()

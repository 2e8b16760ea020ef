"""A running simulator for tests: request ids, headers, raw sockets and the truth of one request."""

from __future__ import annotations

import itertools
import socket
import threading
from typing import TYPE_CHECKING

from tollbook import clock
from tollbook.errors import CheckFailedError
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.simulator.process import Simulator
    from tollbook.simulator.truth import TruthCall

_WAIT_S = 15
_POLL_S = 0.01


class TruthMissingError(CheckFailedError):
    """A request did not arrive or did not end in time."""

    def __init__(self, request_id: str, found: int, wanted: int) -> None:
        super().__init__(
            f"request {request_id}: {found} of {wanted} attempts have ended after {_WAIT_S} s; "
            "look into the truth log"
        )


class Lab:
    """Asks a simulator for particular behaviour and reads what it made of it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.openai_url = f"{simulator.base_url}/openai/v1"
        self.anthropic_url = f"{simulator.base_url}/anthropic"
        self._numbers = itertools.count()

    def new_id(self) -> str:
        """Return a request id that was not used before."""
        return f"lab-{next(self._numbers)}"

    @staticmethod
    def headers(
        request_id: str, *, size: str | None = None, fault: str | None = None
    ) -> dict[str, str]:
        """Return the simulator's own headers for a request."""
        wishes = {"x-sim-request-id": request_id, "x-sim-size": size, "x-sim-fault": fault}
        return {name: value for name, value in wishes.items() if value is not None}

    def attempts(self, request_id: str, count: int = 1) -> list[TruthCall]:
        """Wait until a request has arrived ``count`` times and all have ended.

        Raises:
            TruthMissingError: not within 15 seconds.
        """
        deadline_ns = clock.monotonic_ns() + _WAIT_S * clock.NS_PER_S
        while True:
            calls = [
                call
                for call in read_truth(self.simulator.log_dir)
                if call.received.request_id == request_id
            ]
            ended = sum(call.ended is not None for call in calls)
            if len(calls) == ended == count:
                return calls
            if clock.monotonic_ns() > deadline_ns:
                raise TruthMissingError(request_id, ended, count)
            threading.Event().wait(_POLL_S)

    def truth(self, request_id: str) -> TruthCall:
        """Wait for the one attempt of a request and return it."""
        return self.attempts(request_id)[0]

    def exchange(
        self, request: bytes, until: Callable[[bytes], bool] = lambda _data: False
    ) -> tuple[bytes, str]:
        """Send bytes on a fresh connection and read on.

        Returns:
            What came, and how it ended: ``closed``, ``reset`` or ``enough`` (``until`` said so;
            the connection is then closed by this side).
        """
        address = ("127.0.0.1", self.simulator.port)
        with socket.create_connection(address, timeout=_WAIT_S) as sock:
            sock.sendall(request)
            data = b""
            while not until(data):
                try:
                    piece = sock.recv(65_536)
                except ConnectionResetError:
                    return data, "reset"
                if not piece:
                    return data, "closed"
                data += piece
            return data, "enough"


def raw_request(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """Return a POST with valid credentials for both providers, on a connection of its own."""
    given = {
        "host": "simulator",
        "authorization": "Bearer sk-sim-lab",
        "anthropic-version": "2023-06-01",
        "content-length": str(len(body)),
        "connection": "close",
    } | (headers or {})
    lines = [f"POST {path} HTTP/1.1", *[f"{name}: {value}" for name, value in given.items()]]
    return "\r\n".join([*lines, "", ""]).encode() + body

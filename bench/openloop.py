"""Load at a fixed rate whatever the answers do: ``python -m bench.openloop PORT REQUESTS RATE S``.

Requests are due at the times of a Poisson process. A latency counts from the moment its request was
due, so that a proxy that stalls cannot hide the stall by slowing the load (coordinated omission).
A single thread on epoll, because an event loop's timers of one millisecond would send in bursts.
Prints one JSON line.
"""

from __future__ import annotations

import gc
import random
import re
import select
import socket
import sys
from collections import deque
from pathlib import Path

import msgspec
from msgspec import Struct

from bench import machine
from bench.stats import percentile
from tollbook import clock

_CONNECTIONS = 128
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_WARM_UP_SHARE = 0.15
"""The first part of the run is not counted: connections open, caches fill."""
_STALL_LIMIT_S = 5.0
_RECEIVE_BYTES = 262_144


class OpenLoopRun(Struct, frozen=True):
    """Latencies to the last byte of the answer, in microseconds."""

    requests: int
    per_s: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    late_p99_us: float
    """How late the generator itself sent: its own part of the latencies, whoever carries."""


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due_ns = 0
        self.answer = b""
        self.need = 0

    def is_answered(self, data: bytes) -> bool:
        """Take answer bytes; return whether the answer is whole."""
        if self.need == 0:  # the head has not been seen
            self.answer += data
            end = self.answer.find(b"\r\n\r\n")
            if end < 0:
                return False
            if not self.answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"openloop: answered {self.answer[:80]!r}")
            length = _LENGTH.search(self.answer, 0, end)
            self.need = end + 4 + int(length[1]) if length else -1
        else:
            self.answer += data
        if self.need < 0:
            return self.answer.endswith(_LAST_CHUNK)
        return len(self.answer) >= self.need


class OpenLoop:
    """One run against one port."""

    def __init__(
        self, port: int, requests: list[bytes], rate_per_s: float, duration_s: float
    ) -> None:
        self._requests = requests
        self._poll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        for _ in range(_CONNECTIONS):
            connection = _Connection(port)
            self._by_fd[connection.socket.fileno()] = connection
            self._idle.append(connection)
            self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        clock_random = random.Random(20261121)
        self._due: deque[int] = deque()
        at_s = 0.0
        while at_s < duration_s:
            self._due.append(int(at_s * clock.NS_PER_S))
            at_s += clock_random.expovariate(rate_per_s)
        self._skip = int(len(self._due) * _WARM_UP_SHARE)
        self._latencies: list[int] = []
        self._lateness: list[int] = []
        self._sent = 0

    def run(self) -> OpenLoopRun:
        """Send every request at its time and wait for the last answer."""
        gc.disable()
        machine.go_real_time()
        total = len(self._due)
        start = clock.monotonic_ns() + 10_000_000
        limit = start + self._due[-1] + int(_STALL_LIMIT_S * clock.NS_PER_S)
        while len(self._latencies) < total:
            now = clock.monotonic_ns()
            if now > limit:
                raise SystemExit(f"openloop: {total - len(self._latencies)} requests unanswered")
            while self._due and self._idle and start + self._due[0] <= now:
                self._send(start + self._due.popleft(), now)
                now = clock.monotonic_ns()
            wait_s = 0.05
            if self._due and self._idle:
                wait_s = max(0, start + self._due[0] - now) / clock.NS_PER_S
            # select() sleeps to the microsecond, epoll_wait() to the millisecond.
            if select.select([self._poll], [], [], wait_s)[0]:
                for fd, _ in self._poll.poll(0):
                    self._receive(self._by_fd[fd])
        return self._result(clock.monotonic_ns() - start, total)

    def _send(self, due_ns: int, now_ns: int) -> None:
        connection = self._idle.popleft()
        connection.due_ns, connection.answer, connection.need = due_ns, b"", 0
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        self._lateness.append(now_ns - due_ns)
        # A request of 1 KB always fits into the socket's buffer; a short write would be an error.
        if connection.socket.send(request) != len(request):
            raise SystemExit("openloop: short write")

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(_RECEIVE_BYTES)
        if not data:
            raise SystemExit("openloop: connection closed")
        if connection.is_answered(data):
            self._latencies.append(clock.monotonic_ns() - connection.due_ns)
            self._idle.append(connection)

    def _result(self, elapsed_ns: int, total: int) -> OpenLoopRun:
        counted = sorted(self._latencies[self._skip :])
        late = sorted(self._lateness[self._skip :])
        return OpenLoopRun(
            requests=total,
            per_s=total / elapsed_ns * clock.NS_PER_S,
            p50_us=percentile(counted, 50) / 1000,
            p99_us=percentile(counted, 99) / 1000,
            p999_us=percentile(counted, 99.9) / 1000,
            max_us=counted[-1] / 1000,
            late_p99_us=percentile(late, 99) / 1000,
        )


def read_requests(path: Path) -> list[bytes]:
    """Read a file of wrk.lua's format as ready HTTP requests."""
    requests = []
    with path.open("rb") as file:
        while line := file.readline():
            url_path, count, size = line.split()
            headers = b"".join(file.readline().replace(b"\n", b"\r\n") for _ in range(int(count)))
            requests.append(
                b"POST %b HTTP/1.1\r\n%bContent-Length: %b\r\n\r\n%b"
                % (url_path, headers, size, file.read(int(size)))
            )
    return requests


if __name__ == "__main__":
    port_text, file_name, rate, seconds = sys.argv[1:]
    load = OpenLoop(int(port_text), read_requests(Path(file_name)), float(rate), float(seconds))
    print(msgspec.json.encode(load.run()).decode(), flush=True)

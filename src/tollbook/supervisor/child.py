"""One supervised process: started, noticed when it ends, started again with growing pauses."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from enum import Enum
from typing import TYPE_CHECKING

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_SETTLED_S = 10.0
"""A process that lived this long starts over with the shortest pause."""


class Role(Enum):
    """Order of stopping: gateway workers first, so that the ledger reads what they leave."""

    WORKER = "gateway worker"
    LEDGER = "ledger"
    SIMULATOR = "simulator"


class Child:
    """A process of one module, kept running until told to stop.

    Its standard input is a pipe whose other end this process holds: when this process dies, however
    it dies, the child sees the end of the pipe and shuts down by itself.
    """

    def __init__(
        self,
        role: Role,
        name: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
    ) -> None:
        self.role = role
        self.name = name
        self.restarts = 0
        self._command = [sys.executable, "-m", *arguments]
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_ns = 0
        self._pause_s = _FIRST_PAUSE_S
        self._start_at_ns = 0
        self.ready = threading.Event()
        """Set once the process has printed its first line, which says that it listens."""
        self.first_line = ""
        self.is_planned = False
        """A restart has been planned since the process ended."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last life; negative is the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process now."""
        self._close_pipe()
        self.is_planned = False
        self._started_ns = clock.monotonic_ns()
        self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environ,
            # An interrupt from the terminal reaches the supervisor only, which stops in order.
            start_new_session=True,
        )
        self.ready = threading.Event()
        threading.Thread(
            target=self._read_output, args=(self._process, self.ready), daemon=True
        ).start()

    def schedule_restart(self) -> float:
        """Plan the next start after the process ended; return the pause in seconds."""
        lived_s = (clock.monotonic_ns() - self._started_ns) / clock.NS_PER_S
        self._pause_s = (
            _FIRST_PAUSE_S if lived_s > _SETTLED_S else min(self._pause_s * 2, _LONGEST_PAUSE_S)
        )
        self._start_at_ns = clock.monotonic_ns() + int(self._pause_s * clock.NS_PER_S)
        self.is_planned = True
        self.restarts += 1
        return self._pause_s

    @property
    def is_due(self) -> bool:
        """Whether the pause before the next start is over."""
        return clock.monotonic_ns() >= self._start_at_ns

    def terminate(self) -> None:
        """Ask the process to finish its work and stop."""
        if self.is_running and self._process:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        if self.is_running and self._process:
            self._process.kill()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end; return whether it came in time."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._close_pipe()
        return True

    def _read_output(self, process: subprocess.Popen[bytes], ready: threading.Event) -> None:
        """Take the first line as the sign of readiness and read on, so the pipe never fills."""
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                if not ready.is_set():
                    self.first_line = line.decode(errors="replace").strip()
                    ready.set()

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

"""Processes of one bench run: pinned to a core, and gone when the bench is, however it ends."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Self

import psutil

from bench import machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class BenchError(Exception):
    """A process of the bench did not do what it was started for."""


class Processes:
    """Starts processes and kills all of them on leaving the ``with`` block.

    The kernel kills them too when this process is killed (PR_SET_PDEATHSIG), so that an aborted
    run leaves nothing behind that would disturb the next one.
    """

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in reversed(self._started):
            stop(process)

    def start(
        self,
        command: Sequence[str],
        *,
        core: int,
        environ: Mapping[str, str] | None = None,
        log: IO[bytes] | int = subprocess.DEVNULL,
        stdin: int | None = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start a command on a core; its standard output is a pipe, its errors go to ``log``."""
        parent = os.getpid()

        def prepare() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)  # the parent died before the line above took effect
            os.setsid()
            machine.pin(core)
            machine.go_first()

        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
            env=None if environ is None else dict(environ),
            cwd=machine.ROOT,
            preexec_fn=prepare,  # noqa: PLW1509 -- the bench starts no threads before its processes
        )
        self._started.append(process)
        return process

    def start_python(
        self,
        arguments: Sequence[str],
        *,
        core: int,
        environ: Mapping[str, str] | None = None,
        log: IO[bytes] | int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start ``python -m`` with these arguments on a core."""
        return self.start([sys.executable, "-m", *arguments], core=core, environ=environ, log=log)


def stop(process: subprocess.Popen[bytes], timeout_s: float = 5.0) -> None:
    """Ask a process to end, kill it if it does not, and reap it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def first_line(process: subprocess.Popen[bytes], what: str, timeout_s: float = 20.0) -> str:
    """Return the first line a process prints, which says that it is ready.

    Raises:
        BenchError: it ended or stayed silent.
    """
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], timeout_s)
    line = process.stdout.readline().decode(errors="replace").strip() if ready else ""
    if not line:
        raise BenchError(f"{what} did not start (exit code {process.poll()})")
    return line


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used, in seconds."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(psutil.Process(pid).memory_info().rss)

"""Starts and stops the processes of an example: each with a log of its own, in turn."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 20.0
ROOT: Final = Path(__file__).resolve().parent.parent


class NotReadyError(RuntimeError):
    """A process did not come up."""


class Starter:
    """Starts processes, and stops them in turn.

    Args:
        stack: what stops them.
        home: where the logs are.
        environ: what all of them have in their environment.
    """

    def __init__(self, stack: contextlib.ExitStack, home: Path, environ: Mapping[str, str]) -> None:
        self._stack, self._home, self._environ = stack, home, environ
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(
        self, name: str, command: list[str], environ: Mapping[str, str] | None = None
    ) -> None:
        """Start one, with more in its environment."""
        log = self._stack.enter_context((self._home / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env={**self._environ, **(environ or {})}
        )
        self._stack.callback(_stop, process)
        self._started[name] = process

    def wait_for(self, name: str, ask: Callable[[], object]) -> None:
        """Wait until something answers.

        Raises:
            NotReadyError: it does not, or a process has ended.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                ask()
            except (httpx.HTTPError, redis.RedisError) as error:
                ended = [one for one, it in self._started.items() if it.poll() is not None]
                if ended or time.monotonic() > deadline:
                    log = self._home / f"{(ended or [name])[0]}.log"
                    raise NotReadyError(f"{name} did not come up; see {log}") from error
                time.sleep(0.1)
            else:
                return


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def redis_server() -> str:
    """Return the program that is Valkey or Redis.

    Raises:
        NotReadyError: neither is installed.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise NotReadyError(
        "neither valkey-server nor redis-server is installed: tools/setup_services.sh"
    )


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]

"""Settings as they are at the start of a process, and a Redis of the tests' own."""

from __future__ import annotations

import gc
import logging
import shutil
import socket
import subprocess
import threading
import time
import warnings
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tollbook.sdk import given, runtime
from tollbook.sdk.runtime import Runtime
from tollbook.sdk.sink import MemorySink

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_current", Runtime())
    monkeypatch.setattr(given, "_logged", set())


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Take back what workers of queues do to it when they run in this process."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="module", autouse=True)
def _sockets_of_queues() -> Iterator[None]:
    """Collect what libraries of queues leave open here, where it was made.

    A listener of RQ's worker outlives it with a socket that nobody closes. Collected later, it
    would be the failure of whichever test runs then.
    """
    yield
    for one in threading.enumerate():
        if type(one).__name__ == "PubSubWorkerThread":
            one.join(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def sink() -> MemorySink:
    found = MemorySink()
    runtime.configure(sink=found)
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    assert program is not None, "redis-server or valkey-server is needed: tools/setup_services.sh"
    port = free_port()
    server = subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with Redis.from_url(url) as client:
            for _ in range(200):
                try:
                    client.ping()
                    break
                except RedisConnectionError:
                    time.sleep(0.05)
            else:
                raise AssertionError("redis-server did not start")
        yield url
    finally:
        server.terminate()
        server.wait(10)

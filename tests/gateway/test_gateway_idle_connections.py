"""Ten thousand connections that say nothing, and the call that comes all the same."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.accuracy.flood import SameAnswer, flood
from tests.e2e.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECTIONS = 10_000
BYTES_EACH_MAX = 16 * 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process, and what it starts, have the sockets (root may raise the hard limit)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(hard, CONNECTIONS + 1000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, wanted))


@pytest.mark.slow
def test_idle_connections_cost_little_and_keep_nobody_out(tmp_path: Path, many_files: None) -> None:
    (port,) = free_ports(1)
    settings = tmp_path / "tollbook.toml"
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    with SameAnswer() as provider, contextlib.ExitStack() as held:
        settings.write_text(
            f"[gateway]\nport = {port}\nheader_timeout_s = 300.0\nkeepalive_s = 300.0\n"
            f'[providers.fake]\ndialect = "openai"\nbase_url = "http://127.0.0.1:{provider.port}"\n'
        )
        command = [sys.executable, "-m", "tollbook.capture.gateway.worker"]
        command += ["--config", str(settings), "--data", str(data_dir)]
        worker = held.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        held.callback(worker.terminate)
        assert worker.stdout is not None
        assert b"listens" in worker.stdout.readline()
        assert asyncio.run(flood(port, 200)) == 200
        process = psutil.Process(worker.pid)
        before_bytes = process.memory_info().rss

        for at in range(CONNECTIONS):
            one = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            if at % 2:  # half of them have begun a request and say no more
                one.sendall(b"POST /fake/v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-slow: ")
        answered = asyncio.run(flood(port, 500))
        open_connections = len(process.net_connections(kind="tcp"))
        grown_bytes = process.memory_info().rss - before_bytes

    assert answered == 500
    assert open_connections >= CONNECTIONS
    assert grown_bytes / CONNECTIONS < BYTES_EACH_MAX

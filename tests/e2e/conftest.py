"""The whole house on loopback: simulated providers, gateway, ledger, a fresh directory."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tollbook.books import open_books
from tollbook.books.keys import create_key
from tollbook.config import load_config
from tollbook.simulator.process import Simulator, start_in_subprocess
from tollbook.supervisor.run import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIM_KEY = "sk-sim-provider"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class House:
    """Simulator, supervisor and what a test asks of them."""

    def __init__(self, directory: Path, simulator: Simulator, settings: str, workers: int) -> None:
        self.simulator = simulator
        self.data_dir = directory / "data"
        self.gateway_port, self.console_port, self.otlp_http_port, self.otlp_grpc_port = free_ports(
            4
        )
        if "[receiver]" not in settings:  # a process that only the tests of it need
            settings += "\n[receiver]\nenabled = false"
        self.config_path = directory / "tollbook.toml"
        self.config_path.write_text(
            f"""
[gateway]
port = {self.gateway_port}
workers = {workers}
shutdown_timeout_s = 20
[console]
port = {self.console_port}
[providers.openai]
base_url = "{simulator.base_url}/openai"
api_key_env = "SIM_KEY"
[providers.anthropic]
base_url = "{simulator.base_url}/anthropic"
api_key_env = "SIM_KEY"
[ledger]
poll_interval_s = 0.1
{self._filled(settings)}
"""
        )
        self.data_dir.mkdir(mode=0o700)
        self.environ = {**os.environ, "SIM_KEY": SIM_KEY}
        self.supervisor = self._supervisor()
        self._watch: threading.Thread | None = None
        self._killed: set[int] = set()

    def _filled(self, settings: str) -> str:
        return (
            settings.replace("SIM/", self.simulator.base_url + "/")
            .replace("OTLP_HTTP", str(self.otlp_http_port))
            .replace("OTLP_GRPC", str(self.otlp_grpc_port))
        )

    def _supervisor(self) -> Supervisor:
        return Supervisor(
            load_config(self.config_path, self.environ),
            config_path=self.config_path,
            data_dir=self.data_dir,
            environ=self.environ,
        )

    @property
    def url(self) -> str:
        """The gateway."""
        return f"http://127.0.0.1:{self.gateway_port}"

    def key(self, label: str, **bound: Any) -> str:
        """Make a virtual key."""
        with contextlib.closing(open_books(self.data_dir)) as books:
            return create_key(books, label=label, **bound)[1]

    def start(self) -> None:
        """Start all of it, by the settings as they are now, and restart what dies."""
        self.supervisor = self._supervisor()
        self.supervisor.start()
        self._watch = threading.Thread(target=self.supervisor.watch, daemon=True)
        self._watch.start()

    def stop(self) -> None:
        """Stop in order; afterwards the ledger holds everything."""
        self.supervisor.request_stop()
        if self._watch is not None:
            self._watch.join(10)
        self.supervisor.stop()

    def settle(self) -> None:
        """Wait until everything that was killed runs again."""
        children = [self.supervisor.ledger, *self.supervisor.workers]
        wait_until(
            lambda: all(
                one.is_running and one.ready.is_set() and one.pid not in self._killed
                for one in children
            ),
            60,
        )

    def kill(self, child: int) -> None:
        """Kill a process (0: the ledger, then the workers) at once, if it lives."""
        pid = [self.supervisor.ledger, *self.supervisor.workers][child].pid
        if pid is not None:
            self._killed.add(pid)  # it is dead a little later only
            os.kill(pid, signal.SIGKILL)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command (``"prices check"``) with this house's settings and data."""
        command, *rest = arguments
        return subprocess.run(
            [
                sys.executable, "-m", "tollbook", *command.split(),
                "--config", str(self.config_path), "--data", str(self.data_dir), *rest,
            ],
            env=self.environ, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the ledger file directly; only while nothing runs."""
        with duckdb.connect(str(self.data_dir / "ledger.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def records(self, sql: str) -> list[dict[str, Any]]:
        """Ask the ledger file directly for named rows; only while nothing runs."""
        with duckdb.connect(str(self.data_dir / "ledger.duckdb"), read_only=True) as connection:
            done = connection.execute(sql)
            names = [column[0] for column in done.description or []]
            return [dict(zip(names, row, strict=True)) for row in done.fetchall()]


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Return a builder of started houses; everything is stopped at the end of the test."""
    with contextlib.ExitStack() as stack:

        def build(
            *, settings: str = "", workers: int = 1, sim: Any = None, starts: bool = True
        ) -> House:
            simulator = stack.enter_context(start_in_subprocess(tmp_path / "truth", settings=sim))
            house = House(tmp_path, simulator, settings, workers)
            stack.callback(house.stop)
            if starts:
                house.start()
            return house

        yield build


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for a condition that other processes make true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "condition did not come true in time"
        time.sleep(0.05)

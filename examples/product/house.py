"""Starts everything: Redis, simulated providers, Tollbook, the four processes of the product."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx
import redis

from tollbook.books import open_books
from tollbook.books.keys import create_key
from tollbook.simulator.process import Simulator, start_in_subprocess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 20.0
SIM_KEY: Final = "sk-sim-product"
ROOT: Final = Path(__file__).resolve().parent.parent.parent


class Running(NamedTuple):
    """What is up."""

    web_url: str
    redis_url: str
    simulator: Simulator
    home: Path

    def tollbook(self, *arguments: str) -> str:
        """Run a command of Tollbook against this ledger; return what it printed."""
        config = str(self.home / "tollbook.toml")
        return subprocess.run(
            [sys.executable, "-m", "tollbook", *arguments, "--config", config],
            check=True, capture_output=True, text=True, timeout=120, env=_environ({}),
        ).stdout  # fmt: skip


class NotReadyError(RuntimeError):
    """A process did not come up."""


@contextlib.contextmanager
def running(home: Path, mode: str, fault: str | None) -> Iterator[Running]:
    """Run the whole of it for the length of a ``with``."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as stack:
        ports = _free_ports(8)
        gateway, console, otlp, grpc, redis_port, web, agent, proxy = ports
        redis_url = f"redis://127.0.0.1:{redis_port}/0"
        simulator = stack.enter_context(start_in_subprocess(home / "provider-log"))
        (home / "tollbook.toml").write_text(
            _settings(home, simulator.base_url, gateway, console, otlp, grpc), encoding="utf-8"
        )
        start = _Starter(stack, home)
        start("redis", [_redis(), "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "",
                        "--appendonly", "no", "--dir", str(home)])  # fmt: skip
        start("tollbook", [sys.executable, "-m", "tollbook", "up", "--config",
                           str(home / "tollbook.toml")], {"SIM_KEY": SIM_KEY})  # fmt: skip
        store = stack.enter_context(redis.Redis.from_url(redis_url))
        start.wait_for("redis", store.ping)
        ready = f"http://127.0.0.1:{gateway}/readyz"
        start.wait_for("tollbook", lambda: httpx.get(ready).raise_for_status())
        with open_books(home / "data") as books:
            key = create_key(books, label="product", actor="example")[1]
        around = {
            "PRODUCT_MODE": mode,
            "PRODUCT_FAULT": fault or "",
            "PROVIDER_URL": simulator.base_url,
            "PROVIDER_KEY": SIM_KEY,
            "GATEWAY_URL": f"http://127.0.0.1:{gateway}",
            "GATEWAY_KEY": key,
            "OTLP_URL": f"http://127.0.0.1:{otlp}",
            "REDIS_URL": redis_url,
            "AGENT_URL": f"http://127.0.0.1:{agent}",
        }
        start("agent", _uvicorn("agent", agent), around)
        start("worker", [sys.executable, "-m", "celery", "-A", "examples.product.worker", "worker",
                         "--concurrency", "2", "--loglevel", "WARNING"], around)  # fmt: skip
        start("indexer", [sys.executable, "-m", "examples.product.indexer"], around)
        if fault == "stripped-headers":
            start("proxy", _uvicorn("proxy", proxy), {"PROXIED_URL": around["AGENT_URL"]})
            around = around | {"AGENT_URL": f"http://127.0.0.1:{proxy}"}
            start.wait_for("proxy", lambda: httpx.get(f"http://127.0.0.1:{proxy}/docs"))
        start("web", _uvicorn("web", web), around)
        for name, port in (("agent", agent), ("web", web)):
            start.wait_for(name, partial(httpx.get, f"http://127.0.0.1:{port}/docs"))
        yield Running(f"http://127.0.0.1:{web}", redis_url, simulator, home)


def _settings(
    home: Path, providers: str, gateway: int, console: int, otlp: int, grpc: int
) -> str:  # fmt: skip
    sections = "".join(
        f'[providers.{name}]\nbase_url = "{providers}/{name}"\napi_key_env = "SIM_KEY"\n'
        for name in ("openai", "anthropic", "cohere")
    )
    return f"""[gateway]
port = {gateway}
[console]
port = {console}
[receiver]
http_port = {otlp}
grpc_port = {grpc}
[store]
dir = "{home / "data"}"
{sections}"""


class _Starter:
    """Starts processes, each with a log of its own, and stops them in turn."""

    def __init__(self, stack: contextlib.ExitStack, home: Path) -> None:
        self._stack, self._home = stack, home
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(
        self, name: str, command: list[str], environ: Mapping[str, str] | None = None
    ) -> None:
        log = self._stack.enter_context((self._home / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env=_environ(environ or {})
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


def _uvicorn(name: str, port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", f"examples.product.{name}:app", "--port", str(port),
            "--log-level", "warning"]  # fmt: skip


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), **more}


def _redis() -> str:
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise NotReadyError(
        "neither valkey-server nor redis-server is installed: tools/setup_services.sh"
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]

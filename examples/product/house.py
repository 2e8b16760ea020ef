"""Starts everything: Redis, simulated providers, Tollbook, the four processes of the product."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx
import redis

from examples.processes import ROOT, Starter, free_ports, redis_server
from tollbook.books import open_books
from tollbook.books.keys import create_key
from tollbook.simulator.process import Simulator, start_in_subprocess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SIM_KEY: Final = "sk-sim-product"


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


@contextlib.contextmanager
def running(home: Path, mode: str, fault: str | None) -> Iterator[Running]:
    """Run the whole of it for the length of a ``with``."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as stack:
        ports = free_ports(8)
        gateway, console, otlp, grpc, redis_port, web, agent, proxy = ports
        redis_url = f"redis://127.0.0.1:{redis_port}/0"
        simulator = stack.enter_context(start_in_subprocess(home / "provider-log"))
        (home / "tollbook.toml").write_text(
            _settings(home, simulator.base_url, gateway, console, otlp, grpc), encoding="utf-8"
        )
        start = Starter(stack, home, _environ({}))
        start("redis", [redis_server(), "--port", str(redis_port), "--bind", "127.0.0.1",
                        "--save", "", "--appendonly", "no", "--dir", str(home)])  # fmt: skip
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


def _uvicorn(name: str, port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", f"examples.product.{name}:app", "--port", str(port),
            "--log-level", "warning"]  # fmt: skip


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), **more}

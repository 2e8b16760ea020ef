"""The gateways side by side: how each is started, addressed, and asked what it booked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from bench import machine
from bench.nginx import free_port, wait_for_port
from bench.procs import BenchError, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.procs import Processes

HOME = machine.ROOT / ".bench"
_LITELLM = HOME / "litellm" / "bin" / "litellm"
_PORTKEY = HOME / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
_LATE_BOOKING_S = 12.0
"""How long a peer gets to book what it has seen, after the last call."""
_TOLLBOOK = """
[gateway]
port = {port}
[console]
port = {console}
[ledger]
poll_interval_s = 0.1
[providers.openai]
base_url = "{upstream}"
[providers.anthropic]
base_url = "{upstream}"
"""
_LITELLM_CONFIG = """
model_list:
  - model_name: "claude-*"
    litellm_params: {{model: "anthropic/claude-*", api_base: "{upstream}",
                      api_key: sk-x}}
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "{upstream}/v1", api_key: sk-x}}
litellm_settings: {{callbacks: peer_litellm_book.book, num_retries: 0}}
"""


class Booked(NamedTuple):
    """What a peer booked for one case."""

    entries: int
    tokens: int
    nano_usd: int


class Peer(NamedTuple):
    """A running gateway."""

    name: str
    port: int
    pid: int
    prefixes: dict[str, str]
    """What comes before the path, for ``openai`` and ``anthropic``."""
    headers: dict[str, str]
    """Of every request."""


def installed() -> list[str]:
    """Return the peers that can run here."""
    found = ["tollbook"]
    found += ["litellm"] if _LITELLM.exists() else []
    found += ["portkey"] if _PORTKEY.exists() and shutil.which("node") else []
    return found


@contextmanager
def running_peer(name: str, processes: Processes, work: Path, upstream: str) -> Iterator[Peer]:
    """Run one gateway in front of a provider, given by its URL, until the block ends.

    Raises:
        BenchError: it did not start.
    """
    work.mkdir(parents=True, exist_ok=True)
    start = {"tollbook": _tollbook, "litellm": _litellm, "portkey": _portkey}[name]
    process, peer = start(processes, work, upstream)
    try:
        yield peer
    finally:
        stop(process)


def booked_by(name: str, work: Path) -> dict[str, Booked]:
    """Return what a peer that has been stopped booked, by case."""
    if name == "tollbook":
        return _booked_by_tollbook(work)
    return _summed(_lines(work / "book.jsonl")) if name == "litellm" else {}


def wait_for_books(name: str) -> None:
    """Give a peer that books in the background its time."""
    if name == "litellm":
        time.sleep(_LATE_BOOKING_S)


def _tollbook(
    processes: Processes, work: Path, upstream: str
) -> tuple[subprocess.Popen[bytes], Peer]:
    port = free_port()
    config = work / "tollbook.toml"
    config.write_text(_TOLLBOOK.format(port=port, console=free_port(), upstream=upstream))
    process = processes.start_python(
        ["tollbook", "up", "--config", str(config), "--data", str(work / "data")],
        core=machine.PROXY_CORE,
    )
    wait_for_port(port, "tollbook")
    prefixes = {"openai": "/openai", "anthropic": "/anthropic"}
    return process, Peer("tollbook", port, process.pid, prefixes, {"authorization": "Bearer sk-x"})


def _litellm(
    processes: Processes, work: Path, upstream: str
) -> tuple[subprocess.Popen[bytes], Peer]:
    port = free_port()
    (work / "config.yaml").write_text(_LITELLM_CONFIG.format(upstream=upstream))
    shutil.copy(machine.ROOT / "bench" / "peer_litellm_book.py", work)
    environ = {
        **os.environ,
        "PEER_BOOK": str(work / "book.jsonl"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    with (work / "litellm.log").open("wb") as log:
        process = processes.start(
            [str(_LITELLM), "--config", str(work / "config.yaml"), "--host", "127.0.0.1",
             "--port", str(port), "--num_workers", "1"],
            core=machine.PROXY_CORE, environ=environ, log=log,
        )  # fmt: skip
    wait_for_port(port, "litellm", attempts=1200)
    headers = {"authorization": "Bearer sk-x"}
    return process, Peer("litellm", port, process.pid, {"openai": "", "anthropic": ""}, headers)


def _portkey(
    processes: Processes, work: Path, upstream: str
) -> tuple[subprocess.Popen[bytes], Peer]:
    del work
    port = free_port()
    node = shutil.which("node")
    assert node is not None
    process = processes.start(
        [node, str(_PORTKEY), f"--port={port}", "--headless"], core=machine.PROXY_CORE
    )
    wait_for_port(port, "portkey", attempts=600)
    headers = {
        "authorization": "Bearer sk-x",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{upstream}/v1",
    }
    return process, Peer("portkey", port, process.pid, {"openai": "", "anthropic": ""}, headers)


def _lines(path: Path) -> list[tuple[str, int, Decimal]]:
    if not path.exists():
        return []
    read = [json.loads(line) for line in path.read_text().splitlines()]
    return [(one["case"], one["tokens"], Decimal(one["cost_usd"])) for one in read]


def _booked_by_tollbook(work: Path) -> dict[str, Booked]:
    done = subprocess.run(
        [sys.executable, "-m", "tollbook", "report", "spend", "--by", "tenant", "--since",
         "2020-01-01", "--limit", "1000", "--format", "json",
         "--config", str(work / "tollbook.toml"), "--data", str(work / "data")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchError(f"tollbook report: {done.stderr.strip()}")
    return {
        row["tenant"]: Booked(
            row["calls"],
            (row["input_tokens"] or 0) + (row["output_tokens"] or 0),
            int(Decimal(row["cost_usd"] or 0) * 10**9),
        )
        for row in json.loads(done.stdout)["rows"]
    }


def _summed(lines: list[tuple[str, int, Decimal]]) -> dict[str, Booked]:
    found: dict[str, Booked] = {}
    for case, tokens, cost_usd in lines:
        so_far = found.get(case, Booked(0, 0, 0))
        found[case] = Booked(
            so_far.entries + 1,
            so_far.tokens + tokens,
            so_far.nano_usd + round(cost_usd * 10**9),
        )
    return found

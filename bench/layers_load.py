"""What telling layers costs a saturated gateway: as many requests as it answers, with and without.

Two gateways of the same code, one with ``layers = false``, share the proxy core and take turns,
each with 64 connections that never pause. So all that layers cost is in the ratio of the two, also
what a clock around the reading cannot tell: longer frames, caches that were emptied.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import machine
from bench.answers import agent_body, request_body, request_headers
from bench.figures import Aim, Figure, figure
from bench.nginx import free_port, wait_for_port
from bench.procs import Processes, cpu_s, first_line
from bench.stats import paired_ratio
from bench.wrk import run_wrk
from tollbook.books.store import open_books

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """
[gateway]
port = {port}
layers = {layers}

[providers.openai]
dialect = "openai"
base_url = "http://127.0.0.1:{upstream}/plain"

[providers.anthropic]
dialect = "anthropic"
base_url = "http://127.0.0.1:{upstream}/message"

[store]
dir = "{data}"
"""
_PATHS: Final = {
    "openai": "/openai/v1/chat/completions",
    "anthropic": "/anthropic/v1/messages",
}
_CASES: Final = (
    ("plain", 1, "openai"),
    ("plain", 50, "openai"),
    ("agent", 50, "openai"),
    ("plain", 1, "anthropic"),
    ("plain", 50, "anthropic"),
    ("agent", 50, "anthropic"),
)
_CALLERS: Final = 64
_STARTS: Final = 4
"""Two processes of the same code differ by some percent, by where their memory came to lie."""
_ROUNDS: Final = 2
_RUN_S: Final = 3
_THROUGHPUT_AIM: Final = Aim("ratio", "at least", 0.9)
_MODES: Final = ("true", "false")


class _Gateway(NamedTuple):
    port: int
    pid: int


def run_load() -> Iterator[Figure]:
    """Measure each kind of request; the ratios are of neighbouring runs."""
    if machine.find_program("wrk") is None:
        yield figure("layers.load.requests", None, "requests/s", note="wrk is not installed")
        return
    for kind, kilobytes, dialect in _CASES:
        yield from _compared(
            f"layers.load.{dialect}.{kind}.{kilobytes}KB",
            dialect,
            conversation(kind, kilobytes, dialect),
        )


def conversation(kind: str, kilobytes: int, dialect: str) -> bytes:
    """Return a request of a plain conversation or of an agent."""
    if kind == "agent":
        return agent_body(dialect, kilobytes * 1024)
    body = json.loads(request_body(kilobytes * 1024, is_stream=False))
    if dialect == "anthropic":
        body["system"] = body["messages"].pop(0)["content"]
    return json.dumps(body).encode()


def _compared(name: str, dialect: str, body: bytes) -> Iterator[Figure]:
    rates: dict[str, list[float]] = defaultdict(list)
    costs: dict[str, list[float]] = defaultdict(list)
    for _ in range(_STARTS):
        _measure(dialect, body, rates, costs)
    with_layers, without = (rates[mode] for mode in _MODES)
    busy = median(rate * cost / 1e6 for rate, cost in zip(with_layers, costs["true"], strict=True))
    yield figure(
        f"{name}.requests", median(with_layers), "requests/s", baseline=median(without),
        ratio=paired_ratio(with_layers, without), baseline_is="layers = false",
        aim=_THROUGHPUT_AIM, samples=with_layers,
        note=f"{busy:.0%} of a core; load {' '.join(f'{one:.2f}' for one in os.getloadavg())}",
    )  # fmt: skip
    yield figure(
        f"{name}.cpu_per_request", median(costs["true"]), "us", baseline=median(costs["false"]),
        ratio=paired_ratio(costs["true"], costs["false"]), baseline_is="layers = false",
        samples=costs["true"],
    )  # fmt: skip


def _measure(
    dialect: str, body: bytes, rates: dict[str, list[float]], costs: dict[str, list[float]]
) -> None:
    """Start two gateways and load them in turns."""
    with tempfile.TemporaryDirectory(prefix="tollbook-bench-") as made, Processes() as processes:
        work = Path(made)
        upstream = processes.start_python(["bench.upstream"], core=machine.LOAD_CORE)
        upstream_port = int(first_line(upstream, "the canned provider"))
        gateways = {mode: _start(processes, work, upstream_port, mode) for mode in _MODES}
        requests = work / "requests"
        _write(requests, _PATHS[dialect], body)
        for turn in range(_ROUNDS + 1):
            for mode in _MODES if turn % 2 else _MODES[::-1]:
                port, pid = gateways[mode]
                before = cpu_s(pid)
                done = run_wrk(processes, port, requests, connections=_CALLERS, duration_s=_RUN_S)
                if turn:  # the first one warms up
                    rates[mode].append(done.per_s)
                    costs[mode].append((cpu_s(pid) - before) / done.requests * 1e6)


def _start(processes: Processes, work: Path, upstream: int, layers: str) -> _Gateway:
    port, data, config = free_port(), work / f"data-{layers}", work / f"{layers}.toml"
    data.mkdir(mode=0o700)
    open_books(data).close()
    config.write_text(_CONFIG.format(port=port, layers=layers, upstream=upstream, data=data))
    process = processes.start_python(
        ["tollbook.capture.gateway.worker", "--config", str(config), "--data", str(data)],
        core=machine.PROXY_CORE,
        environ={k: v for k, v in os.environ.items() if not k.startswith("TOLLBOOK_")},
    )
    first_line(process, "the gateway")
    wait_for_port(port, "the gateway")
    return _Gateway(port, process.pid)


def _write(path: Path, url_path: str, body: bytes) -> None:
    with path.open("wb") as file:
        for caller in range(_CALLERS):
            headers = request_headers(caller)
            file.write(f"{url_path} {len(headers)} {len(body)}\n".encode())
            for name, value in headers.items():
                file.write(f"{name}: {value}\n".encode())
            file.write(body)

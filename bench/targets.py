"""What carries requests in the parts ``gateway`` and ``streams``: gateway, nginx, or nothing."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import machine
from bench.nginx import free_port, start_nginx, wait_for_port
from bench.procs import BenchError, Processes, first_line
from tollbook.books.store import open_books

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """
[gateway]
port = {port}
environment = "production"

[providers.plain]
dialect = "openai"
base_url = "http://127.0.0.1:{upstream_port}/plain"

[providers.stream]
dialect = "openai"
base_url = "http://127.0.0.1:{upstream_port}/stream"

[providers.trickle]
dialect = "openai"
base_url = "http://127.0.0.1:{upstream_port}/trickle"

[store]
dir = "{data}"
"""
KINDS = ("plain", "stream", "trickle")
URL_PATH = "/{kind}/v1/chat/completions"
"""The gateway takes the first part as the provider's name and the base URL puts it back on, so the
upstream sees the same path whoever carries it."""


class Target(NamedTuple):
    """A port to load and the process that does the carrying."""

    name: str
    port: int
    pid: int


class Bench(NamedTuple):
    """Everything that runs during a part."""

    processes: Processes
    work: Path
    data: Path
    upstream_pid: int
    gateway: Target
    nginx: Target | None
    direct: Target

    @property
    def targets(self) -> list[Target]:
        """All of them, in the order they take turns."""
        return [self.gateway, *([self.nginx] if self.nginx else []), self.direct]


@contextmanager
def running(*, trickle_interval_s: float = 2.0) -> Iterator[Bench]:
    """Run canned provider (load core), gateway and nginx (proxy core) until the block ends."""
    with tempfile.TemporaryDirectory(prefix="tollbook-bench-") as name, Processes() as processes:
        work = Path(name)
        upstream = processes.start_python(
            ["bench.upstream", "--interval", str(trickle_interval_s)], core=machine.LOAD_CORE
        )
        upstream_port = int(first_line(upstream, "the canned provider"))
        nginx = start_nginx(processes, work / "nginx", upstream_port)
        gateway, data = _start_gateway(processes, work, upstream_port)
        yield Bench(
            processes,
            work,
            data,
            upstream.pid,
            gateway,
            Target("nginx", nginx[1], nginx[0].pid) if nginx else None,
            Target("direct", upstream_port, upstream.pid),
        )


def _start_gateway(processes: Processes, work: Path, upstream_port: int) -> tuple[Target, Path]:
    port, data, config = free_port(), work / "data", work / "tollbook.toml"
    data.mkdir(mode=0o700)
    open_books(data).close()  # as the ledger process does before any gateway starts
    config.write_text(_CONFIG.format(port=port, upstream_port=upstream_port, data=data))
    log = work / "gateway.log"
    with log.open("wb") as errors:
        process = processes.start_python(
            ["tollbook.capture.gateway.worker", "--config", str(config), "--data", str(data),
             "--worker", "0"],
            core=machine.PROXY_CORE,
            environ={k: v for k, v in os.environ.items() if not k.startswith("TOLLBOOK_")},
            log=errors,
        )  # fmt: skip
    try:
        first_line(process, "the gateway")
        wait_for_port(port, "the gateway")
    except BenchError as error:
        said = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise BenchError(f"{error}: {said[0] if said else 'it said nothing'}") from error
    return Target("gateway", port, process.pid), data

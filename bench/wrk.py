"""wrk as the closed-loop load generator: how many requests a proxy carries at most."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from bench import answers, machine
from bench.procs import BenchError, stop

if TYPE_CHECKING:
    from pathlib import Path

    from bench.procs import Processes

_CALLERS = 64


class WrkRun(Struct, frozen=True):
    """What wrk counted; ``failed`` are socket errors and answers other than 2xx and 3xx."""

    requests: int
    bytes: int
    duration_us: int
    failed: int
    p50_us: int
    p99_us: int

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return self.requests / self.duration_us * 1e6


def write_requests(
    path: Path, url_path: str, size_bytes: int, *, is_stream: bool, is_agent: bool = False
) -> None:
    """Write the requests of 64 callers for wrk.lua: a plain conversation's, or an agent's."""
    body = (
        answers.agent_body("openai", size_bytes)
        if is_agent
        else answers.request_body(size_bytes, is_stream=is_stream)
    )
    with path.open("wb") as file:
        for caller in range(_CALLERS):
            headers = answers.request_headers(caller)
            file.write(f"{url_path} {len(headers)} {len(body)}\n".encode())
            for name, value in headers.items():
                file.write(f"{name}: {value}\n".encode())
            file.write(body)


def run_wrk(
    processes: Processes, port: int, requests: Path, *, connections: int, duration_s: int
) -> WrkRun:
    """Load a port from the load core as fast as it answers.

    Raises:
        BenchError: wrk failed, or a request did.
    """
    program = machine.find_program("wrk")
    if program is None:
        raise BenchError("wrk is not installed")
    process = processes.start(
        [program, "-t1", f"-c{connections}", f"-d{duration_s}s", "--timeout", "10s",
         "-s", str(machine.ROOT / "bench" / "wrk.lua"), f"http://127.0.0.1:{port}"],
        core=machine.LOAD_CORE,
        environ={**os.environ, "BENCH_REQUESTS": str(requests)},
        stdin=None,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        output = process.stdout.read().decode()
        code = process.wait(duration_s + 15)
    except subprocess.TimeoutExpired as error:
        raise BenchError("wrk did not end") from error
    finally:
        stop(process)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if code or not lines:
        raise BenchError(f"wrk failed (exit code {code})")
    run = msgspec.json.decode(lines[-1], type=WrkRun)
    if run.failed:
        raise BenchError(f"{run.failed} of {run.requests} requests failed on port {port}")
    return run

"""Part ``streams``: memory and processor time of 2,000 open slow streams."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from bench import machine
from bench.figures import Aim, Figure, figure
from bench.procs import cpu_s, first_line, rss_bytes, stop
from bench.targets import URL_PATH, Target, running
from bench.wrk import run_wrk, write_requests
from tollbook import clock

if TYPE_CHECKING:
    from pathlib import Path

    from bench.targets import Bench

_STREAMS = 2000
_INTERVAL_S = 2.0
_SETTLE_S = 2.5
_WATCH_S = 6.0
_MEMORY_AIM = Aim("value", "at most", 64.0)


class Held(NamedTuple):
    """What holding the streams took."""

    kib_per_stream: float
    cpu_percent: float
    events_per_s: float


def run() -> list[Figure]:
    """Measure the gateway, then nginx, with the same streams."""
    with running(trickle_interval_s=_INTERVAL_S) as bench:
        requests = bench.work / "requests"
        write_requests(requests, URL_PATH.format(kind="trickle"), 1024, is_stream=True)
        ours = _hold(bench, bench.gateway, requests)
        theirs = _hold(bench, bench.nginx, requests) if bench.nginx else None
    peer = "nginx" if theirs else None
    note = (
        f"{_STREAMS} streams, an event every {_INTERVAL_S:.0f} s each; "
        f"{ours.events_per_s:.0f} events/s"
    )
    return [
        figure("streams.memory_per_stream", ours.kib_per_stream, "KiB",
               baseline=theirs and theirs.kib_per_stream, baseline_is=peer, aim=_MEMORY_AIM,
               note=f"{note}; growth of resident memory, without the kernel's socket buffers"),
        figure("streams.cpu", ours.cpu_percent, "% of a core",
               baseline=theirs and theirs.cpu_percent, baseline_is=peer, note=note),
        figure("streams.cpu_per_event", ours.cpu_percent * 1e4 / ours.events_per_s, "us",
               baseline=theirs and theirs.cpu_percent * 1e4 / theirs.events_per_s,
               baseline_is=peer, note=note),
    ]  # fmt: skip


def _hold(bench: Bench, target: Target, requests: Path) -> Held:
    if machine.find_program("wrk"):
        # Memory that any first requests would claim is not the streams'.
        warm = bench.work / "warm"
        write_requests(warm, URL_PATH.format(kind="stream"), 1024, is_stream=True)
        run_wrk(bench.processes, target.port, warm, connections=16, duration_s=1)
    before = rss_bytes(target.pid)
    client = bench.processes.start_python(
        ["bench.trickle", str(target.port), str(requests), str(_STREAMS)], core=machine.LOAD_CORE
    )
    try:
        first_line(client, f"the streams through {target.name}", 30.0)
        opened_ns = clock.monotonic_ns()
        time.sleep(_SETTLE_S)
        cpu_before, watch_ns = cpu_s(target.pid), clock.monotonic_ns()
        time.sleep(_WATCH_S)
        watched_s = (clock.monotonic_ns() - watch_ns) / clock.NS_PER_S
        cpu = cpu_s(target.pid) - cpu_before
        memory = rss_bytes(target.pid) - before
        assert client.stdin is not None
        client.stdin.write(b"\n")
        client.stdin.flush()
        events, closed = first_line(client, "the count of events").split()
        assert closed == "0", f"{closed} streams were closed"
        open_s = (clock.monotonic_ns() - opened_ns) / clock.NS_PER_S
    finally:
        stop(client)
    return Held(memory / 1024 / _STREAMS, cpu / watched_s * 100, int(events) / open_s)

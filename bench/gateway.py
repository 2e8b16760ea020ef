"""Part ``gateway``: requests per second on one core, and the latency the gateway adds."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from bench import machine
from bench.figures import Aim, Figure, figure
from bench.openloop import OpenLoopRun
from bench.procs import cpu_s, first_line, stop
from bench.spoolcount import closed_calls
from bench.stats import paired_ratio, spread_percent
from bench.targets import URL_PATH, Bench, Target, running
from bench.wrk import WrkRun, run_wrk, write_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CASES = (("plain", 1), ("plain", 50), ("stream", 1), ("stream", 50), ("agent", 50))
_LATENCY_CASES = (("plain", 1), ("stream", 1))
_CONNECTIONS = 64
_ROUNDS = 3
_RUN_S = 2
_LATENCY_RUN_S = 3.0
_RPS_AIM = Aim("ratio", "at least", 0.5)
_P99_AIM = Aim("value", "at most", 1.0)
_BUSY = 0.95
_T = TypeVar("_T")


class Load(NamedTuple):
    """One wrk run and how busy the carrier's process was meanwhile (1 is a whole core)."""

    run: WrkRun
    busy: float

    @property
    def cpu_us(self) -> float:
        """Processor time of the carrier for each answered request."""
        return self.busy * self.run.duration_us / self.run.requests


def run() -> list[Figure]:
    """Measure every case; gateway, nginx and direct take turns."""
    if machine.find_program("wrk") is None:
        return [figure("gateway.requests", None, "requests/s", note="wrk is not installed")]
    figures: list[Figure] = []
    most: dict[tuple[str, int], float] = {}
    for kind, kilobytes in _CASES:
        with running() as bench:
            requests = bench.work / "requests"
            is_agent = kind == "agent"
            write_requests(
                requests, URL_PATH.format(kind="plain" if is_agent else kind), kilobytes * 1024,
                is_stream=kind == "stream", is_agent=is_agent,
            )  # fmt: skip
            loads = _take_turns(bench, partial(_load, bench, requests))
            most[kind, kilobytes] = median(load.run.per_s for load in loads["gateway"])
            figures += _throughput(f"gateway.{kind}.{kilobytes}KB", loads)
            figures.append(_metered(f"gateway.{kind}.{kilobytes}KB", bench, loads["gateway"]))
    for kind, kilobytes in _LATENCY_CASES:
        with running() as bench:
            requests = bench.work / "requests"
            write_requests(
                requests, URL_PATH.format(kind=kind), kilobytes * 1024, is_stream=kind == "stream"
            )
            rate = most[kind, kilobytes] / 2
            machine.go_real_time(bench.upstream_pid)
            runs = _take_turns(bench, partial(_open_loop, bench, requests, rate))
            figures += _latency(f"gateway.{kind}.{kilobytes}KB", rate, runs)
    return figures


def _take_turns(bench: Bench, measure: Callable[[Target], _T]) -> dict[str, list[_T]]:
    runs: dict[str, list[_T]] = defaultdict(list)
    for target in bench.targets:
        measure(target)  # connections and caches; not counted
    for _ in range(_ROUNDS):
        for target in bench.targets:
            runs[target.name].append(measure(target))
    return runs


def _load(bench: Bench, requests: Path, target: Target) -> Load:
    before = cpu_s(target.pid)
    done = run_wrk(
        bench.processes, target.port, requests, connections=_CONNECTIONS, duration_s=_RUN_S
    )
    return Load(done, (cpu_s(target.pid) - before) / (done.duration_us / 1e6))


def _open_loop(bench: Bench, requests: Path, rate: float, target: Target) -> OpenLoopRun:
    process = bench.processes.start_python(
        ["bench.openloop", str(target.port), str(requests), f"{rate:.0f}", str(_LATENCY_RUN_S)],
        core=machine.LOAD_CORE,
    )
    try:
        line = first_line(process, "the load generator", _LATENCY_RUN_S + 15)
        return msgspec.json.decode(line, type=OpenLoopRun)
    finally:
        stop(process)


def _throughput(name: str, loads: dict[str, list[Load]]) -> list[Figure]:
    rates = {peer: [load.run.per_s for load in runs] for peer, runs in loads.items()}
    costs = {peer: [load.cpu_us for load in runs] for peer, runs in loads.items()}
    busy = {peer: median(load.busy for load in runs) for peer, runs in loads.items()}
    nginx = "nginx" in rates
    limits = "; ".join(
        f"{peer} {share:.0%} of a core" + ("" if share >= _BUSY else " (the load side limits)")
        for peer, share in busy.items()
        if peer != "direct"
    )
    return [
        figure(
            f"{name}.requests",
            median(rates["gateway"]),
            "requests/s",
            baseline=median(rates["nginx"]) if nginx else None,
            ratio=paired_ratio(rates["gateway"], rates["nginx"]) if nginx else None,
            baseline_is="nginx" if nginx else None,
            aim=_RPS_AIM,
            samples=rates["gateway"],
            note=f"{limits}; runs differ by {spread_percent(rates['gateway']):.0f} %"
            + ("" if nginx else "; nginx is not installed"),
        ),
        figure(
            f"{name}.requests_vs_direct",
            median(rates["gateway"]),
            "requests/s",
            baseline=median(rates["direct"]),
            ratio=paired_ratio(rates["gateway"], rates["direct"]),
            baseline_is="direct",
            note="direct: wrk and the canned provider share the load core, which limits it",
        ),
        figure(
            f"{name}.cpu_per_request",
            median(costs["gateway"]),
            "us",
            baseline=median(costs["nginx"]) if nginx else None,
            ratio=paired_ratio(costs["gateway"], costs["nginx"]) if nginx else None,
            baseline_is="nginx" if nginx else None,
            note="processor time of the carrying process; holds also where the load side limits",
        ),
    ]


def _metered(name: str, bench: Bench, loads: list[Load]) -> Figure:
    """Show that what was measured was metered: every answer has its close frame in the spool."""
    answered = sum(load.run.requests for load in loads)
    in_spool = closed_calls(bench.data / "spool")
    return figure(
        f"{name}.calls_in_spool",
        in_spool,
        "calls",
        baseline=answered,
        baseline_is="answers wrk counted (without its warm-up run)",
        note="at least as many: metering and spool were on",
    )


def _latency(name: str, rate: float, runs: dict[str, list[OpenLoopRun]]) -> list[Figure]:
    figures = []
    for percent, field in (("p50", "p50_us"), ("p99", "p99_us")):
        took = {
            peer: [getattr(each, field) / 1000 for each in peer_runs]
            for peer, peer_runs in runs.items()
        }
        added = {
            peer: [ours - direct for ours, direct in zip(took[peer], took["direct"], strict=True)]
            for peer in took
            if peer != "direct"
        }
        whole = ", ".join(f"{peer} {median(each):.3f} ms" for peer, each in took.items())
        late = median(each.late_p99_us for peer_runs in runs.values() for each in peer_runs)
        figures.append(
            figure(
                f"{name}.added_{percent}",
                median(added["gateway"]),
                "ms",
                baseline=median(added["nginx"]) if "nginx" in added else None,
                baseline_is="nginx" if "nginx" in added else None,
                aim=_P99_AIM if percent == "p99" else None,
                samples=added["gateway"],
                note=f"open loop at {rate:.0f} requests/s, half of the gateway's most; {whole},"
                f" of which the generator's own lateness (p99) {late / 1000:.3f} ms",
            )
        )
    return figures

"""Part ``audit``: how many spans a second the auditor reads, and in how much memory.

The whole of it is measured, as ``tollbook audit traces.jsonl`` does it: reading, what is kept of a
span, grouping by trace, prices, every rule, the score. Each run is a process of its own that tells
its CPU time and its largest size. The baseline is the least that any reader does, in the same
minute: plain ``msgspec.json.decode`` of each line, with nothing made of it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from bench import audit_traffic, machine
from bench.figures import Aim, Figure, figure
from bench.procs import BenchError
from bench.stats import paired_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

MB: Final = 1_000_000
SMALL_BYTES: Final = 100 * MB
LARGE_BYTES: Final = 1000 * MB
_ROUNDS: Final = 3
_TIMEOUT_S: Final = 1200
_SPEED_AIM: Final = Aim("value", "at least", 50_000)
_GROWTH_AIM: Final = Aim("ratio", "at most", 1.5)


class Run(Struct):
    """What a process told of itself."""

    spans: int
    cpu_s: float
    peak_mb: float
    findings: int = 0
    troubles: int = 0

    @property
    def spans_per_s(self) -> float:
        """Of CPU time."""
        return self.spans / self.cpu_s


def run() -> list[Figure]:
    """Measure a file of 100 MB in turns with the baseline, then one of 1 GB."""
    with tempfile.TemporaryDirectory(prefix="tollbook-bench-") as folder:
        path = Path(folder, "traces.jsonl")
        spans = audit_traffic.write(path, SMALL_BYTES)
        ours: list[Run] = []
        plain: list[Run] = []
        for _ in range(_ROUNDS):
            plain.append(measured("plain", path, spans))
            ours.append(measured("audit", path, spans))
        spans = audit_traffic.write(path, LARGE_BYTES)
        large = measured("audit", path, spans)
    return [*_speeds(ours, plain), *_large(ours, large)]


def measured(what: str, path: Path, spans: int) -> Run:
    """Run once, in a process of its own.

    Raises:
        BenchError: it failed, or did not read what is there.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "bench.audit_run", what, str(path)],
        cwd=machine.ROOT,
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if ended.returncode != 0:
        raise BenchError(f"audit: {what} failed: {ended.stderr.decode()[-500:]}")
    told = msgspec.json.decode(ended.stdout, type=Run)
    if told.spans != spans or told.troubles:
        raise BenchError(f"audit: {told.spans} spans of {spans} were read")
    return told


def _speeds(ours: Sequence[Run], plain: Sequence[Run]) -> list[Figure]:
    best = max(ours, key=lambda one: one.spans_per_s)
    base = max(plain, key=lambda one: one.spans_per_s)
    note = (
        f"{best.spans} spans of {SMALL_BYTES // MB} MB, one in five a call to a model, in CPU time"
        f" of one core; fastest of {len(ours)}; {best.findings} findings"
    )
    return [
        figure(
            "audit.spans_per_cpu_second",
            best.spans_per_s,
            "spans/s",
            baseline=base.spans_per_s,
            ratio=paired_ratio(
                [one.spans_per_s for one in ours], [one.spans_per_s for one in plain]
            ),
            baseline_is="msgspec.json.decode of each line",
            aim=_SPEED_AIM,
            samples=[one.spans_per_s for one in ours],
            note=note,
        ),
        figure("audit.cpu_per_span", 1e6 / best.spans_per_s, "us"),
    ]


def _large(ours: Sequence[Run], large: Run) -> list[Figure]:
    small_mb = max(one.peak_mb for one in ours)
    return [
        figure(
            "audit.1gb.spans_per_cpu_second",
            large.spans_per_s,
            "spans/s",
            note=f"{large.spans} spans; {large.cpu_s:.0f} s of CPU time",
        ),
        figure(
            "audit.1gb.peak_memory",
            large.peak_mb,
            "MB",
            baseline=small_mb,
            baseline_is="a file of a tenth of the size",
            aim=_GROWTH_AIM,
            note="the process with its interpreter; what is held of spans is 64 MiB, then on disk",
        ),
    ]

"""Part ``finance``: a month of ten million calls reconciled, allocated and closed."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import msgspec

from bench import machine
from bench.figures import Figure, figure
from bench.financework import FinanceRun
from bench.procs import BenchError

CALLS = 10_000_000
_TIMEOUT_S = 3600.0
_BASE = "one SUM of the same calls by tenant, provider and model, by the database alone"


def run() -> list[Figure]:
    """Fill a month in a process of its own and take it to its close."""
    with tempfile.TemporaryDirectory(prefix="tollbook-bench-") as name:
        work = [sys.executable, "-m", "bench.financework", name, str(CALLS)]
        try:
            done = subprocess.run(
                work, cwd=machine.ROOT, check=True, stdout=subprocess.PIPE, timeout=_TIMEOUT_S
            )
        except subprocess.SubprocessError as error:
            raise BenchError(str(error)) from error
    came = msgspec.json.decode(done.stdout.splitlines()[-1], type=FinanceRun)
    whole = sum(came.steps_s.values())
    note = f"{came.calls:,} calls, {came.owners:,} tenant-models; two cores"
    return [
        figure(
            "finance.whole", whole, "s", baseline=came.baseline_s, baseline_is=_BASE, note=note
        ),
        *(
            figure(f"finance.{step.replace(' ', '_')}", took, "s")
            for step, took in came.steps_s.items()
        ),
        figure(
            "finance.peak_memory", came.peak_rss_bytes / 2**20, "MiB",
            note=f"resident; {came.filled_rss_bytes / 2**20:.0f} after filling; DuckDB had 2 GB",
        ),
    ]  # fmt: skip

"""Part ``ledger``: calls per second from the spool into DuckDB, on one core."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import msgspec

from bench import machine
from bench.figures import Aim, Figure, figure
from bench.ledgerwork import LedgerRun
from bench.procs import Processes, first_line
from bench.spoolfill import fill_spool
from bench.stats import paired_ratio, spread_percent

_CALLS = 120_000
_ROUNDS = 3
_AIM = Aim("value", "at least", 50_000)
_RAW = "the same Arrow rows inserted into an empty ledger, nothing around it"


def run() -> list[Figure]:
    """Ingest the same spool in a fresh process several times."""
    with tempfile.TemporaryDirectory(prefix="tollbook-bench-") as name:
        work = Path(name)
        size_bytes = fill_spool(work / "spool", _CALLS, seed=1)
        runs = [_round(work, number) for number in range(_ROUNDS)]
    ours = [each.calls / each.ingest_s for each in runs]
    raw = [each.calls / each.raw_insert_s for each in runs]
    assert all(each.calls == _CALLS for each in runs), "a call is missing from the ledger"
    figures = [
        figure("ledger.calls", median(ours), "calls/s", baseline=median(raw),
               ratio=paired_ratio(ours, raw), baseline_is=_RAW, aim=_AIM, samples=ours,
               note=f"read, joined, measured, priced, hashed, committed in batches of 20,000; one"
               f" core, one DuckDB thread; runs differ by {spread_percent(ours):.0f} %"),
        figure("ledger.peak_memory", median(each.peak_rss_bytes for each in runs) / 2**20, "MiB",
               note=f"resident, of the ingesting process, over {_CALLS} calls"),
        figure("ledger.checkpoint", median(each.checkpoint_s for each in runs), "s",
               note="moving the write-ahead log into the file afterwards; not in calls/s"),
        figure("ledger.spool", size_bytes / _CALLS, "bytes per call",
               note="both frames, as the gateway writes them"),
    ]  # fmt: skip
    whole = median(each.ingest_s for each in runs) / _CALLS * 1e6
    steps = {
        step: median(each.steps_s[step] for each in runs) / _CALLS * 1e6 for step in runs[0].steps_s
    }
    steps["insert"] = median(each.raw_insert_s for each in runs) / _CALLS * 1e6
    return [
        *figures,
        figure("ledger.step.whole", whole, "us per call"),
        *(
            figure(f"ledger.step.{step}", took, "us per call", note=f"{took / whole:.0%} of all")
            for step, took in steps.items()
        ),
    ]


def _round(work: Path, number: int) -> LedgerRun:
    place = work / f"round-{number}"
    place.mkdir()
    with Processes() as processes:
        process = processes.start_python(
            ["bench.ledgerwork", str(work / "spool"), str(place)], core=machine.PROXY_CORE
        )
        line = first_line(process, "the ledger", 120.0)
        return msgspec.json.decode(line, type=LedgerRun)

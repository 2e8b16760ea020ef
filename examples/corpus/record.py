"""Runs the product for each instrumentation and fault, and keeps what it told."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.corpus.drive import drive
from examples.corpus.held_out.plan import HELD_OUT
from examples.corpus.held_out.run import drive_world, world_up
from examples.corpus.house import on_ground, product_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.corpus.house import Ground
    from examples.corpus.plan import Planted

PROGRAM = "examples.corpus.program"


def record(into: Path, runs: Sequence[tuple[str, Planted]]) -> None:
    """Record runs, each an instrumentation and what is planted.

    Writes for each ``NAME.INSTRUMENTATION.jsonl.gz`` and ``.truth.json``: the ticket of every call
    by the span that it is.
    """
    into.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="tollbook-corpus-") as scratch,
        on_ground(Path(scratch) / "home") as ground,
    ):
        for instrumentation, planted in runs:
            began = time.monotonic()
            spans = _record_one(into, ground, instrumentation, planted)
            print(f"{planted.name:<24} {instrumentation:<16}{spans:>6} lines "
                  f"{time.monotonic() - began:6.1f} s", flush=True)  # fmt: skip


def _record_one(into: Path, ground: Ground, instrumentation: str, planted: Planted) -> int:
    name = f"{planted.name}.{instrumentation}"
    told = ground.home / f"{name}.jsonl"
    ground.collector.write_to(told)
    if planted in HELD_OUT:
        with world_up(ground, planted, instrumentation) as up:
            drive_world(planted, up)
    else:
        with product_up(ground, name, instrumentation, planted.switches, PROGRAM) as up:
            drive(up)
    lines = told.read_bytes()
    with (into / f"{name}.jsonl.gz").open("wb") as file:
        file.write(gzip.compress(lines, 9, mtime=0))
    truth = {"calls": _tickets(up.truth_dir)}
    (into / f"{name}.truth.json").write_text(
        json.dumps(truth, indent=0, sort_keys=True) + "\n", encoding="utf-8"
    )
    shutil.rmtree(up.truth_dir)
    return lines.count(b"\n")


def _tickets(directory: Path) -> dict[str, Any]:
    found: dict[str, str] = {}
    for path in sorted(directory.glob("*-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            found[one["span"]] = one["ticket"]
    return found

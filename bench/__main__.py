"""``python -m bench [--only PART]``: run the parts, print the figures, write bench/results."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

from bench import machine
from bench.figures import Figure, table_line, write_results
from bench.procs import BenchError
from tollbook import clock

PARTS = (
    "gateway",
    "streams",
    "framings",
    "layers",
    "sdk",
    "ledger",
    "reports",
    "finance",
    "console",
    "audit",
    "peers",
)
RESULTS = machine.ROOT / "bench" / "results"


def run_part(name: str) -> list[Figure]:
    """Run one part and return its figures with the machine's facts in front."""
    facts = machine.facts()
    start = clock.monotonic_ns()
    figures: list[Figure] = importlib.import_module(f"bench.{name}").run()
    took_s = (clock.monotonic_ns() - start) / clock.NS_PER_S
    return [*facts, Figure(name=f"{name}.took", value=round(took_s), unit="s"), *figures]


def main() -> int:
    """Run what was asked for; a part that cannot run does not keep the others from running."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the results")
    arguments = parser.parse_args()
    # Without its peers a part says so in its results.
    subprocess.run([machine.ROOT / "bench" / "install.sh"], check=False)
    failed = False
    for name in [arguments.only] if arguments.only else PARTS:
        print(f"\n{name}", flush=True)
        try:
            figures = run_part(name)
        except BenchError as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            failed = True
            continue
        write_results(arguments.results / f"{name}.json", figures)
        for each in figures:
            if not each.name.startswith("machine."):
                print("  " + table_line(each), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

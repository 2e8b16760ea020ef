"""``python -m examples.quarter [--calls N] [--keep DIR]``: three months, from traffic to close."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from examples.quarter.bills import write_bills
from examples.quarter.book import ingest, write_spool
from examples.quarter.cards import known_at_first
from examples.quarter.house import open_house
from examples.quarter.plants import UNITS
from examples.quarter.settle import POLICY, Finding, Settlement, terms_text
from examples.quarter.truth import Truth
from examples.quarter.world import MONTHS, traffic
from tollbook import clock

CALLS = 2_000_000
_TOKENS_PER_MINUTE = 500
"""Of one unit of capacity, where the quarter has all its calls: about half of it is idle."""


class Outcome(NamedTuple):
    """What came of the quarter."""

    findings: list[Finding]
    seconds: dict[str, float]

    @property
    def holds(self) -> bool:
        """Whether all came out as it had to."""
        return all(one.holds for one in self.findings)

    def table(self) -> str:
        """Return what did not come out."""
        return "\n".join(
            f"{one.what}: expected {one.expected}, found {one.found}"
            for one in self.findings
            if not one.holds
        )


def run(directory: Path, calls: int, seed: int = 1) -> Outcome:
    """Take the quarter from its calls to its close."""
    seconds: dict[str, float] = {}
    started = clock.monotonic_ns()

    def lap(what: str) -> None:
        nonlocal started
        now = clock.monotonic_ns()
        seconds[what], started = (now - started) / clock.NS_PER_S, now
        print(f"  {what}: {seconds[what]:.1f} s", file=sys.stderr, flush=True)

    truth = Truth()
    with open_house(directory) as house:
        house.do("prices.import", text=known_at_first(), file="cards.toml", reason="contracts")
        tokens_per_minute = max(1, _TOKENS_PER_MINUTE * calls // CALLS)
        house.do(
            "terms.import", file="terms.json", text=terms_text(UNITS, tokens_per_minute),
            reason="order form",
        )  # fmt: skip
        house.do(
            "allocate.policy", name="shared", body=POLICY, effective_from="2026-07",
            reason="agreed with the tenants",
        )  # fmt: skip
        spool = directory / "data" / "spool"
        written = write_spool(traffic(calls, seed), truth, spool, lambda _done: None)
        truth.finish()
        lap("traffic")
        booked = ingest(house.files, lambda _done: None)
        lap("ingest")
        settlement = Settlement(house, truth, write_bills(truth, directory / "bills"))
        settlement.expect("calls booked", written, booked)
        settlement.statements()
        lap("statements")
        for month in MONTHS:
            settlement.month(month)
            lap(f"{month}: reconcile, true up, allocate, close")
            if month == MONTHS[0]:
                settlement.late_correction()
                lap("late correction")
    return Outcome(settlement.findings, seconds)


def main() -> int:
    """Run the quarter and say what came of it."""
    parser = argparse.ArgumentParser(prog="examples.quarter", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="directory that the ledger stays in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollbook-quarter-") as name:
        came = run(options.keep or Path(name), options.calls, options.seed)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    held = sum(one.holds for one in came.findings)
    print(came.table())
    print(f"seed {options.seed}: {held} of {len(came.findings)} hold; {peak_mb} MB at most")
    return 0 if came.holds else 1


if __name__ == "__main__":
    sys.exit(main())

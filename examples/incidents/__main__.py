"""``python -m examples.incidents [--seeds 3] [--write]``: back-test the built-in rules.

Prints what each world came to, and the table of ``docs/alerts.md``; ``--write`` puts it there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from examples.incidents.trial import DAYS, PER_HOUR, TENANTS, run_trial, table_of
from tollbook.simulator.incidents import HISTORY_DAYS, SCENARIOS

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "alerts.md"
FIRST_SEED: Final = 101
"""Seeds 1 to 3 were looked at when the rules were made, so they say less."""
BEGIN: Final = "<!-- incidents: begin -->"
END: Final = "<!-- incidents: end -->"


def main() -> None:
    """Run every scenario with every seed."""
    parser = argparse.ArgumentParser(prog="python -m examples.incidents")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    trials = []
    for scenario in options.only or SCENARIOS:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            one = run_trial(scenario, seed)
            trials.append(one)
            hours = "-" if one.detected_after_h is None else f"{one.detected_after_h:.0f} h"
            minutes = "-" if one.detected_after_min is None else f"{one.detected_after_min:.0f} min"
            print(
                f"{scenario} {seed}: {one.calls:,} calls, detected after {hours} ({minutes}), "
                f"{', '.join(one.rules) or 'no rule'}, excess {one.excess_usd}, "
                f"false: {'; '.join(one.false_alarms) or 'none'}",
                flush=True,
            )
    text = (
        f"{len(trials)} worlds (seeds from {options.first_seed}) of {HISTORY_DAYS} days of history "
        f"and {DAYS} days of evaluation, {TENANTS} tenants, about {PER_HOUR:.0f} calls an hour."
        f"\n\n{table_of(trials)}"
    )
    print(f"\n{text}")
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        _, _, tail = rest.partition(END)
        PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""``python -m examples.product``: the product, its users, and who spent what."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click

from examples.product.drive import drive
from examples.product.house import Running, running
from examples.product.outcome import Outcome, outcome
from examples.product.surroundings import FAULTS
from tollbook.money import usd_text

SETTLE_TIMEOUT_S: Final = 30.0


@click.command()
@click.option("--mode", type=click.Choice(["gateway", "otlp"]), default="gateway",
              show_default=True,
              help="Through Tollbook's gateway, or without it, told by OpenTelemetry.")  # fmt: skip
@click.option("--fault", type=click.Choice(list(FAULTS)), help="One thing that is wrong.")
@click.option("--all", "everything", is_flag=True, help="Both modes, without and with each fault.")
@click.option("--rounds", default=2, show_default=True, help="How often each user does everything.")
@click.option("--keep", type=click.Path(path_type=Path), help="Leave ledger and logs here.")
def main(
    mode: str,
    fault: str | None,
    everything: bool,  # noqa: FBT001 -- a command-line flag
    rounds: int,
    keep: Path | None,
) -> None:
    """Run a product of four processes; hold the report against the providers' record."""
    plan = (
        [(one, wrong) for one in ("gateway", "otlp") for wrong in (None, *FAULTS)]
        if everything
        else [(mode, fault)]
    )
    failed = 0
    for one, wrong in plan:
        with tempfile.TemporaryDirectory(prefix="tollbook-product-") as scratch:
            home = (keep or Path(scratch)).absolute() / f"{one}-{wrong or 'healthy'}"
            came = run(home, one, wrong, rounds)
        failed += not came.holds
    if failed:
        sys.exit(1)


def run(home: Path, mode: str, fault: str | None, rounds: int) -> Outcome:
    """Run once, and print what came of it."""
    print(f"\n{mode} mode, {f'fault {fault}: {FAULTS[fault]}' if fault else 'nothing wrong'}")
    with running(home, mode, fault) as up:
        requests = sum(1 for _ in drive(up, rounds))
        came = settled(up, fault)
    print(came.table())
    total = sum(row.reported_pico for row in came.rows)
    print(
        f"{requests} requests of users made {came.calls} calls of {usd_text(total)} USD; "
        f"without an owner: {usd_text(came.lost_pico)} USD; "
        f"{'as it should be' if came.holds else 'NOT as it should be'}"
    )
    if came.sites:
        print(f"made by these lines of the product:\n{came.where()}")
    return came


def settled(up: Running, fault: str | None) -> Outcome:
    """Return the outcome once what is under way has arrived."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        came = outcome(up, fault)
        if came.holds or time.monotonic() > deadline:
            return came
        time.sleep(0.5)


if __name__ == "__main__":
    main()

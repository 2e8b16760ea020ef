"""One round of the part ``finance``: ``python -m bench.financework DIR CALLS``.

Fills a month, then takes it from open to closed as ``tollbook`` does. Prints one JSON line.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from bench.financefill import MODELS, MONTH, fill, state
from tollbook import clock
from tollbook.config import load_config
from tollbook.console.finance import READ_TIMEOUT_S, carry_out
from tollbook.console.ledgerfile import open_ledger
from tollbook.desk import Desk
from tollbook.desk.registry import operations
from tollbook.money import usd_text
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = {
    "rules": [
        {
            "name": "shared", "source": {"unattributed": True},
            "method": {"type": "proportional"},
        }
    ]
}  # fmt: skip


class FinanceRun(Struct, frozen=True):
    """What one round took."""

    calls: int
    owners: int
    steps_s: dict[str, float]
    filled_rss_bytes: int
    """Of the process when the ledger was filled."""
    peak_rss_bytes: int
    """Of the process at the end."""
    baseline_s: float
    """One sum of the month by provider, model and tenant, by the database alone."""


def main() -> None:
    """Do it."""
    directory, calls = Path(sys.argv[1]), int(sys.argv[2])
    settings = directory / "tollbook.toml"
    providers = (
        f'[providers.{name}]\ndialect = "openai"\nbase_url = "https://{name}.example"\n'
        f'api_key_env = "{name.upper()}_API_KEY"\n'
        for name in dict.fromkeys(one[0] for one in MODELS)
    )
    limits = f'[store]\ndir = "{directory}"\n[ledger]\nmemory_limit = "2GB"\n'
    settings.write_text(limits + "".join(providers))
    config = load_config(settings, os.environ)
    with open_ledger(config, directory, settings) as files:
        billed = state(files.books, fill(files.store, calls, seed=1))
        filled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        with closing(files.store.reader()) as connection:
            desk = Desk(
                reader=DuckdbReader(connection, READ_TIMEOUT_S), books=files.books, config=config,
                data_dir=directory, environ=os.environ, config_path=settings, writer=files.store,
                author="bench",
            )  # fmt: skip
            found = _take(desk, billed, connection)
    steps, baseline_s, owners = found
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = FinanceRun(calls, owners, steps, filled, peak, baseline_s)
    print(msgspec.json.encode(line).decode(), flush=True)


def _take(
    desk: Desk, billed: dict[str, int], connection: Any
) -> tuple[dict[str, float], float, int]:
    known = operations()
    steps: dict[str, float] = {}

    def do(name: str, /, **given: Any) -> dict[str, Any]:
        return carry_out(known[name], desk, given)

    def timed(what: str, deed: Callable[[], Any]) -> None:
        start = clock.monotonic_ns()
        deed()
        steps[what] = (clock.monotonic_ns() - start) / clock.NS_PER_S

    start = clock.monotonic_ns()
    owners = len(
        connection.execute(
            "SELECT tenant_id, provider, model_actual, sum(cost_usd), sum(uncached_input_tokens)"
            " FROM entries GROUP BY ALL"
        ).fetchall()
    )
    baseline_s = (clock.monotonic_ns() - start) / clock.NS_PER_S
    do("allocate.policy", name="shared", body=POLICY, effective_from=MONTH, reason="bench")
    for provider, amount in billed.items():
        do(
            "statements.invoice", provider=provider, period=MONTH, invoice_id=f"INV-{provider}",
            amount=usd_text(amount),
        )  # fmt: skip
    timed("reconcile", lambda: do("reconcile.run", period=MONTH))
    timed("true-up", lambda: do("reconcile.true-up", period=MONTH, apply=True))
    timed("allocate", lambda: do("allocate.run", period=MONTH, policy="shared"))
    timed("trial balance", lambda: do("periods.trial_balance", period=MONTH))
    # The month was written to the ledger itself, so nobody can say how far a spool was read.
    do("periods.accept", period=MONTH, check="spool-read", reason="filled by the bench")
    timed("step to reconciled", lambda: do("periods.step", period=MONTH, to="reconciled"))
    timed("step to allocated", lambda: do("periods.step", period=MONTH, to="allocated"))
    timed("seal and close", lambda: do("periods.seal", period=MONTH))
    timed("verify the seal", lambda: do("periods.verify", period=MONTH))
    return steps, baseline_s, owners


if __name__ == "__main__":
    main()

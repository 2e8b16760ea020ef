"""What a demo came to: who spent it, and the ledger held against the true bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.cli import tieout
from tollbook.cli.tables import write_rows
from tollbook.errors import CheckFailedError
from tollbook.money import usd_text
from tollbook.simulator.bill import bill, bill_by_tenant, leaks

if TYPE_CHECKING:
    from tollbook.console.client import ApiSource
    from tollbook.simulator.traffic import Plan
    from tollbook.simulator.truth import TruthCall

_SHOWN_TENANTS: Final = "15"
_MEASURES: Final = ",".join(
    ["calls", *tieout.KINDS, *(f"{kind}_cost_usd" for kind in tieout.KINDS), "cost_usd"]
)


class TieOutError(CheckFailedError):
    """Ledger and bill disagree."""

    def __init__(self, lines: int) -> None:
        super().__init__(
            f"the tie-out does not hold: {lines} line(s) of ledger and bill disagree, nothing was "
            "compared, or identity reached a provider; see above"
        )


def show_outcome(source: ApiSource, plan: Plan, truth: list[TruthCall]) -> TieOutError | None:
    """Print the report and the tie-out; return the error that ends the command, if any."""
    span = [("since", "24h")]
    click.echo("\nWho spent it: tollbook report spend --by tenant\n")
    answer = source.ask("spend", [*span, ("by", "tenant"), ("limit", _SHOWN_TENANTS)])
    write_rows(answer, "table", optional=("cache_write_tokens", "cache_read_tokens"))
    again = answer["totals"]["calls"] - len(plan.requests)
    if again > 0:
        click.echo(f"{again:,} of the calls are retries: each attempt is a call of its own.")

    def reported(by: str, *more: tuple[str, str]) -> list[dict[str, Any]]:
        where = ("where", "usage_source=reported")
        rows: list[dict[str, Any]] = source.ask("spend", [*span, ("by", by), where, *more])["rows"]
        return rows

    def usage_came(call: TruthCall) -> bool:
        return call.usage_delivered

    lines = tieout.by_model_and_kind(
        reported("provider,model", ("measures", _MEASURES)), bill(truth, where=usage_came)
    )
    owners = tieout.by_tenant(
        reported("tenant"), bill_by_tenant(truth, plan.tenant_of(), where=usage_came)
    )
    click.echo("\nThe simulated providers' bill, where they reported usage\n")
    click.echo(f"  ledger  {usd_text(lines.ledger_pico):>22} USD")
    click.echo(f"  bill    {usd_text(lines.bill_pico):>22} USD")
    click.echo(f"  compared: {lines.lines} lines of model x token kind, {owners.lines} tenants")
    _show_estimates(source, span, truth)
    found = leaks(truth)
    click.echo(f"  identity that reached a provider: {found or 'none'}")
    differences = [*lines.differences, *owners.differences]
    for one in differences:
        click.echo(f"  DIFFERENT {' '.join(one.what)}: ledger {one.ledger_tokens:,} tokens "
                   f"{usd_text(one.ledger_pico)} USD, bill {one.bill_tokens:,} tokens "
                   f"{usd_text(one.bill_pico)} USD")  # fmt: skip
    click.echo(f"\n{lines.line()}\n")
    holds = lines.holds and owners.holds and not found
    return None if holds else TieOutError(len(differences))


def _show_estimates(source: ApiSource, span: list[tuple[str, str]], truth: list[TruthCall]) -> None:
    """Say what the providers billed without ever reporting it, and what the ledger has for it."""
    silent = bill(truth, where=lambda call: call.is_billed and not call.usage_delivered)
    pairs = [*span, ("where", "usage_source=estimated")]
    totals = source.ask("spend", pairs)["totals"]
    click.echo(
        f"  broken off before usage came: billed {silent.billed_calls} calls, "
        f"{usd_text(silent.total_pico)} USD; estimated {totals['calls']} calls, "
        f"{totals['cost_usd'] or 'unknown'} USD"
    )

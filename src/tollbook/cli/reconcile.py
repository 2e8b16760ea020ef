"""``tollbook reconcile``: the ledger against what providers bill, and the true-up."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.chargeback.reconcile.model import Cause, State
from tollbook.chargeback.reconcile.operations import OPERATIONS, exceeds
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import (
    Place,
    chosen_format,
    format_option,
    place,
    place_options,
)
from tollbook.cli.tables import money, print_table
from tollbook.errors import TollbookError
from tollbook.money import pico_from_usd
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tollbook.desk import Operation

_BY_NAME: Final[dict[str, Operation]] = {one.name: one for one in OPERATIONS}
_RUNS: Final = (
    "provider", "period", "basis", "billed_usd", "ledger_usd", "difference_usd",
    "unexplained_usd", "left_usd", "coverage_percent", "accuracy_percent", "finality", "state",
)  # fmt: skip
_DIFFERENCES: Final = (
    "id", "provider", "period", "cause", "amount_usd", "tokens", "model", "kind", "tier", "days",
    "age_days", "state", "owner", "note",
)  # fmt: skip
_TOTALS: Final = (
    "provider", "period", "billing_period", "billed_usd", "ledger_usd", "booked_before_usd",
    "books_usd", "kept_usd", "left_usd", "entries",
)  # fmt: skip
_OVER: Final = 1
"""Exit code of ``--check``: more is unexplained than is allowed."""
_period = click.option("--period", required=True, metavar="MONTH", help="Such as 2026-10.")
_any_period = click.option("--period", metavar="MONTH", help="Such as 2026-10.")
_provider = click.option("--provider", metavar="NAME", help="Only this one.")
_state = click.option(
    "--state", type=click.Choice([one.value for one in State]), help="What became of it."
)


@click.group()
def reconcile() -> None:
    """Compare the ledger with providers' usage, costs and invoices, and name every difference."""


@reconcile.command()
@_period
@_provider
@click.option("--weekly", is_flag=True, help="Week by week, without invoices.")
@click.option("--check", is_flag=True, help="Exit with 1 if more is unexplained than --tolerance.")
@click.option("--tolerance", metavar="USD", help="[default: FOCUS 1.4's for rounding]")
@format_option
@place_options
def run(
    period: str, provider: str | None, output_format: str | None, config_path: Path | None,
    data_dir: Path | None, tolerance: str | None,
    weekly: bool, check: bool,  # noqa: FBT001 -- command-line flags
) -> None:  # fmt: skip
    """Reconcile a month.

    Example: tollbook reconcile run --period 2026-10
    """
    if tolerance is not None:
        try:
            pico_from_usd(tolerance)
        except TollbookError as error:
            # Said before the run, which may take long, and with the option's name.
            raise QueryError("--tolerance", str(error)) from error
    given = {"period": period, "provider": provider, "weekly": weekly}
    answer = _ask("reconcile.run", given, place(config_path, data_dir), config_path)
    _show_runs(answer, chosen_format(output_format))
    if check and exceeds(answer["unexplained_usd"], tolerance or answer["tolerance_usd"]):
        sys.exit(_OVER)


@reconcile.command()
@_any_period
@_provider
@format_option
@place_options
def show(
    period: str | None, provider: str | None, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Show the newest reconciliations with their sums by cause."""
    given = {"period": period, "provider": provider}
    answer = _ask("reconcile.list", given, place(config_path, data_dir), config_path)
    _show_runs(answer, chosen_format(output_format))


def _show_runs(answer: Mapping[str, Any], output_format: str) -> None:
    show_rows(answer, output_format, None if output_format == "json" else _RUNS)
    if output_format != "table":
        return
    for row, detail in zip(answer["rows"], answer["runs"], strict=True):
        title = f"{row['provider']} {row['period']}"
        if detail["causes"]:
            print_table(detail["causes"], ("cause", "amount_usd"), title=title)
        for words in detail["words"]:
            click.echo(f"{title}: {words}")


@reconcile.command()
@_any_period
@_provider
@_state
@click.option("--cause", type=click.Choice([one.value for one in Cause]), help="Only this one.")
@format_option
@place_options
def differences(
    period: str | None, provider: str | None, state: str | None, cause: str | None,
    output_format: str | None, config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """List differences with cause, state, owner and age, the largest first."""
    given = {"period": period, "provider": provider, "state": state, "cause": cause}
    answer = _ask("reconcile.differences", given, place(config_path, data_dir), config_path)
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, None if chosen == "json" else _DIFFERENCES)


@reconcile.command(short_help="Show one difference with its evidence.")
@click.argument("difference")
@format_option
@place_options
def evidence(
    difference: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Show one difference with its parts; its evidence, days and remarks as JSON."""
    answer = _ask(
        "reconcile.difference", {"difference": difference}, place(config_path, data_dir),
        config_path,
    )  # fmt: skip
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, None if chosen == "json" else _DIFFERENCES)
    if chosen == "table":
        print_table(answer["parts"], ("model", "kind", "tier", "tokens", "amount_usd"))
        for name, value in answer["rows"][0]["evidence"].items():
            click.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
        for one in answer["remarks"]:
            said = " ".join(str(one[name]) for name in ("state", "owner", "note") if one[name])
            click.echo(f"{one['author']}: {said}")


@reconcile.command()
@click.argument("difference")
@click.option("--owner", required=True, metavar="NAME", help="Who looks after it.")
@click.option("--note", metavar="TEXT", help="What to know.")
@format_option
@place_options
def assign(
    difference: str, owner: str, note: str | None, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Give a difference an owner."""
    given = {"difference": difference, "owner": owner, "note": note}
    answer = _ask("reconcile.assign", given, place(config_path, data_dir), config_path)
    _tell(answer, output_format, f"{answer['difference']}: assigned to {answer['owner']}")


@reconcile.command()
@click.argument("difference")
@click.argument("text")
@_state
@format_option
@place_options
def note(
    difference: str, text: str, state: str | None, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Note something on a difference; earlier notes stay."""
    given = {"difference": difference, "note": text, "state": state}
    answer = _ask("reconcile.note", given, place(config_path, data_dir), config_path)
    _tell(answer, output_format, f"{answer['difference']}: noted")


@reconcile.command()
@click.argument("difference", required=False)
@_any_period
@_provider
@click.option("--note", metavar="TEXT", help="Why.")
@format_option
@place_options
def accept(
    difference: str | None, period: str | None, provider: str | None, note: str | None,
    output_format: str | None, config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Accept a difference, or with --period the newest reconciliation of each provider."""
    given = {"difference": difference, "period": period, "provider": provider, "note": note}
    answer = _ask("reconcile.accept", given, place(config_path, data_dir), config_path)
    _tell(answer, output_format, *(f"{one}: accepted" for one in answer["accepted"]))


@reconcile.command("true-up", short_help="Bring the ledger of a month to the invoice.")
@_period
@_provider
@click.option("--apply", is_flag=True, help="Book it; without, it is only shown.")
@format_option
@place_options
def true_up(
    period: str, provider: str | None, output_format: str | None, config_path: Path | None,
    data_dir: Path | None, apply: bool,  # noqa: FBT001 -- a command-line flag
) -> None:  # fmt: skip
    """Show, or with --apply book, adjustments that bring the ledger of a month to the invoice.

    Example: tollbook reconcile true-up --period 2026-10 --apply
    """
    given = {"period": period, "provider": provider, "apply": apply}
    answer = _ask("reconcile.true-up", given, place(config_path, data_dir), config_path)
    chosen = chosen_format(output_format)
    show_rows(answer, chosen)
    if chosen == "table":
        print_table(answer["totals"], _TOTALS)
        for one in answer["totals"]:
            verb = "booked" if apply else "to book"
            click.echo(f"{one['provider']} {one['period']}: {money(one['books_usd'])} {verb}")
        for words in answer["words"]:
            click.echo(words)


@reconcile.command(short_help="Show or set to whom differences are booked.")
@_provider
@click.option("--set", "body_path", type=click.File(), help="A JSON file: causes, own_keys.")
@click.option("--name", default="default", show_default=True, help="A provider, or default.")
@click.option("--from", "effective_from", metavar="TIME", help="From when on it holds.")
@click.option("--reason", metavar="TEXT", help="Why; needed with --set.")
@format_option
@place_options
def policy(
    provider: str | None, body_path: Any, name: str, effective_from: str | None,
    reason: str | None, output_format: str | None, config_path: Path | None,
    data_dir: Path | None,
) -> None:  # fmt: skip
    """Show the true-up policy of a provider, or keep a new version of one."""
    where = place(config_path, data_dir)
    if body_path is None:
        given = {"provider": provider or name}
        show_rows(_ask("reconcile.policy", given, where, config_path), chosen_format(output_format))
        return
    if not reason or not effective_from:
        raise QueryError("--set", "needs --from and --reason too")
    given = {
        "name": provider or name, "body": body_path.read(), "effective_from": effective_from,
        "reason": reason,
    }  # fmt: skip
    answer = _ask("reconcile.put-policy", given, where, config_path)
    _tell(answer, output_format, answer["document"])


def _tell(answer: Mapping[str, Any], output_format: str | None, *lines: str) -> None:
    """Write what a deed came to: a line for people, all of it for programs."""
    chosen = chosen_format(output_format)
    if chosen == "table":
        click.echo("\n".join(lines))
    else:
        show_rows({"rows": [dict(answer)], **answer}, chosen)


def _ask(
    name: str, given: Mapping[str, Any], where: Place, config_path: Path | None
) -> dict[str, Any]:
    return ask(_BY_NAME[name], where, given, config_path=config_path)

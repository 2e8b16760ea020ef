"""``tollbook close``: take a month from open to closed, and see how it stands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.books.events import current_user
from tollbook.chargeback.periods import operations
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.tables import write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.desk import Operation

_PERIOD: Final = click.option("--period", required=True, metavar="MONTH", help="Such as 2026-10.")
_BY: Final = click.option("--by", metavar="NAME", help="Who does it.  [default: this user]")
_STATUS_COLUMNS: Final = (
    "period", "state", "calls", "cost_usd", "mode", "closed_at", "closed_by",
)  # fmt: skip
_CHECK_COLUMNS: Final = ("check", "step", "result", "problem", "note", "accepted_by", "reason")


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command here takes."""
    return place_options(format_option(command))


@click.group()
def close() -> None:
    """Close months: open, reconciled, allocated, closed; nothing is ever reopened."""


@close.command()
@common
def status(output_format: str | None, **asked: Any) -> None:
    """List months and how far they are."""
    chosen = chosen_format(output_format)
    columns = _STATUS_COLUMNS if chosen == "table" else None
    show_rows(_answer(operations.STATUS, asked), chosen, columns)


@close.command()
@_PERIOD
@click.option(
    "--step", type=click.Choice(["reconciled", "allocated", "closed"]), help="[default: the next]"
)
@common
def check(output_format: str | None, **asked: Any) -> None:
    """Show what a step needs; exit code 1 if something stands in its way."""
    answer = _answer(operations.CHECK, asked)
    chosen = chosen_format(output_format)
    show_rows(
        answer, chosen, _CHECK_COLUMNS,
        title=f"{answer['period']} is {answer['state']}; to be {answer['step']}:",
    )  # fmt: skip
    if not answer["passes"]:
        sys.exit(1)


@close.command()
@_PERIOD
@click.option(
    "--to", required=True, type=click.Choice(["open", "reconciled", "allocated"]),
    help="The next step, or one before with a reason.",
)  # fmt: skip
@click.option("--reason", metavar="TEXT", help="Why it goes back.")
@_BY
@common
def step(output_format: str | None, **asked: Any) -> None:
    """Move a month on; what stands in the way is told."""
    _tell(_answer(operations.STEP, _with_user(asked)), output_format)


@close.command()
@_PERIOD
@click.option("--check", required=True, metavar="NAME", help="As tollbook close check names it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why it may stand.")
@_BY
@common
def accept(output_format: str | None, **asked: Any) -> None:
    """Accept a check that fails, with exactly the problem that it has now."""
    answer = _answer(operations.ACCEPT, _with_user(asked))
    show_rows(answer, chosen_format(output_format), _CHECK_COLUMNS)


@close.command()
@_PERIOD
@_BY
@common
def seal(output_format: str | None, **asked: Any) -> None:
    """Prepare the close: fix the last entry, hash all; close it if no approval is needed."""
    _tell(_answer(operations.SEAL, _with_user(asked)), output_format)


@close.command()
@_PERIOD
@click.option("--seal", metavar="HASH", help="Its beginning, to approve just that one.")
@_BY
@common
def approve(output_format: str | None, **asked: Any) -> None:
    """Approve what was sealed; the last approval that is needed closes the month."""
    _tell(_answer(operations.APPROVE, _with_user(asked)), output_format)


@close.command(name="trial-balance")
@_PERIOD
@click.option(
    "--by", type=click.Choice(["tenant", "team", "cost_center", "feature"]),
    help="What an owner is.  [default: tenant]",
)  # fmt: skip
@common
def trial_balance(output_format: str | None, **asked: Any) -> None:
    """Show the accounts of a month as billed; debits and credits are equal."""
    answer = _answer(operations.TRIAL_BALANCE, asked)
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, ("account", "debit_usd", "credit_usd"), totals=answer["totals"])
    if chosen == "table":
        for problem in answer["problems"]:
            click.echo(f"Note: {problem}")


@close.command()
@_PERIOD
@common
def history(output_format: str | None, **asked: Any) -> None:
    """Show who did what to a month."""
    show_rows(_answer(operations.HISTORY, asked), chosen_format(output_format))


def _with_user(asked: dict[str, Any]) -> dict[str, Any]:
    """Name the user of this command: the ledger process may be another's."""
    return asked | {"by": asked.get("by") or current_user()}


def _tell(answer: dict[str, Any], output_format: str | None) -> None:
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json(answer)
        return
    if chosen == "csv":
        show_rows({"rows": [answer]}, chosen)
        return
    click.echo(f"{answer['period']} is {answer['state']}.")
    if "seal" in answer:
        click.echo(f"Seal: {answer['seal']}")
        if answer["approvals_needed"]:
            click.echo(f"Approvals still needed: {answer['approvals_needed']}.")


def _answer(operation: Operation, asked: dict[str, Any]) -> dict[str, Any]:
    config_path, data_dir = asked.pop("config_path"), asked.pop("data_dir")
    return ask(operation, place(config_path, data_dir), asked, config_path=config_path)

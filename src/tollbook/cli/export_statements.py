"""``tollbook export statements`` and ``evidence``: what owners owe, and the proof of each line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tollbook.chargeback.invoices.operations import OPERATIONS
from tollbook.cli.exported import show_exported
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.tables import print_table
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from tollbook.desk import Operation

_BY_NAME: Final[dict[str, Operation]] = {one.name: one for one in OPERATIONS}
_path = click.Path(path_type=Path)
_ENTRIES: Final = (
    "entry_id", "kind", "called_at", "call_id", "model_actual", "reason", "price_card_id",
    "cost_usd", "billable_usd",
)  # fmt: skip
_WINDOWS: Final = (
    "basis", "statement_id", "line", "start", "end", "model", "kind", "quantity", "amount_usd",
    "finality", "invoice_id",
)  # fmt: skip


@click.command()
@click.option("--period", required=True, metavar="MONTH", help="Such as 2026-10; as billed.")
@click.option("--tenant", metavar="NAME", help="Of one tenant; unknown: what nobody owns.")
@click.option("--cost-center", metavar="NAME", help="Of one cost centre.")
@click.option("--all", "everybody", is_flag=True, help="Of everybody who has used anything.")
@click.option(
    "--by", type=click.Choice(["tenant", "cost_center"]), help="With --all: whose statements."
)
@click.option(
    "--price", type=click.Choice(["cost", "billable", "both"]), default="cost", show_default=True,
    help="Cost, what they are charged, or that with cost beside it.",
)  # fmt: skip
@click.option(
    "--files", type=click.Choice(["xlsx", "pdf", "csv"]), default="xlsx", show_default=True,
    help="What the files are.",
)  # fmt: skip
@click.option("--zip", "zipped", is_flag=True, help="One archive instead of many files.")
@click.option("--output", type=_path, metavar="DIR", help="Copy the files there.")
@format_option
@place_options
def statements(
    period: str, tenant: str | None, cost_center: str | None, by: str | None, price: str,
    files: str, output: Path | None, output_format: str | None, config_path: Path | None,
    data_dir: Path | None,
    everybody: bool, zipped: bool,  # noqa: FBT001 -- command-line flags
) -> None:  # fmt: skip
    """Write statements of tenants or cost centres as XLSX, PDF or CSV.

    Example: tollbook export statements --period 2026-10 --all --files pdf --output statements
    """
    if tenant is not None and cost_center is not None:
        raise QueryError("--cost-center", "goes without --tenant")
    where, chosen = place(config_path, data_dir), chosen_format(output_format)
    given = {
        "period": period, "by": "cost_center" if cost_center is not None else by,
        "owner": tenant if cost_center is None else cost_center, "everybody": everybody,
        "price": price, "files": files, "zipped": zipped,
    }  # fmt: skip
    answer = ask(_BY_NAME["invoices.export"], where, given, config_path=config_path)
    show_exported(answer, chosen, output)
    if chosen == "table":
        totals = answer["totals"]
        click.echo(f"{totals['statements']} statements, {totals['total_usd']} USD")


@click.command()
@click.argument("line_id")
@click.option("--limit", type=int, metavar="N", help="Entries at most.  [default: 1000]")
@click.option("--after", type=int, metavar="ENTRY", help="Continue after this entry.")
@click.option(
    "--upto-entry", type=int, metavar="ENTRY",
    help="The line as it was: last_entry_id of the statement's manifest.",
)  # fmt: skip
@format_option
@place_options
def evidence(
    line_id: str, limit: int | None, after: int | None, upto_entry: int | None,
    output_format: str | None, config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Show the calls behind a line of a statement, and what the provider bills for that time.

    Example: tollbook export evidence 2026-10-tl-0123456789abcdef
    """
    where, chosen = place(config_path, data_dir), chosen_format(output_format)
    given = {"line_id": line_id, "limit": limit, "after": after, "upto_entry": upto_entry}
    answer = ask(_BY_NAME["invoices.evidence"], where, given, config_path=config_path)
    if chosen != "table":
        show_rows(answer, chosen)
        return
    totals = answer["totals"]
    show_rows(answer, chosen, _ENTRIES, title=line_id)
    click.echo(f"{totals['entries']} entries, {totals['calls']} calls, {totals['cost_usd']} USD")
    if answer["next_after"] is not None:
        click.echo(f"More: --after {answer['next_after']}")
    if answer["provider_lines"]:
        print_table(answer["provider_lines"], _WINDOWS, title="What providers say of that time")
    else:
        click.echo("No provider statement of that time is in the books.")

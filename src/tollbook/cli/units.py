"""``tollbook report per``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.cli.options import (
    chosen_format,
    format_option,
    pairs_of,
    place,
    place_options,
    range_options,
)
from tollbook.cli.tables import write_rows
from tollbook.console.client import open_source
from tollbook.reports.units import UNITS

if TYPE_CHECKING:
    from pathlib import Path

_NARROW: Final = (
    "unnamed_cost_usd", "unnamed_calls", "unknown_cost_calls", "largest_unit_usd", "calls",
)  # fmt: skip
"""What a narrow terminal does without, the first first."""
_TABLE_ROWS: Final = "50"
_WAIT: Final = "Have the running ledger read the spool up to now first."


@click.command()
@click.argument("unit", type=click.Choice(sorted(UNITS)))
@click.option("--by", metavar="NAMES", help="Dimensions as in report spend: workflow, step, ...")
@range_options
@click.option("--limit", metavar="N", help="Groups shown.  [default: 50 in a table, else 10000]")
@click.option("--booked-before", metavar="TIME", help="The ledger as it was at this moment.")
@click.option("--billing-period", metavar="MONTH", help="What belongs to it as billed (2026-10).")
@click.option("--wait", is_flag=True, help=_WAIT)
@format_option
@place_options
def per(
    unit: str,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    wait: bool,  # noqa: FBT001 -- a command-line flag
    **question: Any,
) -> None:
    """Tell what one request, run, trace or operation costs.

    Example: tollbook report per request --by workflow
    """
    chosen = chosen_format(output_format)
    if chosen == "table" and question["limit"] is None:
        question["limit"] = _TABLE_ROWS
    at = place(config_path, data_dir)
    with open_source(at.config, at.data_dir) as source:
        if wait:
            source.catch_up()
        answer = source.per(unit, pairs_of(question))
    has_totals = bool(answer["query"]["by"])
    write_rows(answer, chosen, has_totals=has_totals, optional=_NARROW)
    if chosen == "table":
        if answer["has_more"]:
            click.echo("There are more groups: a higher --limit shows them.")
        if answer["totals"]["unnamed_calls"]:
            click.echo(f"Calls that name no {unit} are not in its cost.")

"""``tollbook report``: spend, rollup, layers; runs and units have modules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tollbook.cli.options import (
    chosen_format,
    format_option,
    pairs_of,
    place,
    place_options,
    range_options,
)
from tollbook.cli.runs import run, runs
from tollbook.cli.stitching import stitching
from tollbook.cli.tables import write_rows
from tollbook.cli.units import per
from tollbook.console.client import open_source
from tollbook.reports import dimensions
from tollbook.reports.layers import LINE_NAMES

if TYPE_CHECKING:
    from pathlib import Path

_TABLE_ROWS = "50"
_ROLLUP_COLUMNS = (
    "tenant", "month", "model", "calls", "input_tokens", "output_tokens", "cache_write_tokens",
    "cache_read_tokens", "cost_usd", "reconciled_usd", "invoice_delta_usd",
)  # fmt: skip
_NARROW = (
    "reconciled_usd", "invoice_delta_usd", "cache_write_tokens", "cache_read_tokens",
    "output_tokens", "input_tokens",
)  # fmt: skip
"""What a narrow terminal does without, the first first."""
_QUESTION_HELP = {
    "by": f"Dimensions, comma-separated: {', '.join(dimensions.NAMES)}.",
    "measures": "Measures, comma-separated: calls, errors, input_tokens, output_tokens, "
    "cache_read_tokens, cache_write_tokens, cost_usd, any token kind, KIND_cost_usd, "
    "LAYER_layer_tokens, LAYER_layer_cost_usd.",
    "order": "Dimensions or measures, -NAME for descending.  [default: time, then -cost_usd]",
    "limit": "Groups shown; the rest is one row.  [default: 50 in a table, else 10000]",
    "booked": "The ledger as it was at this moment.",
    "billing": "What belongs to this billing period (2026-10) as billed, late entries of earlier "
    "ones included.",
    "wait": "Have the running ledger read the spool up to now first.",
}


@click.group()
def report() -> None:
    """Report spend by any dimension, the monthly rollup, layers, runs, and what one costs."""


@report.command()
@click.option("--by", metavar="NAMES", help=_QUESTION_HELP["by"])
@range_options
@click.option("--measures", metavar="NAMES", help=_QUESTION_HELP["measures"])
@click.option("--order", metavar="NAMES", help=_QUESTION_HELP["order"])
@click.option("--limit", metavar="N", help=_QUESTION_HELP["limit"])
@click.option("--booked-before", metavar="TIME", help=_QUESTION_HELP["booked"])
@click.option("--billing-period", metavar="MONTH", help=_QUESTION_HELP["billing"])
@click.option("--wait", is_flag=True, help=_QUESTION_HELP["wait"])
@format_option
@place_options
def spend(
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    wait: bool,  # noqa: FBT001 -- a command-line flag
    **question: Any,
) -> None:
    """Sum what was spent, by any dimensions.

    Example: tollbook report spend --by tenant,model --since 2026-11-01 --tz Europe/Berlin
    """
    _answer("spend", question, output_format, config_path, data_dir, wait=wait)


@report.command()
@range_options
@click.option("--order", metavar="NAMES", help="As in report spend.  [default: tenant,month,model]")
@click.option("--limit", metavar="N", help=_QUESTION_HELP["limit"])
@click.option("--booked-before", metavar="TIME", help=_QUESTION_HELP["booked"])
@click.option("--billing-period", metavar="MONTH", help=_QUESTION_HELP["billing"])
@click.option("--wait", is_flag=True, help=_QUESTION_HELP["wait"])
@format_option
@place_options
def rollup(
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    wait: bool,  # noqa: FBT001 -- a command-line flag
    **question: Any,
) -> None:
    """Roll up the bill by tenant, month and model.

    Reconciled dollars and the difference to the invoice are unknown until a provider statement is
    imported.
    """
    _answer("rollup", question, output_format, config_path, data_dir, wait=wait)


report.add_command(per)
report.add_command(run)
report.add_command(runs)
report.add_command(stitching)


@report.command()
@click.option("--by", metavar="NAMES", help="Dimensions as in report spend.")
@range_options
@click.option("--order", metavar="NAMES", help="As in report spend, with LAYER_layer_cost_usd.")
@click.option("--limit", metavar="N", help=_QUESTION_HELP["limit"])
@click.option("--booked-before", metavar="TIME", help=_QUESTION_HELP["booked"])
@click.option("--billing-period", metavar="MONTH", help=_QUESTION_HELP["billing"])
@click.option("--wait", is_flag=True, help=_QUESTION_HELP["wait"])
@format_option
@place_options
def layers(
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    wait: bool,  # noqa: FBT001 -- a command-line flag
    **question: Any,
) -> None:
    """Split what was spent by layer of the request.

    Layers: prompt (instructions), tool (definitions, calls and results), context (retrieved,
    remembered, earlier turns), user (what the user says now), response, and what is not split.
    """
    _answer("layers", question, output_format, config_path, data_dir, wait=wait)


def _answer(
    name: str,
    question: dict[str, Any],
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    *,
    wait: bool,
) -> None:
    chosen = chosen_format(output_format)
    if chosen == "table" and question["limit"] is None:
        question["limit"] = _TABLE_ROWS
    at = place(config_path, data_dir)
    with open_source(at.config, at.data_dir) as source:
        if wait:
            source.catch_up()
        answer = source.ask(name, pairs_of(question))
    columns = _ROLLUP_COLUMNS if name == "rollup" else None
    # Without groups the one row is the total.
    has_totals = name in ("rollup", "layers") or bool(answer["query"]["by"])
    write_rows(
        answer, chosen, columns=columns, has_totals=has_totals, optional=_NARROW,
        measures=LINE_NAMES if name == "layers" else None,
    )  # fmt: skip
    if name == "rollup" and chosen == "table":
        click.echo("Reconciled dollars and invoice difference: unknown, no statement imported.")

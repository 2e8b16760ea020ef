"""``tollbook report stitching``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from tollbook.cli.options import (
    TIMES_HELP,
    chosen_format,
    format_option,
    pairs_of,
    place,
    place_options,
)
from tollbook.cli.tables import cell, print_table, write_json
from tollbook.console.client import open_source
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from pathlib import Path

_COUNTS: Final = ("state", "calls", "cost_usd", "meaning")
_CALLS: Final = ("state", "call_id", "called_at", "tenant", "observers", "cost_usd", "detail")
_NARROW: Final = ("called_at", "observers", "tenant")


@click.command()
@click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: month]")
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option("--period", metavar="TIME", help="A day, week or month, instead of the two.")
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@click.option("--show", metavar="STATES", help="List the calls of these states, comma-separated.")
@click.option("--limit", metavar="N", help="Calls listed.  [default: 100]")
@click.option("--wait", is_flag=True, help="Have the running ledger read the spool up to now.")
@format_option
@place_options
def stitching(
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    wait: bool,  # noqa: FBT001 -- a command-line flag
    **question: Any,
) -> None:
    """Count calls that several observers saw, and those whose tenant came from their trace.

    Example: tollbook report stitching --since 7d --show conflicting,orphaned
    """
    at = place(config_path, data_dir)
    with open_source(at.config, at.data_dir) as source:
        if wait:
            source.catch_up()
        answer = source.ask("stitching", pairs_of(question))
    chosen = chosen_format(output_format)
    is_list = bool(answer["query"]["show"])
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        rows, names = (answer["calls"], _CALLS) if is_list else (answer["rows"], _COUNTS)
        sys.stdout.write(csv_text(rows, names))
    else:
        print_table(answer["rows"], _COUNTS)
        told = ", ".join(f"{name} {calls:,}" for name, calls in answer["observed"].items())
        click.echo(f"Told of, the gateway aside: {told or 'nothing'}.")
        if is_list:
            zone = ZoneInfo(answer["query"]["tz"])
            print_table(answer["calls"], _CALLS, optional=_NARROW, zone=zone)
    if chosen != "json":
        until = answer["completeness"]["complete_until"]
        known = f"Complete until {cell('', until)}." if until else "Nothing has been ingested yet."
        click.echo(known, err=chosen == "csv")

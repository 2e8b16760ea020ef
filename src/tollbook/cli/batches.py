"""The list of batches that ``tollbook calls --batch`` writes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click

from tollbook.cli.tables import cell, print_table, write_json
from tollbook.console.client import open_source
from tollbook.reports.tabular import column_names, csv_text

if TYPE_CHECKING:
    from tollbook.cli.options import Format, Place
    from tollbook.reports.params import Pairs

_TABLE: Final = (
    "submitted_at", "provider", "batch_id", "tenant", "state", "status", "lines", "booked",
    "unpriced", "cost_usd", "problem",
)  # fmt: skip
_NARROW: Final = ("status", "unpriced", "lines", "submitted_at", "problem")


def write_batches(at: Place, pairs: Pairs, chosen: Format) -> None:
    """Write batches in the wanted format.

    Raises:
        QueryError: an option that batches do not have.
    """
    with open_source(at.config, at.data_dir) as source:
        answer = source.ask("batches", pairs)
    rows = answer["rows"]
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        sys.stdout.write(csv_text(rows, column_names(rows)))
    elif rows:
        zone = ZoneInfo(answer["query"]["tz"])
        print_table(rows, _TABLE, optional=_NARROW, zone=zone)
    else:
        click.echo("No batches in this range.")
    if chosen != "json":
        until = answer["completeness"]["complete_until"]
        known = f"Complete until {cell('', until)}." if until else "Nothing has been ingested yet."
        click.echo(known, err=chosen == "csv")

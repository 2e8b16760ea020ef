"""``tollbook calls`` and ``tollbook tail``."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.cli.batches import write_batches
from tollbook.cli.options import (
    chosen_format,
    format_option,
    pairs_of,
    place,
    place_options,
    range_options,
)
from tollbook.cli.tables import cell, write_rows
from tollbook.console.client import open_source
from tollbook.reports.tabular import csv_text
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

_TABLE: Final = (
    "entry_id", "called_at", "call_id", "tenant", "feature", "model", "status", "input_tokens",
    "output_tokens", "cost_usd", "price_state",
)  # fmt: skip
_NARROW: Final = (
    "entry_id", "price_state", "feature", "output_tokens", "input_tokens", "model", "status",
)  # fmt: skip
"""What a narrow terminal does without, the first first; the call id is what explain asks for."""
_TAIL_TEXT: Final = ("called_at", "tenant", "feature", "model", "status")
_TAIL_PAGE: Final = "1000"
_FOREVER: Final = "2200-01-01T00:00:00Z"


@click.command()
@range_options
@click.option("--limit", metavar="N", help="Calls in a page, at most 1000.  [default: 50]")
@click.option("--before", metavar="ENTRY_ID", help="Go on before this entry id.")
@click.option("--order", metavar="ORDER", help="newest, or cost: the dearest.  [default: newest]")
@click.option(
    "--batch", "lists_batches", is_flag=True, help="List batches and what has come of them instead."
)
@format_option
@place_options
def calls(
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    *,
    lists_batches: bool,
    **question: Any,
) -> None:
    """List calls as known now, newest booked first."""
    at = place(config_path, data_dir)
    if lists_batches:
        write_batches(at, pairs_of(question), chosen_format(output_format))
        return
    with open_source(at.config, at.data_dir) as source:
        answer = source.ask("calls", pairs_of(question))
    chosen = chosen_format(output_format)
    if chosen == "table":
        shown = answer | {"rows": [_with_model(row) for row in answer["rows"]]}
        write_rows(shown, chosen, columns=_TABLE, has_totals=False, optional=_NARROW)
    else:
        write_rows(answer, chosen)
    if answer["next_before"] is not None and chosen != "json":
        click.echo(f"More: --before {answer['next_before']}", err=chosen == "csv")


@click.command()
@click.option("--where", multiple=True, metavar="FILTER", help="Such as tenant=acme or status!=ok.")
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@click.option("--since", metavar="TIME", help="Begin with calls made since then.  [default: now]")
@click.option("--until", metavar="TIME", help="Leave out calls made from then on.")
@click.option(
    "--interval", "interval_s", type=click.FloatRange(0.05, 3600), default=1.0, show_default=True,
    metavar="SECONDS", help="How often to look.",
)  # fmt: skip
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N calls.")
@format_option
@place_options
def tail(
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    interval_s: float,
    count: int | None,
    **question: Any,
) -> None:
    """Follow calls as they are booked, until interrupted; JSON is one object a line."""
    chosen = chosen_format(output_format)
    at = place(config_path, data_dir)
    zone = zone_of(question["tz"] or "UTC")
    since = question.pop("since")
    fixed = pairs_of(question | {"since": since or "all", "until": question["until"] or _FOREVER})
    fixed.append(("limit", _TAIL_PAGE))
    after, seen, is_first = 0, 0, True
    pause = threading.Event()
    while count is None or seen < count:
        # Opened anew for each look: without a running ledger the file must not stay locked.
        with open_source(at.config, at.data_dir) as source:
            if is_first and since is None:
                after = int(source.ask("tail", fixed)["after"])
            answer = source.ask("tail", [*fixed, ("after", str(after))])
        after = int(answer["after"])
        rows = answer["rows"][: None if count is None else count - seen]
        seen += len(rows)
        _print_tail(rows, chosen, zone, has_header=is_first)
        is_first = False
        if len(answer["rows"]) < int(_TAIL_PAGE) and (count is None or seen < count):
            pause.wait(interval_s)


def _print_tail(
    rows: list[dict[str, Any]], chosen: str, zone: ZoneInfo, *, has_header: bool
) -> None:
    if chosen == "json":
        for row in rows:
            click.echo(msgspec.json.encode(row).decode())
    elif chosen == "csv":
        named = [_with_model(row) for row in rows]
        text = csv_text(named, _TABLE)
        sys.stdout.write(text if has_header else text.partition("\r\n")[2])
    else:
        for row in map(_with_model, rows):
            words = "  ".join(cell(name, row[name], zone) for name in _TAIL_TEXT)
            tokens = f"{cell('', row['input_tokens'])} in {cell('', row['output_tokens'])} out"
            cost = cell("cost_usd", row["cost_usd"])
            known = row["cost_usd"] is not None
            click.echo(f"{words}  {tokens}  {f'{cost} USD' if known else f'cost {cost}'}")
    sys.stdout.flush()


def _with_model(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"model": row["model_actual"] or row["model_requested"]}

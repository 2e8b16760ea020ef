"""``tollbook prices``: what a model costs and why, what has no price, and re-rating."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook import clock
from tollbook.cli.options import (
    TIMES_HELP,
    chosen_format,
    format_option,
    pairs_of,
    place,
    place_options,
)
from tollbook.cli.pricelist import (
    CARD_COLUMNS,
    RATE_COLUMNS,
    card_rows,
    public_card,
    rate_rows,
    used_cards,
)
from tollbook.cli.tables import money, print_table, write_json
from tollbook.config.load import DEFAULT_FILE
from tollbook.console.client import open_source, running_ledger
from tollbook.ledger.errors import NoLedgerError
from tollbook.reports.errors import QueryError
from tollbook.reports.tabular import csv_text
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.cli.options import Place
    from tollbook.reports.params import Pairs

_UNPRICED: Final = ("provider", "model", "price_tier", "calls", "input_tokens", "output_tokens")
_CHANGES: Final = (
    "tenant", "provider", "model", "calls", "before_usd", "after_usd", "change_usd",
    "unpriced_before", "unpriced_after",
)  # fmt: skip


@click.group()
def prices() -> None:
    """Show what models cost, find calls without a price, apply changed cards to past calls."""


@prices.command(short_help="Show what a model costs.")
@click.option("--provider", metavar="NAME", help="A provider of the settings.")
@click.option("--model", metavar="NAME", help="A model; without it, the cards used so far.")
@click.option("--tier", metavar="WORDS", help="Such as batch or batch+fast.  [default: standard]")
@click.option("--region", metavar="NAME", help="Where it is served.  [default: the provider's]")
@click.option("--at", metavar="TIME", default="now", show_default=True, help=TIMES_HELP)
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Zone of --at.")
@format_option
@place_options
def show(
    provider: str | None, model: str | None, tier: str | None, region: str | None, at: str,
    tz: str, output_format: str | None, config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Show the card that prices a model at a time, or all cards that calls were priced with."""
    where = place(config_path, data_dir)
    moment = parse_period(at, zone_of(tz), clock.utc_now(), "--at").start
    if (provider is None) != (model is None):
        raise QueryError("--provider", "give both --provider and --model, or neither")
    if provider is None or model is None:
        cards = used_cards(where.data_dir)
    else:
        cards = card_rows(
            where.config, str(config_path or DEFAULT_FILE), provider, model, tier, region, moment
        )
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json({"cards": [public_card(card) | {"rates": rate_rows(card)} for card in cards]})
    elif chosen == "csv":
        rows = [{"card_id": card["card_id"], **rate} for card in cards for rate in rate_rows(card)]
        sys.stdout.write(csv_text(rows, ("card_id", *RATE_COLUMNS)))
    elif not cards:
        known = f"No price is known for {provider} {model}; add a [[prices]] card."
        click.echo(known if model else "No call has been priced yet.")
    else:
        for card in cards:
            print_table([card], CARD_COLUMNS)
            print_table(rate_rows(card), RATE_COLUMNS)
    if not cards and model:
        sys.exit(1)


@prices.command(short_help="List models that have no price.")
@click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: month]")
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@format_option
@place_options
def check(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **question: Any
) -> None:
    """Check the cards of the settings, and list models whose calls have no price.

    Exit code 1 if there are any.
    """
    from tollbook.console.ledgerfile import price_book_of  # noqa: PLC0415 -- loads the price list

    where = place(config_path, data_dir)
    price_book_of(where.config, str(config_path or DEFAULT_FILE))
    asked = [
        *pairs_of(question), ("by", "provider,model,price_tier"),
        ("where", "price_state=unpriced"), ("measures", ",".join(_UNPRICED[3:])),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    try:
        with open_source(where.config, where.data_dir) as source:
            rows = source.ask("spend", asked)["rows"]
    except NoLedgerError:
        click.echo("No ledger yet: only the cards of the settings were checked.", err=True)
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json({"cards": len(where.config.prices), "unpriced": rows})
    elif chosen == "csv":
        sys.stdout.write(csv_text(rows, _UNPRICED))
    else:
        click.echo(f"{len(where.config.prices)} price card(s) in the settings, all usable.")
        if rows:
            print_table(rows, _UNPRICED, title="Calls without a price: add a [[prices]] card")
        else:
            click.echo("Every metered call in the range has a price.")
    if rows:
        sys.exit(1)


@prices.command(short_help="Apply today's cards to past calls.")
@click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: all]")
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@click.option("--apply", "is_applied", is_flag=True, help="Book the change; else only show it.")
@format_option
@place_options
def rerate(
    is_applied: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    **question: Any,
) -> None:
    """Price past calls with today's cards: show the change by tenant, or book it with --apply.

    Booking appends a reversal and a new charge for each call that changes; nothing is rewritten.
    """
    where = place(config_path, data_dir)
    pairs = pairs_of(question)
    if is_applied:
        pairs.append(("apply", "true"))
    answer = _rerate(where, config_path, pairs)
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json(answer)
        return
    if chosen == "csv":
        sys.stdout.write(csv_text(answer["rows"], _CHANGES))
        return
    if not answer["rows"]:
        click.echo("No call changes its price.")
        return
    print_table(answer["rows"], _CHANGES, totals=answer["totals"])
    change = money(answer["totals"]["change_usd"])
    if is_applied:
        click.echo(f"Booked: {answer['totals']['calls']:,} calls, change {change} USD.")
    else:
        click.echo(f"A preview: nothing is booked. Change {change} USD; book it with --apply.")


def _rerate(where: Place, config_path: Path | None, pairs: Pairs) -> dict[str, Any]:
    running = running_ledger(where.data_dir)
    if running is not None:
        return running.do("rerate", pairs)
    # The engine is imported only here: asking a running ledger needs none.
    from tollbook.console.repair import rerate_files  # noqa: PLC0415 -- see above

    return rerate_files(where.config, where.data_dir, config_path, os.environ, pairs)

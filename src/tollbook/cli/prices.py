"""``tollbook prices``: what a model costs and why, who changed it, and what has no price."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.cli.finance import show_rows
from tollbook.cli.options import (
    TIMES_HELP,
    chosen_format,
    format_option,
    place,
    place_options,
)
from tollbook.cli.pricechange import changing
from tollbook.cli.pricelist import CARD_COLUMNS, RATE_COLUMNS, ask_prices
from tollbook.cli.tables import money, print_table, write_json
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from pathlib import Path

_CALLS: Final = ("provider", "model", "price_tier", "calls", "input_tokens", "output_tokens")
_UNPRICED: Final = (
    "provider", "model", "price_tier", "calls", "input_tokens", "output_tokens", "since",
    "tenants", "estimated_usd", "estimated_with", "why",
)  # fmt: skip
_HISTORY: Final = (
    "card", "version", "created_at", "author", "reason", "effective_from", "effective_until",
    "changes",
)  # fmt: skip
_DIFF: Final = ("card", "field", "per", "before", "after", "change_percent")
_FINDINGS: Final = ("severity", "finding", "card", "provider", "model", "detail")
_IN_FORCE: Final = (
    "card", "from", "provider", "model", "service_tier", "region", "prices", "effective_from",
    "effective_until", "reason",
)  # fmt: skip


@click.group()
def prices() -> None:
    """Show what models cost, import dated cards, find calls without a price, re-rate calls."""


for one in changing:
    prices.add_command(one)


@prices.command(short_help="Show what a model costs.")
@click.option("--provider", metavar="NAME", help="A provider of the settings.")
@click.option("--model", metavar="NAME", help="A model; without it, all cards.")
@click.option("--tier", metavar="WORDS", help="Such as batch or batch+fast.  [default: standard]")
@click.option("--region", metavar="NAME", help="Where it is served.  [default: the provider's]")
@click.option("--at", metavar="TIME", default="now", show_default=True, help=TIMES_HELP)
@click.option("--known", metavar="TIME", help="As the books were known then.  [default: now]")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Zone of the times.")
@format_option
@place_options
def show(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:  # fmt: skip
    """Show the card that prices a model at a time; or the cards in force, and those used so far."""
    model, provider = asked["model"], asked["provider"]
    answer = ask_prices("show", place(config_path, data_dir), asked, config_path)
    cards, chosen = answer["cards"], chosen_format(output_format)
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        sys.stdout.write(csv_text(answer["rows"], ("card_id", *RATE_COLUMNS)))
    elif not cards and model:
        click.echo(f"No price is known for {provider} {model}; import a card, or add [[prices]].")
    else:
        in_force = answer.get("in_force", [])
        if in_force:
            print_table(in_force, _IN_FORCE, title="Cards in force, the one that wins first")
        if not cards:
            click.echo("No call has been priced yet.")
        for card in cards:
            print_table([card], CARD_COLUMNS)
            if card["rates"]:
                print_table(card["rates"], RATE_COLUMNS)
            for note in card["notes"]:
                click.echo(f"  {note}")
    if not cards and model:
        sys.exit(1)


@prices.command(short_help="Show who changed which card, when and why.")
@click.option("--card", metavar="NAME", help="One card of the books.  [default: all]")
@click.option("--provider", metavar="NAME", help="Cards for this provider.")
@click.option("--model", metavar="NAME", help="Cards for this model or pattern.")
@format_option
@place_options
def history(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:  # fmt: skip
    """Show every version of the cards of the books: who, when, why, and what it changed."""
    answer = ask_prices("history", place(config_path, data_dir), asked, config_path)
    chosen = chosen_format(output_format)
    if chosen == "table" and not answer["rows"]:
        click.echo("The books have no price card; import one with tollbook prices import.")
    else:
        show_rows(answer, chosen, _HISTORY)


@prices.command(short_help="Compare cards at two moments.")
@click.option("--card", metavar="NAME", help="One card of the books, with --versions.")
@click.option("--versions", metavar="A..B", help="Two versions of a card, such as 1..2.")
@click.option("--provider", metavar="NAME", help="A provider of the settings, with --model.")
@click.option("--model", metavar="NAME", help="A model: what it costs, in dollars.")
@click.option("--tier", metavar="WORDS", help="Such as batch.  [default: standard]")
@click.option("--region", metavar="NAME", help="Where it is served.  [default: the provider's]")
@click.option("--since", metavar="TIME", help=f"The first moment. {TIMES_HELP}")
@click.option("--until", metavar="TIME", help="The second moment.  [default: now]")
@click.option("--known-since", metavar="TIME", help="As the books were known then, for the first.")
@click.option("--known-until", metavar="TIME", help="Likewise for the second.  [default: now]")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Zone of the times.")
@format_option
@place_options
def diff(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:  # fmt: skip
    """Show rates before and after, and the change in per cent.

    Of a model between two moments, of all cards of the books, or of two versions of a card.
    """
    answer = ask_prices("diff", place(config_path, data_dir), asked, config_path)
    chosen = chosen_format(output_format)
    if chosen == "table" and not answer["rows"]:
        click.echo("Nothing differs.")
    else:
        show_rows(answer, chosen, [name for name in _DIFF if name != "per" or asked["model"]])


@prices.command(short_help="Check cards, and list models that have no price.")
@click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: month]")
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@click.option(
    "--differ", "differ_percent", type=click.IntRange(0, 10_000), metavar="PERCENT",
    help="Name own rates that are so far off the list price.  [default: 50]",
)  # fmt: skip
@format_option
@place_options
def check(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:
    """Check the cards against one another, the list price and the calls there were.

    Finds contradictions, expired cards in use, cards that match no calls, prices far from the list,
    missing exchange rates, and models without a price. Exit code 1 for errors and missing prices;
    what is only to be looked at is a warning.
    """
    where = place(config_path, data_dir)
    answer = ask_prices("check", where, asked, config_path)
    unpriced, findings = answer["unpriced"], answer["rows"]
    chosen = chosen_format(output_format)
    if not answer["has_ledger"]:
        click.echo("No ledger yet: only the cards were checked.", err=True)
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        missing = [
            {"severity": "error", "finding": "no price", "card": None, "provider": one["provider"],
             "model": one["model"], "detail": f"{one['calls']} calls"}
            for one in unpriced
        ]  # fmt: skip
        sys.stdout.write(csv_text([*findings, *missing], _FINDINGS))
    else:
        click.echo(
            f"{answer['cards']} price card(s) in the settings, {answer['book_cards']} in the books."
        )
        if findings:
            print_table(findings, _FINDINGS, title="Found")
        if unpriced:
            print_table(unpriced, _CALLS, title="Calls without a price: import a card for them")
        elif answer["has_ledger"]:
            click.echo("Every metered call in the range has a price.")
    if unpriced or any(one["severity"] == "error" for one in findings):
        sys.exit(1)


@prices.command(short_help="List models without a price, with the dollars at stake.")
@click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: month]")
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@click.option(
    "--like", metavar="PROVIDER/MODEL",
    help="Whose price to estimate with, or a card of the books.  [default: the most similar name]",
)  # fmt: skip
@format_option
@place_options
def unpriced(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:  # fmt: skip
    """List models without a price: calls, tokens, tenants, since when, and dollars at stake.

    The dollars are an estimate, made with the price that is named beside it. What is unpriced has
    no cost in any report until a card is there and past calls are re-rated. Exit code 1 if there
    are any.
    """
    answer = ask_prices("unpriced", place(config_path, data_dir), asked, config_path)
    chosen = chosen_format(output_format)
    if chosen == "table" and not answer["rows"]:
        click.echo("Every metered call in the range has a price.")
    else:
        show_rows(answer, chosen, _UNPRICED)
    if chosen == "table" and answer["rows"]:
        total = money(answer["totals"]["estimated_usd"])
        without = answer["totals"]["models_without_estimate"]
        more = f", and {without} model(s) that nothing is like" if without else ""
        click.echo(f"At stake: about {total} USD (an estimate){more}.")
    if answer["rows"]:
        sys.exit(1)

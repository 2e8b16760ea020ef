"""Commands that change prices: import and withdraw cards, exchange rates, re-rating."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.books.events import current_user
from tollbook.chargeback.pricebook.files import FORMATS
from tollbook.cli.finance import show_rows
from tollbook.cli.options import (
    TIMES_HELP,
    chosen_format,
    format_option,
    pairs_of,
    place,
    place_options,
)
from tollbook.cli.pricelist import ask_prices, say_counts, text_of_file
from tollbook.cli.progress import shown_progress
from tollbook.cli.tables import money, print_table, write_json
from tollbook.console.client import running_ledger
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from tollbook.cli.options import Place
    from tollbook.reports.params import Pairs

_IMPORTED: Final = (
    "action", "card", "provider", "model", "effective_from", "effective_until", "field", "before",
    "after", "change_percent",
)  # fmt: skip
_FX: Final = ("currency", "date", "usd_per_unit", "carried", "reason", "author")
_FX_CHANGES: Final = ("currency", "date", "before", "after", "carried")
_SUMS: Final = (
    "calls", "before_usd", "after_usd", "change_usd", "unpriced_before", "unpriced_after",
)  # fmt: skip
_BY: Final = {"model": ("tenant", "provider", "model", *_SUMS), "tenant": ("tenant", *_SUMS),
       "month": ("month", "period", *_SUMS[:4])}  # fmt: skip
_ROWS: Final = {"model": "rows", "tenant": "tenants", "month": "months"}
_FX_SHOWN_MAX: Final = 60
_FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
_AUTHOR = click.option("--author", metavar="NAME", help="Who decided.  [default: you]")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would change; keep nothing.")


@click.command("import", short_help="Import price cards from a file.")
@_FILE
@click.option("--reason", metavar="TEXT", help="Why, for cards that do not say it themselves.")
@_AUTHOR
@_DRY_RUN
@click.option(
    "--as", "file_format", type=click.Choice(FORMATS), help="Its format.  [default: by its name]"
)
@format_option
@place_options
def import_cards(
    path: Path, reason: str | None, author: str | None, dry_run: bool,  # noqa: FBT001 -- a flag
    file_format: str | None, output_format: str | None, config_path: Path | None,
    data_dir: Path | None,
) -> None:  # fmt: skip
    """Import dated price cards: TOML with [[prices]], JSON, or CSV. All of them, or none.

    A running ledger prices new calls with them at once. Past calls keep what they were booked with
    until tollbook prices rerate.
    """
    given = {
        "file": str(path), "text": text_of_file(path), "format": file_format, "reason": reason,
        "author": author or current_user(), "dry_run": dry_run,
    }  # fmt: skip
    answer = ask_prices("import", place(config_path, data_dir), given, config_path)
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, _IMPORTED)
    if chosen == "table":
        say_counts(answer)


@click.command(short_help="End a card of the books.")
@click.argument("card", metavar="CARD")
@click.option(
    "--since", required=True, metavar="TIME", help=f"The first moment without. {TIMES_HELP}"
)
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@_AUTHOR
@_DRY_RUN
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Zone of --since.")
@format_option
@place_options
def withdraw(
    output_format: str | None, config_path: Path | None, data_dir: Path | None,
    author: str | None, **asked: Any,
) -> None:  # fmt: skip
    """End a card from a time on: other cards, or the list price, apply again."""
    given = asked | {"author": author or current_user()}
    answer = ask_prices("withdraw", place(config_path, data_dir), given, config_path)
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, _IMPORTED)
    if chosen == "table":
        say_counts(answer)


@click.command(short_help="Write the cards of the books as an import takes them.")
@click.option("--at", metavar="TIME", help="Cards that hold then.  [default: now]")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Zone of --at.")
@format_option
@place_options
def cards(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:  # fmt: skip
    """Write the cards of the books that hold at a time; as CSV, import takes them back."""
    answer = ask_prices("export", place(config_path, data_dir), asked, config_path)
    show_rows(answer, chosen_format(output_format))


@click.group(short_help="Exchange rates for cards in other currencies.")
def fx() -> None:
    """List and import exchange rates, by which cards in other currencies become dollars."""


@fx.command("list", short_help="List exchange rates.")
@click.option("--currency", metavar="CODE", help="Such as EUR.  [default: all]")
@click.option("--since", metavar="TIME", help="First day.  [default: all]")
@click.option("--until", metavar="TIME", help="First day left out.  [default: all]")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Zone of the times.")
@format_option
@place_options
def fx_list(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:  # fmt: skip
    """List US dollars for one unit of a currency, by UTC day."""
    answer = ask_prices("fx", place(config_path, data_dir), asked, config_path)
    chosen = chosen_format(output_format)
    if chosen == "table" and not answer["rows"]:
        click.echo("No exchange rates yet; import them with tollbook prices fx import.")
    else:
        show_rows(answer, chosen, _FX)


@fx.command("import", short_help="Import exchange rates from a CSV file.")
@_FILE
@click.option("--reason", required=True, metavar="TEXT", help="Where they are from.")
@_AUTHOR
@click.option(
    "--carry-days", type=click.IntRange(0, 10), default=0, show_default=True, metavar="DAYS",
    help="How many days without a quote (a weekend) take the last one before.",
)  # fmt: skip
@_DRY_RUN
@format_option
@place_options
def fx_import(
    path: Path, output_format: str | None, config_path: Path | None, data_dir: Path | None,
    author: str | None, **asked: Any,
) -> None:  # fmt: skip
    """Import exchange rates: CSV with the columns date, currency, usd_per_unit."""
    given = asked | {
        "file": str(path), "text": text_of_file(path), "author": author or current_user(),
    }  # fmt: skip
    answer = ask_prices("fx_import", place(config_path, data_dir), given, config_path)
    chosen = chosen_format(output_format)
    if chosen != "table":
        show_rows(answer, chosen, _FX_CHANGES)
        return
    rows = answer["rows"]
    if rows:
        print_table(rows[:_FX_SHOWN_MAX], _FX_CHANGES)
    done = "Imported" if answer["applied"] else "Nothing is imported yet"
    click.echo(f"{done}: {len(rows):,} rates new or other, {answer['unchanged']:,} as they were.")


@click.command(short_help="Apply today's cards to past calls.")
@click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: all]")
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@click.option("--apply", "is_applied", is_flag=True, help="Book the change; else only show it.")
@click.option("--reason", metavar="TEXT", help="Why; needed with --apply.")
@_AUTHOR
@click.option(
    "--by",
    type=click.Choice(sorted(_BY)),
    default=None,
    help="Rows of a table or CSV.  [default: all in turn; as CSV by tenant and model]",
)
@format_option
@place_options
def rerate(
    is_applied: bool,  # noqa: FBT001 -- a command-line flag
    by: str | None,
    author: str | None,
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
        pairs += [("apply", "true"), ("author", author or current_user())]
    answer = _rerate(where, config_path, pairs)
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json(answer)
        return
    shown = {name: answer[_ROWS[name]] for name in _BY}
    if chosen == "csv":
        which = by or "model"
        sys.stdout.write(csv_text(shown[which], _BY[which]))
        return
    if not answer["rows"]:
        click.echo("No call changes its price.")
        return
    for which in ("month", "tenant", "model") if by is None else (by,):
        print_table(shown[which], _BY[which], totals=answer["totals"])
    change = money(answer["totals"]["change_usd"])
    if is_applied:
        click.echo(f"Booked: {answer['totals']['calls']:,} calls, change {change} USD.")
    else:
        click.echo(
            f"A preview: nothing is booked. Change {change} USD; book it with --apply --reason."
        )


def _rerate(where: Place, config_path: Path | None, pairs: Pairs) -> dict[str, Any]:
    running = running_ledger(where.data_dir)
    with shown_progress("entries") as progress:
        if running is not None:
            return running.do("rerate", pairs)
        # The engine is imported only here: asking a running ledger needs none.
        from tollbook.console.repair import rerate_files  # noqa: PLC0415 -- see above

        return rerate_files(where.config, where.data_dir, config_path, os.environ, pairs, progress)


changing: Final = (import_cards, withdraw, cards, fx, rerate)
"""What is added to ``tollbook prices``."""

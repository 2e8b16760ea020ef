"""``tollbook margin``: revenue beside cost, by tenant, plan, feature or month."""

from __future__ import annotations

import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.chargeback.margin.model import RevenueError
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import TIMES_HELP, chosen_format, format_option, place, place_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.desk import Operation

FILE_MAX_BYTES: Final = 4_000_000
_FIGURES: Final = (
    "revenue_usd", "direct_cost_usd", "allocated_cost_usd", "adjusted_cost_usd", "cost_usd",
    "gross_margin_usd", "margin_percent", "cost_to_revenue_percent", "margin_before_percent",
    "margin_change_points", "notes", "alerts",
)  # fmt: skip
_LINES: Final = (
    "source", "line_id", "document_id", "category", "status", "customer_id", "tenant", "plan",
    "feature", "issued", "start", "end", "amount", "currency", "description",
)  # fmt: skip


def _operation(name: str) -> Operation:
    from tollbook.chargeback.margin.operations import OPERATIONS  # noqa: PLC0415 -- on use

    return next(one for one in OPERATIONS if one.name == name)


def _range_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]"),
        click.option("--period", metavar="TIME", help="A month or another time, instead."),
        click.option("--until", metavar="TIME", help="First moment left out.  [default: now]"),
        click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: month]"),
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@click.option("--by", type=click.Choice(["tenant", "plan", "feature", "month"]), default="tenant",
              show_default=True, help="What a row is.")  # fmt: skip
@click.option("--split", type=click.Choice(["none", "cost", "billable", "calls"]), default="none",
              show_default=True,
              help="By what revenue without a feature is split over its tenant's.")  # fmt: skip
@click.option("--check", is_flag=True, help="Exit code 1 if a target is missed.")
@_range_options
@format_option
@place_options
@click.pass_context
def margin(
    context: click.Context,
    /,
    check: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    **question: Any,
) -> None:
    """Show revenue, cost and gross margin, with the period before and the targets missed."""
    if context.invoked_subcommand is not None:
        return
    where = place(config_path, data_dir)
    answer = ask(_operation("margin.show"), where, question, config_path=config_path)
    chosen = chosen_format(output_format)
    if chosen != "json":
        for row in answer["rows"]:
            row["notes"], row["alerts"] = ", ".join(row["notes"]), ", ".join(row["alerts"])
    show_rows(answer, chosen, (question["by"], *_FIGURES), totals=answer["totals"])
    if chosen == "table":
        for one in answer["unconverted"]:
            click.echo(
                f"Not counted: {one['amount']} {one['currency']} of {one['day']}, without a rate."
            )
    if check and answer["alerts"]:
        sys.exit(1)


@margin.command("import", short_help="Import revenue from a CSV file.")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--name", required=True, help="Of the source; line ids are unique within it.")
@click.option("--map", "mapped", multiple=True, metavar="OURS=COLUMN",
              help="Such as amount=Net or tenant=Account; repeatable.")  # fmt: skip
@format_option
@place_options
def import_file(
    path: Path, name: str, mapped: tuple[str, ...], output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Import lines of revenue; the same file again changes nothing.

    Columns: line_id, amount, issued (needed); tenant or customer_id; document_id, plan, feature,
    start, end (the last day), currency, description. Negative amounts are credits.
    """
    mapping = {}
    for one in mapped:
        ours, sign, theirs = one.partition("=")
        if not sign or not ours or not theirs:
            raise click.UsageError(f"--map {one!r} is not such as amount=Net")
        mapping[ours] = theirs
    where = place(config_path, data_dir)
    given = {"name": name, "text": _text(path), "mapping": mapping, "file": str(path)}
    answer = ask(_operation("revenue.import"), where, given, config_path=config_path)
    show_rows(answer, chosen_format(output_format))


@margin.command(short_help="Fetch revenue from Stripe or Lago.")
@click.argument("source")
@click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: last-month]")
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@format_option
@place_options
def fetch(
    source: str, output_format: str | None, config_path: Path | None, data_dir: Path | None,
    **question: Any,
) -> None:  # fmt: skip
    """Fetch invoices and credit notes; fetching again changes nothing that is the same.

    SOURCE is stripe (key in STRIPE_API_KEY), lago (key in LAGO_API_KEY), or the name of a source
    that `tollbook margin decide` kept.
    """
    where = place(config_path, data_dir)
    answer = ask(
        _operation("revenue.fetch"), where, question | {"source": source}, config_path=config_path
    )
    show_rows(answer, chosen_format(output_format))


@margin.command(short_help="List lines of revenue.")
@_range_options
@format_option
@place_options
def revenue(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **question: Any
) -> None:
    """List the lines that pay for a time, as they were told last."""
    where = place(config_path, data_dir)
    answer = ask(_operation("revenue.list"), where, question, config_path=config_path)
    show_rows(answer, chosen_format(output_format), _LINES)


@margin.command(short_help="List targets, customers, sources, every version.")
@format_option
@place_options
def decisions(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """List every version of targets, customers and sources, with author and reason."""
    where = place(config_path, data_dir)
    answer = ask(_operation("margin.decisions"), where, {}, config_path=config_path)
    show_rows(answer, chosen_format(output_format))


@margin.command(short_help="Keep targets, customers, sources from a file.")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--reason", required=True, help="Why; kept with them.")
@format_option
@place_options
def decide(
    path: Path, reason: str, output_format: str | None, config_path: Path | None,
    data_dir: Path | None,
) -> None:  # fmt: skip
    """Keep the [[margin]] entries of a TOML file: targets, customers of a source, sources.

    kind = "withdrawn" with a name and effective_from ends what holds under the name.
    """
    where = place(config_path, data_dir)
    try:
        found = tomllib.loads(_text(path), parse_float=Decimal).get("margin")
    except tomllib.TOMLDecodeError as error:
        raise RevenueError(str(path), str(error)) from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise RevenueError(str(path), "expected [[margin]]")
    entries: list[dict[str, Any]] = []
    for at, one in enumerate(msgspec.to_builtins(found)):
        own = {name: one.pop(name, None) for name in ("name", "effective_from", "effective_until")}
        if not isinstance(own["name"], str):
            raise RevenueError(f"{path}: margin[{at}]", "name is missing")
        entries.append(own | {"says": one})
    given = {"entries": entries, "reason": reason, "file": str(path)}
    answer = ask(_operation("margin.decide"), where, given, config_path=config_path)
    show_rows(answer, chosen_format(output_format))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RevenueError(str(path), f"cannot be read: {error.strerror}") from error
    if len(data) > FILE_MAX_BYTES:
        raise RevenueError(str(path), f"is larger than {FILE_MAX_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RevenueError(str(path), "is not UTF-8 text") from error

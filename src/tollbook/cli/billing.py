"""``tollbook billing``: what tenants are charged, by rules of their own."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import TIMES_HELP, chosen_format, format_option, place, place_options
from tollbook.cli.tables import money
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.desk import Operation

FILE_MAX_BYTES: Final = 2_000_000
_RULES: Final = (
    "name", "version", "kind", "holds", "effective_from", "effective_until", "match", "says",
    "author", "reason",
)  # fmt: skip
_EFFECT: Final = (
    "tenant", "rule", "calls", "before_usd", "after_usd", "change_usd", "unknown_before",
    "unknown_after",
)  # fmt: skip
_MONTH: Final = (
    "tenant", "plan", "part", "due_usd", "booked_usd", "difference_usd", "terms", "reason",
)  # fmt: skip


class RulesFileError(TollbookError):
    """A file of rules that cannot be read."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


_DELIVERY: Final = "tollbook.cli.billing_delivery"


class _Billing(click.Group):
    """Its own commands, and those of delivery, which are imported when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_delivery()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        return found if found is not None else _delivery().get(cmd_name)


def _delivery() -> dict[str, click.Command]:
    if find_spec(_DELIVERY) is None:
        return {}
    found = vars(import_module(_DELIVERY)).values()
    return {one.name: one for one in found if isinstance(one, click.Command) and one.name}


@click.group(cls=_Billing)
def billing() -> None:
    """Show and change what tenants are charged, beside what the providers charge."""


@billing.group()
def rules() -> None:
    """Billing rules, plans and monthly terms: dated documents in the books."""


def _operation(name: str) -> Operation:
    from tollbook.chargeback.billable.operations import OPERATIONS  # noqa: PLC0415 -- on use

    return next(one for one in OPERATIONS if one.name == name)


def _range_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]"),
        click.option("--until", metavar="TIME", help="First moment left out."),
        click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: month]"),
    ):
        command = option(command)
    return command


@rules.command("show", short_help="List the rules that hold.")
@click.option("--at", metavar="TIME", help=f"{TIMES_HELP}  [default: now]")
@click.option("--history", is_flag=True, help="Every version of every rule.")
@format_option
@place_options
def show(
    at: str | None,
    history: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """List the rules, plans and terms that hold, or all versions with who wrote them and why."""
    where = place(config_path, data_dir)
    given = {"at": at, "history": "true" if history else None}
    answer = ask(_operation("billable.rules"), where, given, config_path=config_path)
    chosen = chosen_format(output_format)
    if chosen == "table" and not answer["rows"]:
        click.echo("No billing rule holds: calls have a cost and no second price.")
        return
    if chosen == "table":
        for row in answer["rows"]:
            row["match"] = msgspec.json.encode(row["match"]).decode() if row["match"] else "any"
            row["says"] = msgspec.json.encode(row["says"]).decode()
    show_rows(answer, chosen, _RULES)


@rules.command("import", short_help="Keep rules from a file.")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--reason", default="", help="Why; kept with the rules.")
@click.option("--dry-run", is_flag=True, help="Check them and show what they would change.")
@_range_options
@format_option
@place_options
def import_rules(
    path: Path,
    reason: str,
    dry_run: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    **question: Any,
) -> None:
    """Keep rules, plans and terms of a TOML or JSON file; all of them, or none.

    New calls are billed by them at once. Calls that are booked already keep their amount until
    `tollbook billing rerate --apply`.
    """
    where = place(config_path, data_dir)
    given = {"rules": _read(path), "reason": reason, "source": str(path), "dry_run": dry_run}
    if dry_run:
        given |= question
    answer = ask(_operation("billable.import"), where, given, config_path=config_path)
    if dry_run:
        _show_effect(answer, chosen_format(output_format), "with these rules")
        return
    show_rows(answer, chosen_format(output_format))


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the rules of a file; decimals as they are written."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RulesFileError(path, f"cannot be read: {error.strerror}") from error
    if len(data) > FILE_MAX_BYTES:
        raise RulesFileError(path, f"is larger than {FILE_MAX_BYTES:,} bytes")
    try:
        if path.suffix == ".json":
            found = msgspec.json.Decoder(float_hook=Decimal).decode(data)
        else:
            found = tomllib.loads(data.decode(), parse_float=Decimal)
    except (msgspec.DecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulesFileError(path, str(error)) from error
    listed = found.get("rules") if isinstance(found, dict) else found
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise RulesFileError(path, "expected [[rules]]")
    plain: list[dict[str, Any]] = msgspec.to_builtins(listed)  # decimals and dates as text
    return plain


@billing.command(short_help="What the rules of now would change of what is booked.")
@_range_options
@format_option
@place_options
def preview(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **question: Any
) -> None:
    """Show by tenant what the rules of now would change of what is booked."""
    where = place(config_path, data_dir)
    answer = ask(_operation("billable.preview"), where, question, config_path=config_path)
    _show_effect(answer, chosen_format(output_format), "with the rules of now")


@billing.command(short_help="Book what changed rules change.")
@click.option("--apply", "is_applied", is_flag=True, help="Book the change; else only show it.")
@click.option("--reason", metavar="TEXT", help="Why; stands in every entry. Needed to book.")
@_range_options
@format_option
@place_options
def rerate(
    is_applied: bool,  # noqa: FBT001 -- a command-line flag
    reason: str | None,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    **question: Any,
) -> None:
    """Bill past calls by the rules of now: show the change by tenant, or book it with --apply.

    Booking appends a reversal and a new charge for each call that changes; nothing is rewritten.
    """
    where = place(config_path, data_dir)
    name = "billable.rerate" if is_applied else "billable.preview"
    if is_applied and not reason:
        raise click.UsageError("--reason is needed to book")
    given = question | ({"reason": reason} if is_applied else {})
    answer = ask(_operation(name), where, given, config_path=config_path)
    _show_effect(answer, chosen_format(output_format), "with the rules of now")


def _show_effect(answer: dict[str, Any], chosen: str, how: str) -> None:
    if chosen != "table":
        show_rows(answer, chosen, _EFFECT)
        return
    if not answer["rows"]:
        click.echo(f"No call is billed otherwise {how}.")
        return
    show_rows(answer, chosen, _EFFECT, totals=answer["totals"])
    change, calls = money(answer["totals"]["change_usd"]), answer["totals"]["calls"]
    if answer["is_booked"]:
        click.echo(f"Booked: {calls:,} calls, change {change} USD.")
    else:
        click.echo(f"A preview: nothing is booked. Change {change} USD.")


@billing.command(short_help="A month's allowances, minimums, caps and fees.")
@click.option("--period", required=True, metavar="YYYY-MM", help="The month.")
@format_option
@place_options
def allowances(
    period: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Show what a month's terms come to by tenant: due, booked, and the difference."""
    where = place(config_path, data_dir)
    answer = ask(
        _operation("billable.allowances"), where, {"period": period}, config_path=config_path
    )
    _show_month(answer, chosen_format(output_format))


@billing.command("apply", short_help="Book a month's allowances, minimums, caps and fees.")
@click.option("--period", required=True, metavar="YYYY-MM", help="The month.")
@format_option
@place_options
def apply_month(
    period: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Book what a month's terms come to and is not booked yet, as adjustments.

    Applying again books only what late calls and changed terms have changed.
    """
    where = place(config_path, data_dir)
    answer = ask(_operation("billable.apply"), where, {"period": period}, config_path=config_path)
    chosen = chosen_format(output_format)
    _show_month(answer, chosen)
    if chosen == "table":
        booked = ", ".join(answer["adjustment_ids"]) or "nothing"
        click.echo(f"Booked in {answer['billing_period']}: {booked}.")


def _show_month(answer: dict[str, Any], chosen: str) -> None:
    if chosen == "table" and not answer["rows"]:
        click.echo(f"No terms say anything of {answer['period']}.")
        return
    show_rows(answer, chosen, _MONTH, totals=answer["totals"])

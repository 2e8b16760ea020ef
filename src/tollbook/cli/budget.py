"""``tollbook budget``: what owners may spend, where they stand, and what a rule would have done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.cli.allocate import read_body
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import TIMES_HELP, chosen_format, format_option, place, place_options
from tollbook.cli.tables import money, write_json
from tollbook.config.budgets import Budget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LISTED: Final = (
    "name", "unit", "limit", "each", "match", "window", "timezone", "mode", "steps", "source",
    "effective_until",
)  # fmt: skip
_STANDS: Final = (
    "state", "budget", "owner", "unit", "limit", "top_ups", "spent", "held", "left", "percent",
    "resets_at", "blocked_until", "exhausted_at", "next_step", "source",
)  # fmt: skip
_VERSIONS: Final = (
    "name", "version", "is_removal", "effective_from", "effective_until", "author", "reason",
)  # fmt: skip
_TOP_UPS: Final = (
    "top_up_id", "budget", "owner", "unit", "amount", "expires_at", "is_expired", "author",
    "reason",
)  # fmt: skip
_OUTCOME: Final = (
    "owner", "calls", "cost_usd", "blocked_calls", "blocked_cost_usd", "unpriced_calls",
    "waited_calls", "first_blocked_at",
)  # fmt: skip
_FIELDS: Final = (
    "tenant", "user", "team", "feature", "workflow", "agent_run", "environment", "api_key", "model",
    "provider",
)  # fmt: skip
_AMOUNTS: Final = ("limit", "top_ups", "spent", "held", "left", "amount")
_REASON: Final = click.option("--reason", required=True, metavar="TEXT", help="Why.")
_FROM_NOW: Final = "A time, or so long from now: 30m, 2h, 7d."


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command here takes."""
    return place_options(format_option(command))


def rule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the settings of a budget; see docs/budgets.md."""
    for option in reversed((
        click.option("--limit-usd", metavar="USD", help="Most dollars in a window."),
        click.option("--limit-tokens", type=int, metavar="N", help="Most tokens in a window."),
        click.option("--limit-requests", type=int, metavar="N", help="Most calls in a window."),
        click.option("--limit-concurrent", type=int, metavar="N", help="Most calls at once."),
        click.option("--each", metavar="FIELDS", help="A limit for each of these: tenant,model."),
        click.option("--match", metavar="PAIRS", help="Only these calls: tenant=trial-*."),
        click.option("--window", metavar="NAME", help="minute, hour, day, week or month."),
        click.option("--rolling/--calendar", default=None, help="The last hour, or a calendar's."),
        click.option("--timezone", metavar="ZONE", help="IANA zone of the calendar."),
        click.option("--mode", type=click.Choice(["hard", "soft"]), help="Refuse, or only warn."),
        click.option("--steps", metavar="STEPS",
                     help="Such as '80 rate 60, 90 model gpt-5-mini, 100 refuse'."),
        click.option("--stop-streams/--keep-streams", default=None,
                     help="Cut running answers once it is used up."),
        click.option("--wait-s", type=float, metavar="S", help="Longest wait for others' holds."),
        click.option("--unknown-price", type=click.Choice(["refuse", "hold"]),
                     help="What calls of unknown price get."),
        click.option("--hold-usd", metavar="USD", help="What a call of unknown price counts as."),
        click.option("--default-output-tokens", type=int, metavar="N",
                     help="Reserved for calls that set no limit."),
        click.option("--warn-at-percent", metavar="LIST", help="Such as 80,100."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.group()
def budget() -> None:
    """Budgets: set and stop, top up, where owners stand, what a rule would have done."""


@budget.command(name="list")
@common
def list_(output_format: str | None, **asked: Any) -> None:
    """List the budgets in force: those of the settings and those set here."""
    answer = _answer("budgets.list", asked)
    chosen = chosen_format(output_format)
    if chosen == "table":
        answer["rows"] = [_plain(row) for row in answer["rows"]]
    show_rows(answer, chosen, _LISTED if chosen == "table" else None, title="Budgets")
    _tell(answer["problems"], chosen)


@budget.command(name="set")
@click.argument("name")
@rule_options
@click.option("--file", type=click.Path(dir_okay=False), metavar="FILE",
              help="TOML or JSON with the settings; options go before it.")  # fmt: skip
@click.option("--from", "effective_from", metavar="TIME", help="From when on.  [default: now]")
@click.option("--until", "effective_until", metavar="TIME", help="First moment it ends.")
@_REASON
@common
def set_(output_format: str | None, file: str | None, **asked: Any) -> None:
    """Set a budget; what is not given has its default."""
    if file is not None:
        body = read_body(file)
        body.pop("name", None)
        unknown = sorted(set(body) - set(Budget.__struct_fields__))
        if unknown:
            raise click.UsageError(f"{file}: no such setting: {', '.join(unknown)}")
        asked |= {name: value for name, value in body.items() if asked.get(name) is None}
    show_rows(_answer("budgets.set", asked), chosen_format(output_format), _VERSIONS)


@budget.command()
@click.argument("name")
@common
def show(output_format: str | None, **asked: Any) -> None:
    """Show a budget: its settings, versions and top-ups."""
    answer = _answer("budgets.show", asked)
    chosen = chosen_format(output_format)
    if chosen != "table":
        show_rows(answer, chosen)
        return
    if answer["in_force"] is not None:
        show_rows({"rows": [_plain(answer["in_force"])]}, "table", _LISTED, title="In force")
    else:
        click.echo("Not in force.")
    show_rows(answer, "table", _VERSIONS, title="Versions")
    show_rows(
        {"rows": [_plain(row) for row in answer["top_ups"]]}, "table", _TOP_UPS, title="Top-ups"
    )


@budget.command()
@click.argument("name")
@_REASON
@common
def remove(output_format: str | None, **asked: Any) -> None:
    """Take a budget that was set here out of force."""
    show_rows(_answer("budgets.remove", asked), chosen_format(output_format), _VERSIONS)


@budget.command(name="top-up")
@click.argument("name")
@click.argument("amount")
@click.option("--owner", metavar="VALUES", help="Such as acme; acme,gpt-5 for each pair.")
@click.option("--expires", metavar="TIME", help=f"{_FROM_NOW}  [default: the window's end]")
@_REASON
@common
def top_up(output_format: str | None, **asked: Any) -> None:
    """Give one owner of a budget more until a moment."""
    answer, chosen = _answer("budgets.top_up", asked), chosen_format(output_format)
    if chosen == "table":
        answer["rows"] = [_plain(row) for row in answer["rows"]]
    show_rows(answer, chosen, _TOP_UPS)


@budget.command()
@click.argument("field", type=click.Choice(_FIELDS))
@click.argument("value")
@click.option("--until", metavar="TIME", help=f"{_FROM_NOW}  [default: until resumed]")
@_REASON
@common
def stop(output_format: str | None, **asked: Any) -> None:
    """Refuse all calls of one owner, such as: stop tenant acme."""
    show_rows(_answer("budgets.stop", asked), chosen_format(output_format), _VERSIONS)


@budget.command()
@click.argument("field", type=click.Choice(_FIELDS))
@click.argument("value")
@_REASON
@common
def resume(output_format: str | None, **asked: Any) -> None:
    """Let a stopped owner go on."""
    show_rows(_answer("budgets.resume", asked), chosen_format(output_format), _VERSIONS)


@budget.command()
@click.argument("name", required=False)
@click.option("--state", metavar="STATE", help="blocked, over, warned, 'on track to exceed', ok.")
@click.option("--owner", metavar="VALUE", help="Such as a tenant.")
@click.option("--limit", type=click.IntRange(1, 10_000), metavar="N", help="[default: 1000]")
@common
def standing(output_format: str | None, **asked: Any) -> None:
    """Show where each owner stands, the blocked first."""
    answer = _answer("budgets.standing", asked)
    chosen = chosen_format(output_format)
    if chosen != "json":
        is_table = chosen == "table"
        answer["rows"] = [_plain(row, is_table=is_table) for row in answer["rows"]]
    show_rows(answer, chosen, None if chosen == "json" else _STANDS, title="Standing")
    if chosen == "table":
        left_out = answer["matching"] - len(answer["rows"])
        if left_out > 0:
            click.echo(f"{left_out:,} more; see --limit.")
        click.echo(f"Note: {answer['note']}")
    _tell(answer["problems"], chosen)


@budget.command(name="what-if")
@click.argument("name", required=False)
@rule_options
@click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]")
@click.option("--period", metavar="TIME", help="A day, week or month, instead of the two.")
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: 30d]")
@common
def what_if(output_format: str | None, **asked: Any) -> None:
    """Tell what a rule, or the budget NAME with changes, would have done to past calls."""
    answer = _answer("budgets.what_if", asked)
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json(answer)
        return
    if chosen == "table":
        hit = [row for row in answer["rows"] if row["blocked_calls"] or row["waited_calls"]]
        show_rows({"rows": hit}, chosen, _OUTCOME, title="Owners with blocked calls")
        if answer["steps"]:
            show_rows({"rows": answer["steps"]}, "table", title="By step")
        click.echo(answer["said"])
    else:
        show_rows(answer, chosen, _OUTCOME)


def _answer(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    from tollbook.budgeting.operations import OPERATIONS  # noqa: PLC0415 -- on use

    operation = next(one for one in OPERATIONS if one.name == name)
    config_path: Path | None = asked.pop("config_path")
    data_dir: Path | None = asked.pop("data_dir")
    where = place(config_path, data_dir)
    return ask(operation, where, asked, config_path=config_path)


def _plain(row: dict[str, Any], *, is_table: bool = True) -> dict[str, Any]:
    """Return a row whose dollars are as people read them; its unit stands beside them."""
    step = row.get("next_step")
    if step:
        row = row | {"next_step": f"{step['at_percent']} %: {step['what']}"}
    if row["unit"] != "usd" or not is_table:
        return row
    return row | {name: money(row[name]) for name in _AMOUNTS if name in row}


def _tell(problems: list[str], chosen: str) -> None:
    if chosen == "table":
        for problem in problems:
            click.echo(f"Note: {problem}")

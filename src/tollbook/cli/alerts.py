"""``tollbook alerts``: incidents, rules, channels, and what rules would have said."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import TIMES_HELP, chosen_format, format_option, place, place_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tollbook.desk import Operation

_INCIDENTS: Final = (
    "id", "state", "severity", "title", "excess_usd", "driver", "first_seen", "last_seen", "owner",
)  # fmt: skip
_RULES: Final = (
    "name", "state", "kind", "each", "where", "severity", "min_usd", "min_calls", "limit", "origin",
)  # fmt: skip
_CHANNELS: Final = (
    "name", "state", "type", "to", "severity", "rules", "tenant", "last_state", "last_at",
)  # fmt: skip
_FIRED: Final = ("opened_at", "resolved_at", "title", "excess_usd", "driver", "rules", "words")


def _operation(name: str) -> Operation:
    from tollbook.alerts.operations import OPERATIONS  # noqa: PLC0415 -- on use

    return next(one for one in OPERATIONS if one.name == name)


def _answer(
    name: str, config_path: Path | None, data_dir: Path | None, given: dict[str, Any]
) -> dict[str, Any]:
    where = place(config_path, data_dir)
    return ask(_operation(name), where, given, config_path=config_path)


def _shown(
    answer: dict[str, Any], output_format: str | None, columns: tuple[str, ...] | None = None,
    title: str | None = None,
) -> None:  # fmt: skip
    chosen = chosen_format(output_format)
    if chosen != "json":
        for row in answer["rows"]:
            for name, value in row.items():
                if isinstance(value, list):
                    row[name] = ", ".join(str(one) for one in value)
    show_rows(answer, chosen, columns, title=title)


@click.group()
def alerts() -> None:
    """See and act on incidents; keep rules and channels."""


@alerts.command("list", short_help="List incidents.")
@click.option("--state", default="unresolved", show_default=True,
              help="unresolved, all, open, acknowledged, expected or resolved.")  # fmt: skip
@click.option("--tenant", help="Only of this tenant.")
@click.option("--rule", help="Only of this rule.")
@click.option("--since", metavar="TIME", help=f"Only seen since. {TIMES_HELP}")
@click.option("--check", is_flag=True, help="Exit code 1 if there is any.")
@format_option
@place_options
def list_command(
    check: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    **question: Any,
) -> None:
    """List incidents, newest first."""
    answer = _answer("incidents.list", config_path, data_dir, question)
    has_any = bool(answer["rows"])
    _shown(answer, output_format, _INCIDENTS, "Incidents")
    if check and has_any:
        sys.exit(1)


@alerts.command(short_help="Show one incident.")
@click.argument("incident", type=int)
@format_option
@place_options
def show(
    incident: int, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:  # fmt: skip
    """Show an incident: what, whose, how much, what happened to it."""
    answer = _answer("incidents.show", config_path, data_dir, {"id": incident})
    chosen = chosen_format(output_format)
    _shown(answer, output_format, _INCIDENTS)
    if chosen != "table":
        return
    click.echo(answer["rows"][0]["words"] or "")
    for title, name in (("Drivers", "drivers"), ("Events", "events"), ("Told", "deliveries")):
        if answer[name]:
            click.echo()
            columns = {
                "drivers": ("level", "name", "excess_usd", "share_percent"),
                "events": ("at", "action", "actor", "words"),
                "deliveries": ("channel", "event", "state", "tries", "last_at", "detail"),
            }[name]
            show_rows({"rows": answer[name]}, chosen, columns, title=title)


def _deed(
    name: str, short_help: str, *options: Callable[..., Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # fmt: skip
    """Return what makes a command about one incident."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in (place_options, format_option, *options):
            function = option(function)
        function = click.argument("incident", type=int)(function)
        return alerts.command(name, short_help=short_help)(function)

    return decorate


@_deed("ack", "Acknowledge an incident.", click.option("--note", help="A note on it."))
def acknowledge(
    incident: int, output_format: str | None, config_path: Path | None, data_dir: Path | None,
    **given: Any,
) -> None:  # fmt: skip
    """Acknowledge an incident: you look after it."""
    answer = _answer("incidents.acknowledge", config_path, data_dir, {"id": incident, **given})
    _shown(answer, output_format, _INCIDENTS)


@_deed("expect", "Say that it is expected until a time.",
       click.option("--reason", default="", help="Why."),
       click.option("--until", required=True, metavar="TIME",
                    help="A date or time, or so long from now: 4h, 7d."))  # fmt: skip
def expect(
    incident: int, output_format: str | None, config_path: Path | None, data_dir: Path | None,
    **given: Any,
) -> None:  # fmt: skip
    """Tell nobody of an incident until a time, and then only if it still goes on."""
    answer = _answer("incidents.expect", config_path, data_dir, {"id": incident, **given})
    _shown(answer, output_format, _INCIDENTS)


@_deed("resolve", "Resolve an incident.", click.option("--note", help="What it was."))
def resolve(
    incident: int, output_format: str | None, config_path: Path | None, data_dir: Path | None,
    **given: Any,
) -> None:  # fmt: skip
    """Resolve an incident; it is opened again if it goes on for another hour."""
    answer = _answer("incidents.resolve", config_path, data_dir, {"id": incident, **given})
    _shown(answer, output_format, _INCIDENTS)


@_deed("note", "Add a note to an incident.", click.argument("text"))
def note(
    incident: int, output_format: str | None, config_path: Path | None, data_dir: Path | None,
    **given: Any,
) -> None:  # fmt: skip
    """Add a note to an incident."""
    answer = _answer("incidents.note", config_path, data_dir, {"id": incident, **given})
    _shown(answer, output_format, _INCIDENTS)


@_deed("assign", "Say whose an incident is.", click.argument("owner", default=""))
def assign(
    incident: int, output_format: str | None, config_path: Path | None, data_dir: Path | None,
    **given: Any,
) -> None:  # fmt: skip
    """Give an incident an owner; without one it is nobody's again."""
    answer = _answer("incidents.assign", config_path, data_dir, {"id": incident, **given})
    _shown(answer, output_format, _INCIDENTS)


@alerts.command(short_help="List rules.")
@format_option
@place_options
def rules(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """List the rules in force: the built-in ones and your own."""
    _shown(_answer("alerts.rules", config_path, data_dir, {}), output_format, _RULES)


def _assignments(some: tuple[str, ...]) -> dict[str, Any]:
    """Read ``name=value`` pairs; a comma makes a list where the field is one."""
    found: dict[str, Any] = {}
    for one in some:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{one!r} is not such as min_usd=5")
        if name in ("each", "channels", "rules", "events", "mail_to"):
            found[name] = [part.strip() for part in value.split(",") if part.strip()]
        elif name == "where":
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


@alerts.command("set-rule", short_help="Set a rule.")
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="FIELD=VALUE...")
@click.option("--reason", required=True, help="Why; kept with it.")
@format_option
@place_options
def set_rule(
    name: str, fields: tuple[str, ...], reason: str, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Change a rule, or make one: tollbook alerts set-rule night kind=burn_rate each=feature."""
    given = {"name": name, "reason": reason, **_assignments(fields)}
    _shown(_answer("alerts.set_rule", config_path, data_dir, given), output_format, _RULES)


@alerts.command("remove-rule", short_help="Remove a rule.")
@click.argument("name")
@click.option("--reason", required=True, help="Why; kept with it.")
@format_option
@place_options
def remove_rule(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **given: Any
) -> None:
    """Remove a rule, a built-in one too."""
    _shown(_answer("alerts.remove_rule", config_path, data_dir, given), output_format)


@alerts.command(short_help="What rules would have said.")
@click.option("--since", default="14d", show_default=True, metavar="TIME", help=TIMES_HELP)
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option("--rule", help="Only this rule.")
@click.option("--trial", metavar="JSON", help="Fields of a rule to try before it is kept.")
@format_option
@place_options
def backtest(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **question: Any
) -> None:
    """Evaluate rules as of each hour of a time that is over; nothing is kept, nobody is told."""
    answer = _answer("alerts.backtest", config_path, data_dir, question)
    _shown(answer, output_format, _FIRED, "Incidents there would have been")
    if chosen_format(output_format) == "table":
        for problem in answer["problems"]:
            click.echo(problem)
        if answer["skipped"]:
            click.echo(f"Not tried, because they tell of now only: {', '.join(answer['skipped'])}")


@alerts.command(short_help="List channels.")
@format_option
@place_options
def channels(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """List channels, and what came of the last message to each."""
    answer = _answer("channels.list", config_path, data_dir, {})
    _shown(answer, output_format, _CHANNELS, "Channels")


@alerts.command("set-channel", short_help="Set a channel.")
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="FIELD=VALUE...")
@click.option("--reason", required=True, help="Why; kept with it.")
@format_option
@place_options
def set_channel(
    name: str, fields: tuple[str, ...], reason: str, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Change a channel, or make one: set-channel ops type=slack secret_env=SLACK_WEBHOOK_URL."""
    given = {"name": name, "reason": reason, **_assignments(fields)}
    _shown(_answer("channels.set", config_path, data_dir, given), output_format)


@alerts.command("remove-channel", short_help="Remove a channel.")
@click.argument("name")
@click.option("--reason", required=True, help="Why; kept with it.")
@format_option
@place_options
def remove_channel(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **given: Any
) -> None:
    """Remove a channel; its log stays."""
    _shown(_answer("channels.remove", config_path, data_dir, given), output_format)


@alerts.command("test-channel", short_help="Send a test message.")
@click.argument("name")
@format_option
@place_options
def test_channel(
    name: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:  # fmt: skip
    """Send a test message now; exit code 1 if it did not arrive."""
    answer = _answer("channels.test", config_path, data_dir, {"name": name})
    is_delivered = answer["rows"][0]["state"] == "delivered"
    _shown(answer, output_format)
    if not is_delivered:
        sys.exit(1)


@alerts.command(short_help="The delivery log.")
@click.option("--channel", help="Only of this channel.")
@click.option("--incident", type=int, help="Only of this incident.")
@click.option("--limit", type=int, default=100, show_default=True, help="Most rows.")
@format_option
@place_options
def deliveries(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **question: Any
) -> None:
    """List what channels were told, newest first, and what came of it."""
    answer = _answer("deliveries.list", config_path, data_dir, question)
    _shown(answer, output_format, title="Deliveries")

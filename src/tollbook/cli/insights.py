"""``tollbook insights`` and ``tollbook forecast``: a command for each insight, made of its request.

The options are the fields of the request that the API takes, so that nothing can be asked in one
place and not in the other.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import click
import msgspec

from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import TIMES_HELP, chosen_format, format_option, place, place_options

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.desk import Operation

_PREFIX: Final = "insights."
_HELP: Final = {
    "since": f"{TIMES_HELP}  [default: 30d; forecast: 180d of history]",
    "until": "First moment left out.  [default: now]",
    "period": "A day, week or month, instead of the two.",
    "tz": "IANA time zone.  [default: UTC]",
    "where": "Such as tenant=acme,globex or status!=error; repeatable.",
    "limit": "Rows shown; totals are of all.  [default: 50]",
    "by": "Dimension of the rows: tenant, feature, model, team, ...; of layers: day, week, month.",
    "against": "Time to compare with, such as last-month.  [default: the range just before]",
    "days": "Days ahead.  [default: 30]",
    "unit": "request, run, trace, operation, or metric:NAME of the books.  [default: request]",
    "history": "Count earlier turns of a conversation as context.",
    "calls_min": "Calls that make a version or a candidate, at least.",
    "lifetime_s": "Seconds that an unused prefix stays cached.  [default: 300]",
    "output_max": "Tokens that calls write on average, at most.  [default: 300]",
    "target": "Model to compare with.  [default: the smaller one of each line-up]",
}
_METAVARS: Final = {
    "since": "TIME", "until": "TIME", "period": "TIME", "against": "TIME", "tz": "ZONE",
    "where": "FILTER", "by": "NAME", "unit": "UNIT", "target": "MODEL",
}  # fmt: skip
_MARKS: Final = ("is_other", "groups", "rare_versions")


def _operations() -> dict[str, Operation]:
    from tollbook.insights.operations import OPERATIONS  # noqa: PLC0415 -- on use

    return {one.name.removeprefix(_PREFIX).replace("_", "-"): one for one in OPERATIONS}


class _Insights(click.Group):
    """A group whose commands are the insights."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the insights."""
        del ctx
        return sorted(_operations())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Make the command of an insight."""
        del ctx
        found = _operations().get(cmd_name)
        return None if found is None else _command(cmd_name, found)


@click.group(cls=_Insights)
def insights() -> None:
    """Tell why spend changed and where it could be less; each says how it was computed."""


def _command(name: str, operation: Operation) -> click.Command:
    """Return a command whose options are the fields of an operation's request."""

    def run(
        output_format: str | None, config_path: Path | None, data_dir: Path | None, **given: Any
    ) -> None:
        asked = {key: list(value) if isinstance(value, tuple) else value
                 for key, value in given.items() if value not in (None, ())}  # fmt: skip
        _tell(
            ask(operation, place(config_path, data_dir), asked, config_path=config_path),
            chosen_format(output_format),
        )

    command = click.Command(name, callback=run, help=operation.summary)
    fields = msgspec.structs.fields(operation.request)
    command.params = [_option(field) for field in fields]
    return place_options(format_option(command))


def _option(field: msgspec.structs.FieldInfo) -> click.Option:
    kind = field.type
    flag = f"--{field.encode_name.replace('_', '-')}"
    kinds = [one for one in get_args(kind) if one is not NoneType] or [kind]
    told = _HELP[field.encode_name]
    if kind is bool:
        return click.Option([flag], is_flag=True, default=None, help=told)
    if get_origin(kind) is list:
        return click.Option([flag], multiple=True, metavar="FILTER", help=told)
    metavar = _METAVARS.get(field.encode_name, "N")
    return click.Option([flag], type=int if kinds == [int] else str, metavar=metavar, help=told)


def _tell(answer: dict[str, Any], chosen: str) -> None:
    rows = answer["rows"]
    columns = [
        name for name in dict.fromkeys(key for row in rows for key in row) if name not in _MARKS
    ]  # fmt: skip
    if chosen != "table":
        show_rows(answer, chosen, columns or None)
        return
    click.echo(answer["headline"])
    totals = {name: value for name, value in answer["totals"].items() if name in columns}
    show_rows(answer, chosen, columns, totals=totals or None)
    click.echo(f"How: {answer['method']}")
    click.echo(f"Calls: {answer['calls']}")


forecast = _command("forecast", _operations()["forecast"])
"""``tollbook forecast`` is ``tollbook insights forecast``."""

"""``tollbook backtest``: attribution models against direct attribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.books.events import current_user
from tollbook.chargeback.allocate import models_operations as operations
from tollbook.cli.allocate import read_body
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.desk import Operation

_COLUMNS: Final = ("name", "version", "effective_from", "author", "reason", "created_at")
_SUMMARY: Final = (
    "model", "tenants", "direct_usd", "misplaced_usd", "unassigned_usd", "total_variation",
    "rmse_usd", "rank_changes",
)  # fmt: skip
_ROWS_SHOWN: Final = 20


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    return place_options(format_option(command))


@click.group(invoke_without_command=True)
@click.option("--period", metavar="MONTH", help="Such as 2026-10.")
@click.option("--model", "names", multiple=True, metavar="NAME",
              help="May be repeated.  [default: all, and calls, tokens, prices]")  # fmt: skip
@click.option("--suggest", is_flag=True, help="Also fit weights, and show what they would do.")
@_common
@click.pass_context
def backtest(
    context: click.Context, /, output_format: str | None, names: tuple[str, ...], **asked: Any
) -> None:
    """Run attribution models over a month's identified calls, and show how far off they are."""
    if context.invoked_subcommand is not None:
        return
    if asked["period"] is None:
        raise click.UsageError("give --period, such as --period 2026-10")
    answer = _answer(operations.BACKTEST, asked | {"models": ",".join(names)})
    chosen = chosen_format(output_format)
    if chosen != "table":
        show_rows(answer, chosen)
        return
    show_rows({"rows": answer["models"]}, "table", _SUMMARY, title=answer["period"])
    for one in answer["models"]:
        rows = [row for row in answer["rows"] if row["model"] == one["model"]]
        if not rows:
            continue
        show_rows({"rows": rows[:_ROWS_SHOWN]}, "table", title=one["model"])
        if len(rows) > _ROWS_SHOWN:
            click.echo(f"and {len(rows) - _ROWS_SHOWN} more: --format csv has all")
    for one in answer["suggestions"]:
        click.echo(f"{one['name']}: {msgspec.json.encode(one['body']).decode()}")


@backtest.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--name", required=True, metavar="NAME", help="What policies call it.")
@click.option(
    "--from", "effective_from", required=True, metavar="MONTH", help="First month it is for."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@_common
def import_model(output_format: str | None, file: str, **asked: Any) -> None:
    """Check a model (TOML or JSON) and keep it as a new version."""
    asked |= {"body": read_body(file), "author": current_user()}
    _list(_answer(operations.IMPORT, asked), output_format)


@backtest.command()
@click.argument("name", required=False)
@_common
def models(output_format: str | None, **asked: Any) -> None:
    """List every version of the models, or of one."""
    _list(_answer(operations.MODELS, asked), output_format)


def _list(answer: dict[str, Any], output_format: str | None) -> None:
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, None if chosen == "json" else _COLUMNS)


def _answer(operation: Operation, asked: dict[str, Any]) -> dict[str, Any]:
    known = set(operation.request.__struct_fields__)
    given = {name: value for name, value in asked.items() if name in known}
    config_path = asked["config_path"]
    return ask(operation, place(config_path, asked["data_dir"]), given, config_path=config_path)

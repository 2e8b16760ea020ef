"""``tollbook terms``: volume tiers, quotas, minimums, commitments, capacity; what they come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.books.events import current_user
from tollbook.chargeback.terms import operations
from tollbook.chargeback.terms.errors import TermFileError
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.desk import Operation

_FILE_MAX_BYTES: Final = 2_000_000
_PERIOD: Final = click.option("--period", required=True, metavar="MONTH", help="Such as 2026-10.")
_REASON: Final = click.option("--reason", required=True, metavar="TEXT", help="Why.")
_COLUMNS: Final = (
    "name", "version", "type", "provider", "model", "start", "end", "effective_from", "withdrawn",
    "author", "reason",
)  # fmt: skip


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    return place_options(format_option(command))


@click.group()
def terms() -> None:
    """Prices of a month or an hour: tiers, quotas, minimums, commitments, capacity."""


@terms.command()
@click.option("--period", metavar="MONTH", help="Those in force then.  [default: the newest]")
@_common
def show(output_format: str | None, **asked: Any) -> None:
    """List terms."""
    _list(_answer(operations.SHOW, asked), output_format)


@terms.command()
@click.argument("name", required=False)
@_common
def history(output_format: str | None, **asked: Any) -> None:
    """List every version of the terms, or of one."""
    _list(_answer(operations.HISTORY, asked), output_format)


@terms.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Check it, and keep nothing.")
@_REASON
@_common
def import_terms(output_format: str | None, file: str, **asked: Any) -> None:
    """Read a file of terms (TOML or JSON) and keep them as new versions."""
    asked |= {"file": Path(file).name, "text": _read(Path(file)), "author": current_user()}
    answer = _answer(operations.IMPORT, asked)
    columns = ("name", "is_new") if asked["dry_run"] else ("is_new", *_COLUMNS)
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, columns if chosen == "table" else None)


@terms.command()
@click.argument("name")
@click.option("--from", "at", required=True, metavar="DATE", help="First day without it.")
@_REASON
@_common
def end(output_format: str | None, **asked: Any) -> None:
    """Say that a term is over before its time."""
    _list(_answer(operations.END, asked | {"author": current_user()}), output_format)


@terms.command()
@_PERIOD
@_common
def preview(output_format: str | None, **asked: Any) -> None:
    """Show what the terms of a month come to by tenant; nothing is booked."""
    _show(_answer(operations.PREVIEW, asked), output_format)


@terms.command()
@_PERIOD
@_common
def apply(output_format: str | None, **asked: Any) -> None:
    """Book what the terms of a month come to; again, only the difference."""
    answer = _answer(operations.APPLY, asked)
    _show(answer, output_format)
    if chosen_format(output_format) == "table":
        click.echo(f"{answer['booked']} entries booked.")


def _answer(operation: Operation, asked: dict[str, Any]) -> dict[str, Any]:
    where = place(asked.get("config_path"), asked.get("data_dir"))
    known = set(operation.request.__struct_fields__)
    given = {name: value for name, value in asked.items() if name in known}
    return ask(operation, where, given, config_path=asked.get("config_path"))


def _list(answer: dict[str, Any], output_format: str | None) -> None:
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, None if chosen == "json" else _COLUMNS)


def _show(answer: dict[str, Any], output_format: str | None) -> None:
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, title=answer["period"] if chosen == "table" else None)
    if chosen != "table":
        return
    for one in answer["terms"]:
        for facts in one["facts"]:
            told = ", ".join(f"{name} {value}" for name, value in facts.items())
            click.echo(f"{one['term']}: {told}")
    for problem in answer["problems"]:
        click.echo(f"Note: {problem}")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            content = opened.read(_FILE_MAX_BYTES + 1)
        if len(content) > _FILE_MAX_BYTES:
            raise TermFileError(str(path), f"is larger than {_FILE_MAX_BYTES:,} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise TermFileError(str(path), error.strerror or "cannot be read") from error
    except UnicodeDecodeError as error:
        raise TermFileError(str(path), "is not UTF-8") from error

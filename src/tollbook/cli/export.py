"""``tollbook export``: files for finance: FOCUS datasets, journals, tenants' statements."""

from __future__ import annotations

import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.chargeback.focus import operations
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.errors import CheckFailedError, TollbookError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BY_NAME: Final = {one.name: one for one in operations.OPERATIONS}
_MOUNTED: Final = ("tollbook.cli.export_journal", "tollbook.cli.export_statements")
"""Modules whose commands belong to this group."""
_FILES: Final = ("dataset", "name", "rows", "size_bytes", "sha256")


class OutputError(TollbookError):
    """A directory that the files cannot be copied to."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"--output: {path}: {problem}")


class NotConformingError(CheckFailedError):
    """A file breaks rules of FOCUS; they have been shown."""

    def __init__(self, count: str) -> None:
        super().__init__(f"{count} found; the rules are in docs/finance/focus.md")


class ChangedError(CheckFailedError):
    """Files of an export are not what was written."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{', '.join(names)}: changed or missing; export again")


class _Exports(click.Group):
    """The group; commands of other modules are found when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, those of other modules included."""
        return sorted({*super().list_commands(ctx), *_mounted()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        return super().get_command(ctx, cmd_name) or _mounted().get(cmd_name)


def _mounted() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name in _MOUNTED:
        if find_spec(name) is None:
            continue
        commands = {
            one.name: one
            for one in vars(import_module(name)).values()
            if isinstance(one, click.Command) and one.name is not None
        }
        inner = {
            below for one in commands.values() if isinstance(one, click.Group)
            for below in one.commands.values()
        }  # fmt: skip
        found |= {name: one for name, one in commands.items() if one not in inner}
    return found


@click.group(cls=_Exports)
def export() -> None:
    """Write files for finance: FOCUS datasets, journals, statements of tenants."""


@export.command()
@click.option("--period", metavar="MONTH", help="Billing period, such as 2026-10.")
@click.option("--since", metavar="TIME", help="Instead of a period: a range, as known now.")
@click.option("--until", metavar="TIME", help="First moment left out.  [default: now]")
@click.option(
    "--view", type=click.Choice(["billed", "known"]), default="billed", show_default=True,
    help="Of a period: as billed, or the calls of the month as known now.",
)  # fmt: skip
@click.option(
    "--version", type=click.Choice(["1.2", "1.4"]), default="1.4", show_default=True,
    help="Of the FOCUS specification.",
)  # fmt: skip
@click.option(
    "--files", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True,
    help="What the files are.",
)  # fmt: skip
@click.option(
    "--perspective", type=click.Choice(["cost", "billable"]), default="cost", show_default=True,
    help="What providers bill, or what tenants are charged.",
)  # fmt: skip
@click.option("--where", multiple=True, metavar="FILTER", help="Such as tenant=acme; repeatable.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", help="Copy the files here."
)
@click.option(
    "--check", "checked", type=click.Path(path_type=Path, exists=True), metavar="FILE",
    help="Export nothing: check a file, or a directory of files, against the rules of FOCUS.",
)  # fmt: skip
@format_option
@place_options
def focus(
    output_format: str | None, output: Path | None, checked: Path | None,
    config_path: Path | None, data_dir: Path | None, **asked: Any,
) -> None:  # fmt: skip
    """Export FOCUS 1.2 or 1.4: cost and usage, invoice detail, billing periods.

    One row for each day, SKU and tenant. The files stay in the data directory, with a manifest
    that says what was asked and how complete it was; --output copies them.
    """
    if checked is not None:
        _check(checked, output_format)
        return
    at = place(config_path, data_dir)
    given = asked | {"where": list(asked["where"])}
    answer = ask(_BY_NAME["exports.focus"], at, given, config_path=config_path)
    if output is not None:
        _copy(Path(answer["directory"]), output)
    show_rows(answer, chosen_format(output_format), _FILES, title=answer["export_id"])
    if chosen_format(output_format) == "table":
        totals = answer["totals"]
        click.echo(
            f"{totals['rows']} rows, {totals['billed_cost']} {answer['currency']} billed, in "
            f"{output or answer['directory']}"
        )
        for note in answer["notes"]:
            click.echo(f"Note: {note}.")


def _check(path: Path, output_format: str | None) -> None:
    # Reads Parquet, which the other commands do not.
    from tollbook.chargeback.focus.check import check  # noqa: PLC0415 -- see above

    report = check(path)
    answer = msgspec.to_builtins(report)
    chosen = chosen_format(output_format)
    answer["rows"] = answer["findings"]
    if chosen != "table" or report.findings:
        show_rows(answer, chosen, ("file", "rule", "column", "row", "problem"))
    if chosen == "table":
        for one in report.files:
            click.echo(
                f"{one['file']}: FOCUS {one['version']} {one['dataset']}, {one['rows']} rows"
            )
    if report.findings:
        count = len(report.findings)
        more = "more than " if report.has_more else ""
        raise NotConformingError(f"{more}{count} {'finding' if count == 1 else 'findings'}")


def _copy(source: Path, target: Path) -> None:
    """Copy an export whole; nothing is written over.

    Raises:
        OutputError: a file is there already, or cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        files = sorted(source.iterdir())
        for file in files:
            if (target / file.name).exists():
                raise OutputError(target / file.name, "is there already; choose another directory")
        for file in files:
            shutil.copyfile(file, target / file.name)
    except OSError as error:
        raise OutputError(target, error.strerror or "cannot be written") from error


@export.command("list")
@click.option("--kind", metavar="KIND", help="Such as focus.")
@click.option("--period", metavar="MONTH", help="Only of this billing period.")
@format_option
@place_options
def list_(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:
    """List exports, the newest first."""
    at = place(config_path, data_dir)
    answer = ask(_BY_NAME["exports.list"], at, asked, config_path=config_path)
    columns: Sequence[str] = (
        "export_id", "kind", "version", "period", "view", "perspective", "created_at", "author",
        "rows", "size_bytes",
    )  # fmt: skip
    show_rows(answer, chosen_format(output_format), columns)


@export.command()
@click.argument("export_id")
@format_option
@place_options
def show(
    output_format: str | None, export_id: str, config_path: Path | None, data_dir: Path | None
) -> None:
    """Show an export: its files, and whether they are still what was written."""
    at = place(config_path, data_dir)
    answer = ask(_BY_NAME["exports.show"], at, {"export_id": export_id}, config_path=config_path)
    show_rows(answer, chosen_format(output_format), (*_FILES, "state"), title=answer["directory"])
    changed = [row["name"] for row in answer["rows"] if row["state"] != "unchanged"]
    if changed:
        raise ChangedError(changed)

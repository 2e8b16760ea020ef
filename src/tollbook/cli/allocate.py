"""``tollbook allocate``: policies that spread shared cost, and what they make of a month."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.books.events import current_user
from tollbook.chargeback.allocate import models_split_operations, operations
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.desk import Operation

_PERIOD: Final = click.option("--period", required=True, metavar="MONTH", help="Such as 2026-10.")
_POLICY: Final = click.option("--policy", metavar="NAME", help="[default: default]")
_VERSION: Final = click.option(
    "--version", type=int, metavar="N", help="[default: in force when the month begins]"
)
_REASON: Final = click.option("--reason", required=True, metavar="TEXT", help="Why.")
_LINES: Final = (
    "rule", "role", "provider", "tenant", "team", "cost_center", "feature", "cost_usd", "ratio",
)  # fmt: skip
_FILE_MAX_BYTES: Final = 4_000_000


class FileError(TollbookError):
    """A file that cannot be read as what it should be."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command here takes."""
    return place_options(format_option(command))


@click.group()
def allocate() -> None:
    """Spread shared cost over its users by policy: preview, compare, run, show."""


@allocate.command()
@_PERIOD
@_POLICY
@_VERSION
@common
def preview(output_format: str | None, **asked: Any) -> None:
    """Show what a policy would move, by owner and by line; nothing is booked."""
    _show_result(_answer(operations.PREVIEW, asked), output_format)


@allocate.command()
@_PERIOD
@_POLICY
@_VERSION
@common
def run(output_format: str | None, **asked: Any) -> None:
    """Book what a policy moves; again, only the difference to what was booked."""
    answer = _answer(operations.RUN, asked)
    _show_result(answer, output_format)
    if chosen_format(output_format) == "table":
        click.echo(f"{answer['run_id']}: {answer['booked']} entries booked.")


@allocate.command()
@_PERIOD
@common
def show(output_format: str | None, **asked: Any) -> None:
    """Show the allocation in force of a month, and which runs there were."""
    answer = _answer(operations.SHOW, asked)
    chosen = chosen_format(output_format)
    show_rows(answer, chosen, None if chosen != "table" else _LINES)
    if chosen == "table":
        for one in answer["runs"]:
            click.echo(f"{one['run_id']}: {one['policy']}, {one['booked']} entries, {one['at']}")


@allocate.command()
@_PERIOD
@_POLICY
@_VERSION
@click.option("--other-policy", metavar="NAME", help="[default: the same]")
@click.option("--other-version", type=int, metavar="N", help="[default: in force]")
@common
def diff(output_format: str | None, **asked: Any) -> None:
    """Compare two policies, or two versions of one, by owner."""
    show_rows(_answer(operations.DIFF, asked), chosen_format(output_format))


@allocate.command()
@_PERIOD
@click.option("--name", metavar="NAME", help="Such as gateway; without it, list them.")
@click.option("--amount", metavar="USD", help="What it costs in that month, as a whole.")
@click.option("--owner", metavar="TENANT", help="[default: [finance] central_tenant]")
@click.option("--reason", metavar="TEXT", help="Such as the invoice it is from.")
@common
def cost(output_format: str | None, **asked: Any) -> None:
    """Enter a shared cost that no call tells of, or list what was entered."""
    if (asked["name"] is None) != (asked["amount"] is None):
        raise click.UsageError("give both --name and --amount, or neither")
    operation = operations.COSTS if asked["name"] is None else operations.COST
    show_rows(_answer(operation, asked), chosen_format(output_format))


@allocate.command()
@_PERIOD
@click.option("--batch", metavar="ID", help="That batch alone.")
@click.option("--apply", "is_applied", is_flag=True, help="Book it.  [default: preview]")
@common
def split(output_format: str | None, *, is_applied: bool, **asked: Any) -> None:
    """Move what calls for several tenants cost to each: mixed batches, requests tagged tenants."""
    operation = models_split_operations.BOOK if is_applied else models_split_operations.PREVIEW
    answer = _answer(operation, asked)
    chosen = chosen_format(output_format)
    show_rows(answer, chosen)
    if chosen == "table":
        for problem in answer["problems"]:
            click.echo(f"Note: {problem}")


@allocate.group()
def policy() -> None:
    """Allocation policies: versioned documents in the books."""


@policy.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--name", metavar="NAME", help="[default: default]")
@click.option(
    "--from", "effective_from", required=True, metavar="MONTH", help="First month it is for."
)
@_REASON
@common
def import_policy(output_format: str | None, file: str, **asked: Any) -> None:
    """Check a policy (TOML or JSON) and keep it as a new version."""
    asked |= {"body": read_body(file), "author": current_user()}
    answer = _answer(operations.IMPORT_POLICY, asked)
    show_rows(answer, chosen_format(output_format), _POLICY_COLUMNS)


_POLICY_COLUMNS: Final = (
    "name", "version", "effective_from", "author", "reason", "created_at",
)  # fmt: skip


@policy.command(name="history")
@click.argument("name", required=False)
@common
def policy_history(output_format: str | None, **asked: Any) -> None:
    """List every version of the policies, or of one."""
    show_rows(_answer(operations.POLICIES, asked), chosen_format(output_format), _POLICY_COLUMNS)


@policy.command(name="show")
@click.argument("name", default="default")
@click.option("--version", type=int, metavar="N", help="[default: the newest]")
@common
def policy_show(output_format: str | None, name: str, version: int | None, **asked: Any) -> None:
    """Write a policy as JSON, to be changed and imported again."""
    del output_format
    rows = _answer(operations.POLICIES, asked | {"name": name})["rows"]
    found = [one for one in rows if version is None or one["version"] == version]
    if not found:
        raise click.UsageError(f"there is no such policy {name!r}")
    text = msgspec.json.format(msgspec.json.encode(found[-1]["body"]), indent=2)
    click.echo(text.decode())


@allocate.group()
def metric() -> None:
    """Metrics that policies may spread by: seats and the like, from CSV files."""


@metric.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--name", required=True, metavar="NAME", help="What policies call it: seats.")
@click.option("--unit", metavar="TEXT", help="What is counted.  [default: units]")
@click.option("--aggregate", type=click.Choice(["last", "sum", "average"]), default=None,
              help="What a month has of the rows of its days.  [default: last]")  # fmt: skip
@_REASON
@common
def import_metric(output_format: str | None, file: str, **asked: Any) -> None:
    """Read a CSV file with owner, date and quantity and keep it as a new version."""
    asked |= {"csv": _read(file), "author": current_user()}
    show_rows(_answer(operations.IMPORT_METRIC, asked), chosen_format(output_format))


@metric.command(name="list")
@common
def list_metrics(output_format: str | None, **asked: Any) -> None:
    """List every version of the metrics."""
    show_rows(_answer(operations.METRICS, asked), chosen_format(output_format))


def _answer(operation: Operation, asked: dict[str, Any]) -> dict[str, Any]:
    config_path, data_dir = asked.pop("config_path"), asked.pop("data_dir")
    known = set(operation.request.__struct_fields__)
    given = {name: value for name, value in asked.items() if name in known}
    return ask(operation, place(config_path, data_dir), given, config_path=config_path)


def _show_result(answer: dict[str, Any], output_format: str | None) -> None:
    chosen = chosen_format(output_format)
    if chosen != "table":
        show_rows(answer, chosen)
        return
    show_rows({"rows": answer["owners"]}, "table", title=f"{answer['period']}, {answer['policy']}")
    show_rows(answer, "table", _LINES)
    for problem in answer["problems"]:
        click.echo(f"Note: {problem}")


def _read(file: str) -> str:
    path = Path(file)
    try:
        with path.open("rb") as opened:
            content = opened.read(_FILE_MAX_BYTES + 1)
        if len(content) > _FILE_MAX_BYTES:
            raise FileError(path, f"is larger than {_FILE_MAX_BYTES:,} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise FileError(path, error.strerror or "cannot be read") from error
    except UnicodeDecodeError as error:
        raise FileError(path, "is not UTF-8") from error


def read_body(file: str) -> dict[str, Any]:
    """Read a TOML or JSON file.

    Raises:
        FileError: it cannot be read, or is neither.
    """
    text = _read(file)
    try:
        if file.endswith(".toml"):
            return tomllib.loads(text)
        return msgspec.json.decode(text, type=dict[str, Any])
    except (tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
        raise FileError(Path(file), str(error)) from error

"""``tollbook statements``: what providers say was used and costs."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tollbook.books.store import open_books
from tollbook.chargeback.statements.answers import LINE_TABLE, STATEMENT_TABLE, statement_row
from tollbook.chargeback.statements.fetch.run import Wanted, fetch_statements
from tollbook.chargeback.statements.importer import How, import_file
from tollbook.chargeback.statements.operations import (
    LINES,
    LIST,
    SHADOWED,
    SHOW,
    span_of,
)
from tollbook.chargeback.statements.raws import raw_of
from tollbook.chargeback.statements.shelf import statement
from tollbook.cli.finance import show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.statement_papers import finalize, invoice, map_, show_kept, withdraw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.cli.options import Place
    from tollbook.desk import Desk, Operation

_MAPPING_MAX_BYTES = 1024 * 1024
_FILES = click.Path(path_type=Path)


@click.group()
def statements() -> None:
    """Import, fetch and list what providers say was used and costs."""


@statements.command("import")
@click.argument("files", nargs=-1, required=True, type=_FILES)
@click.option("--provider", metavar="NAME", help="Provider of all lines.  [default: by the form]")
@click.option("--account", metavar="ID", help="Account that is billed, where no line names it.")
@click.option(
    "--as",
    "form",
    metavar="FORM",
    help="Its form, or csv:NAME of a mapping.  [default: by content]",
)
@click.option("--final", "is_final", is_flag=True, help="The provider will not change it any more.")
@click.option(
    "--said-at", metavar="TIME",
    help="When the provider said it; the newest counts.  [default: when the file was written]",
)  # fmt: skip
@format_option
@place_options
def import_(
    files: tuple[Path, ...],
    provider: str | None,
    account: str | None,
    form: str | None,
    is_final: bool,  # noqa: FBT001 -- a command-line flag
    said_at: str | None,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Import exports of OpenAI, Anthropic, AWS, Azure, Google Cloud, OpenRouter, FOCUS, or any CSV.

    JSON, JSON lines, CSV and Parquet, also compressed with gzip. The same file again changes
    nothing. What cannot be read is told; the rest is kept.
    """
    at = place(config_path, data_dir)
    said_ns = None if said_at is None else span_of(said_at, "--said-at")[0]
    how = How(
        provider=provider, account=account, form=form, is_final=is_final, fetched_at_ns=said_ns
    )
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    with open_books(at.data_dir) as books:
        for path in files:
            imported = import_file(books, path, how)
            rows += [statement_row(one.statement) | {"new": one.is_new} for one in imported]
            problems += [
                f"{path.name}: {problem}" for problem in imported[0].statement.problems
            ]  # fmt: skip
    show_kept(rows, problems, output_format)


@statements.command()
@click.argument("names", nargs=-1, required=True, metavar="PROVIDER...")
@click.option("--since", metavar="TIME", help="First day.  [default: what is new or may change]")
@click.option("--until", metavar="TIME", help="First day left out.  [default: today]")
@format_option
@place_options
def fetch(
    names: tuple[str, ...],
    since: str | None,
    until: str | None,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Fetch statements from the APIs of providers, with keys from the environment.

    Goes on where the last one stopped, and fetches again what a provider may still revise.
    """
    at = place(config_path, data_dir)
    wanted = Wanted(
        None if since is None else span_of(since, "--since")[0],
        None if until is None else span_of(until, "--until")[0],
    )
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    with open_books(at.data_dir) as books:
        for name in names:
            for one in fetch_statements(
                books, name, at.config.statements, os.environ, wanted=wanted
            ):
                rows.append(statement_row(one))
                problems += [f"{name}: {problem}" for problem in one.problems]
                click.echo(f"{name}: {one.source} {one.scope or ''} {one.lines} lines", err=True)
    show_kept(rows, problems, output_format)


@contextmanager
def _desk(at: Place) -> Iterator[Desk]:
    """Give a desk of the books alone: statements need no ledger."""
    # The desk's types are loaded here only: most commands need less.
    from tollbook.desk import Desk  # noqa: PLC0415 -- see above

    with open_books(at.data_dir) as books:
        yield Desk(
            reader=None,  # type: ignore[arg-type] # none of these operations asks the ledger
            books=books, config=at.config, data_dir=at.data_dir, environ=os.environ,
        )  # fmt: skip


def _ask(operation: Operation, at: Place, given: dict[str, Any]) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 -- as the command's own

    told = {name: value for name, value in given.items() if value is not None}
    with _desk(at) as desk:
        answer = operation.run(desk, msgspec.convert(told, operation.request, strict=False))
    assert isinstance(answer, dict)
    return answer


_BASIS = click.Choice(["usage", "cost", "invoice"])


@statements.command("list")
@click.option("--provider", metavar="NAME", help="Only its own.")
@click.option("--basis", type=_BASIS, help="Only these.")
@click.option("--since", metavar="TIME", help="Only what covers something from here on.")
@click.option("--until", metavar="TIME", help="Only what covers something before.")
@click.option("--withdrawn", is_flag=True, help="Also those that were withdrawn.")
@format_option
@place_options
def list_(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **given: Any
) -> None:
    """List statements, without their lines."""
    answer = _ask(LIST, place(config_path, data_dir), given)
    show_rows(answer, chosen_format(output_format), STATEMENT_TABLE)


@statements.command()
@click.argument("statement_id", metavar="ID")
@click.option("--raw", is_flag=True, help="Write what was received, byte for byte.")
@format_option
@place_options
def show(
    statement_id: str,
    raw: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Show one statement, its problems, and what was said of it."""
    at = place(config_path, data_dir)
    if raw:
        with open_books(at.data_dir) as books:
            for data in raw_of(books, statement(books, statement_id).raw_sha256):
                sys.stdout.buffer.write(data)
        return
    answer = _ask(SHOW, at, {"statement_id": statement_id})
    chosen = chosen_format(output_format)
    if chosen == "table":
        for name, value in answer["statement"].items():
            click.echo(f"{name:14} {'-' if value is None else value}")
        for problem in answer["problems"]:
            click.echo(f"problem        {problem}")
    if chosen != "table" or answer["rows"]:
        show_rows(answer, chosen, ("at", "mark", "author", "reason"))


@statements.command()
@click.argument("statement_id", metavar="[ID]", required=False)
@click.option("--basis", type=_BASIS, default="cost", show_default=True, help="What they tell.")
@click.option("--provider", metavar="NAME", help="Only its own.")
@click.option("--account", metavar="ID", help="Only of this account.")
@click.option("--period", metavar="TIME", help="A day, week or month.  [default: month]")
@click.option(
    "--by-bill", is_flag=True, help="By what a statement covers, not by when it was used."
)
@click.option("--first", type=click.IntRange(min=1), help="Number of the first line shown.")
@click.option("--limit", type=click.IntRange(1, 10_000), help="Lines shown.  [default: 1000]")
@format_option
@place_options
def lines(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **given: Any
) -> None:
    """List the lines of a statement; without ID, those that count in a period."""
    answer = _ask(LINES, place(config_path, data_dir), given)
    chosen = chosen_format(output_format)
    if chosen == "csv":
        show_rows(answer, chosen)
        return
    show_rows(answer, chosen, LINE_TABLE)
    if chosen == "table":
        click.echo(f"{len(answer['rows'])} of {answer['total_lines']} lines.")


@statements.command()
@click.option("--basis", type=_BASIS, default="cost", show_default=True, help="What they tell.")
@click.option("--period", metavar="TIME", help="A day, week or month.  [default: all]")
@format_option
@place_options
def shadowed(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **given: Any
) -> None:
    """List what does not count because a preferred source speaks of the same time."""
    answer = _ask(SHADOWED, place(config_path, data_dir), given)
    columns = ("statement_id", "provider", "source", "since", "until", "by")
    show_rows(answer, chosen_format(output_format), columns)


for _command in (invoice, finalize, withdraw, map_):
    statements.add_command(_command)

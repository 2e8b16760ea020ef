"""``tollbook import``: calls out of other tools' logs, each once."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from tollbook.capture.imports.folder import Folder, import_id
from tollbook.capture.imports.kinds import KINDS
from tollbook.capture.imports.mapping import read_mapping
from tollbook.capture.imports.reading import check_readable
from tollbook.capture.imports.run import How, Import
from tollbook.capture.intake import Intake
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.tables import print_table, write_json
from tollbook.console.client import running_ledger
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tollbook.capture.imports.run import Outcome
    from tollbook.cli.options import Place

_FILE: Final = "file"
_SUMMARY: Final = ("import", "rows", "booked", "known", "passed_over", "rejected")
_REFUSED: Final = ("file", "line", "field", "reason")
_INTERRUPTED: Final = 130
_REJECTED: Final = 1


@click.command("import")
@click.argument("kind", type=click.Choice([*KINDS, _FILE]))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--mapping", "mapping_path", type=click.Path(path_type=Path), metavar="FILE",
              help="What the fields mean (kind file only).")  # fmt: skip
@click.option("--provider", metavar="NAME", help="Provider of rows that do not name one.")
@click.option("--tenant-from", metavar="FIELD",
              help="Field of the log that names the tenant, such as end_user.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Read and check every row, and write nothing.")
@format_option
@place_options
def import_(
    kind: str,
    files: tuple[Path, ...],
    mapping_path: Path | None,
    provider: str | None,
    tenant_from: str | None,
    dry_run: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Import calls from logs of LiteLLM, Langfuse, Helicone or OpenRouter, or any other by mapping.

    CSV, JSON, JSON lines and Parquet, also compressed with gzip. Rows that were imported before are
    known again and booked once. Exit code 1 if rows were refused: they are kept with the reason.
    """
    if (kind == _FILE) != (mapping_path is not None):
        raise click.UsageError("kind file, and no other, needs --mapping FILE")
    at = place(config_path, data_dir)
    how = _how(kind, mapping_path, provider, tenant_from, at)
    for path in files:
        check_readable(path)
    name = import_id(how.source, files)
    if dry_run:
        one, outcome = _read(files, how, None, None)
        _show(name, outcome, None, one.examples, None, output_format)
        sys.exit(_REJECTED if outcome.rejected else 0)
    at.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    intake = Intake(at.data_dir, at.config.spool, label="import")
    folder = Folder(at.data_dir, name, files)
    try:
        one, outcome = _read(files, how, intake, folder)
    finally:
        intake.close()
        writers = folder.add_writer(intake.writer_name)
        folder.close()
    booked = _book(at, config_path, writers)
    _show(name, outcome, booked, one.examples, folder, output_format)
    if not outcome.is_done:
        click.echo("tollbook: interrupted; the same command goes on where it stopped", err=True)
        sys.exit(_INTERRUPTED)
    sys.exit(_REJECTED if outcome.rejected else 0)


def _how(
    kind: str, mapping_path: Path | None, provider: str | None, tenant_from: str | None, at: Place
) -> How:
    environment = at.config.gateway.environment
    if mapping_path is not None:
        mapped = read_mapping(mapping_path)
        return How(source=mapped.source, record_of=mapped.record_of, default_provider=provider,
                   tenant_from=tenant_from, default_environment=environment)  # fmt: skip
    return How(source=kind, record_of=KINDS[kind], default_provider=provider,
               tenant_from=tenant_from, default_environment=environment)  # fmt: skip


def _read(
    files: Sequence[Path], how: How, intake: Intake | None, folder: Folder | None
) -> tuple[Import, Outcome]:
    stopped: list[int] = []
    with ExitStack() as stack:
        told = stack.enter_context(_progress(sum(path.stat().st_size for path in files)))
        stack.enter_context(_interrupts(stopped))
        one = Import(
            files, how, spool=intake, folder=folder, on_progress=told,
            is_stopped=lambda: bool(stopped),
        )  # fmt: skip
        return one, one.run()


@contextmanager
def _progress(total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("reading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("reading", total=total_bytes)
        yield lambda done_bytes: bar.update(task, completed=done_bytes)


@contextmanager
def _interrupts(stopped: list[int]) -> Iterator[None]:
    """Let an interrupt end the reading between two rows; a second one ends the program."""
    before: dict[int, Any] = {}

    def stop(number: int, _frame: object) -> None:
        stopped.append(number)
        for known, handler in before.items():
            signal.signal(known, handler)

    for one in (signal.SIGINT, signal.SIGTERM):
        before[one] = signal.signal(one, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _book(at: Place, config_path: Path | None, writers: list[str]) -> int:
    """Have the ledger read what was written; return how many calls are charged by it."""
    if not writers:
        return 0
    running = running_ledger(at.data_dir)
    if running is not None:
        answer = running.do("ingest", [("until", "now"), ("writers", ",".join(writers))])
        return int(answer["booked"])
    # The engine is imported only here: asking a running ledger needs none.
    from tollbook.console.booking import book_files  # noqa: PLC0415 -- see above

    return book_files(at.config, at.data_dir, config_path, writers)


def _show(
    name: str,
    outcome: Outcome,
    booked: int | None,
    examples: list[dict[str, Any]],
    folder: Folder | None,
    output_format: str | None,
) -> None:
    row = {
        "import": name, "rows": outcome.rows, "booked": booked,
        "known": None if booked is None else max(0, outcome.taken - booked),
        "passed_over": outcome.passed_over, "rejected": outcome.rejected,
    }  # fmt: skip
    kept = None if folder is None or not outcome.rejected else str(folder.rejected_path)
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json({**row, "taken": outcome.taken, "rejected_file": kept, "examples": examples})
    elif chosen == "csv":
        sys.stdout.write(csv_text([row], _SUMMARY))
    else:
        print_table([row], _SUMMARY)
        if examples:
            shown = [{field: one[field] for field in _REFUSED} for one in examples]
            print_table(shown, _REFUSED, title="Refused, the first")
        if kept is not None:
            click.echo(f"all of them: {kept}")

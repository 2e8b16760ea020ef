"""``tollbook verify``: recompute the ledger and compare."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import Progress

from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.tables import print_table, write_json
from tollbook.console.client import running_ledger
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.cli.options import Place

_COLUMNS: Final = ("check", "problem", "entry_id", "call_id", "batch_id")


@click.command()
@format_option
@place_options
def verify(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """Recompute every hash, sum, token count and price; exit code 1 if anything differs."""
    answer = _verified(place(config_path, data_dir))
    chosen, findings, total = (
        chosen_format(output_format),
        answer["findings"],
        answer["total_findings"],
    )
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        sys.stdout.write(csv_text(findings, _COLUMNS))
    else:
        if findings:
            print_table(findings, _COLUMNS)
        verdict = f"{total:,} finding(s)" if total else "nothing differs"
        click.echo(
            f"{answer['entries']:,} entries in {answer['batches']:,} batches verified: {verdict}."
        )
        click.echo(f"Hash of the last batch: {answer['head_hash']}")
    if total:
        sys.exit(1)


def _verified(at: Place) -> dict[str, Any]:
    running = running_ledger(at.data_dir)
    err = Console(stderr=True)
    if running is not None:
        with err.status("the running ledger verifies itself ..."):
            return running.do("verify", [])
    # The engine is imported only here: asking a running ledger needs none.
    from tollbook.console.repair import verify_files  # noqa: PLC0415 -- see above

    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("verifying entries", total=None)
        return verify_files(
            at.config, at.data_dir,
            lambda done, count: bar.update(task, completed=done, total=count),
        )  # fmt: skip

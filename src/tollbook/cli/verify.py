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
_CHANGES: Final = ("part", "name", "problem")


@click.command()
@click.option("--period", metavar="MONTH", help="Compare a closed month (2026-10) with its seal.")
@format_option
@place_options
def verify(
    period: str | None, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Recompute every hash, sum, token count and price; exit code 1 if anything differs."""
    if period is not None:
        _verify_period(period, place(config_path, data_dir), config_path, output_format)
        return
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


def _verify_period(
    period: str, at: Place, config_path: Path | None, output_format: str | None
) -> None:
    """Recompute the seal of a closed month, and say what changed and what came later."""
    # Imported here: checking a ledger needs none of finance.
    from tollbook.chargeback.periods.operations import VERIFY  # noqa: PLC0415 -- see above
    from tollbook.cli.finance import ask  # noqa: PLC0415 -- see above

    answer = ask(VERIFY, at, {"period": period}, config_path=config_path)
    chosen, changes = chosen_format(output_format), answer["rows"]
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        sys.stdout.write(csv_text(changes, _CHANGES))
    else:
        if changes:
            print_table(changes, _CHANGES)
        verdict = f"{len(changes):,} difference(s)" if changes else "nothing differs"
        click.echo(f"{period} against its seal {answer['seal'][:16]}: {verdict}.")
        click.echo(
            f"As billed {answer['as_billed_usd']} {answer['currency']}, as known now "
            f"{answer['as_known_now_usd']}: {answer['came_later_calls']:,} calls came later."
        )
    if changes:
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

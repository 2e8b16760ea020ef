"""``tollbook doctor``: what is set, what can be used, what is damaged."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook.budgets.rules import read_rules
from tollbook.capture.gateway.tagging import pseudonym_secret
from tollbook.cli.checkup import (
    Finding,
    check_books,
    check_directory,
    check_ledger,
    check_ports,
    check_receiver,
    check_spool,
)
from tollbook.cli.keycheck import check_keys
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.settings import settings_with_origin
from tollbook.cli.tables import print_table, write_json
from tollbook.config.load import DEFAULT_FILE
from tollbook.console.client import running_ledger
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.cli.options import Place

_CHECKS: Final = ("check", "state", "detail")
_SETTINGS: Final = ("key", "value", "origin")


@click.command()
@click.option(
    "--skip-corrupt", is_flag=True,
    help="Give up the damaged parts of the spool and read on behind them (recorded).",
)  # fmt: skip
@format_option
@place_options
def doctor(
    skip_corrupt: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Check settings, data directory, ledger, spool and ports; exit code 1 if something fails."""
    at = place(config_path, data_dir)
    read_rules(at.config.budgets, str(config_path or DEFAULT_FILE))  # what up refuses, as up does
    pseudonym_secret(at.config, os.environ)
    findings = []
    if skip_corrupt:
        findings += _skip(at, config_path)
    running = running_ledger(at.data_dir)
    findings += [
        *check_directory(at.data_dir),
        *check_keys(at.config, os.environ),
        *check_books(at.data_dir),
        *check_ledger(at.config, at.data_dir),
        *check_spool(at.config, at.data_dir),
        *check_ports(at.config, is_running=running is not None),
        *check_receiver(at.config, is_running=running is not None),
    ]
    settings = settings_with_origin(at.config, config_path, os.environ)
    rows = [dict(zip(_CHECKS, one, strict=True)) for one in findings]
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json({"checks": rows, "settings": settings})
    elif chosen == "csv":
        sys.stdout.write(csv_text(rows, _CHECKS))
    else:
        print_table(settings, _SETTINGS, title="Settings")
        print_table(rows, _CHECKS, title="Checks")
    if any(one.state == "fail" for one in findings):
        sys.exit(1)


def _skip(at: Place, config_path: Path | None) -> list[Finding]:
    """Have every damaged writer skipped, by the running ledger or here."""
    running = running_ledger(at.data_dir)
    if running is not None:
        answers: list[dict[str, Any]] = [
            running.do("skip-corrupt", [("writer", one["writer"])])
            for one in running.status()["writers"]
            if one["state"] == "corrupt"
        ]
    else:
        # The engine is imported only here: asking a running ledger needs none.
        from tollbook.console.repair import skip_corrupt_files  # noqa: PLC0415 -- see above

        answers = skip_corrupt_files(at.config, at.data_dir, config_path)
    if not answers:
        return [Finding("skip corrupt", "ok", "nothing is damaged")]
    return [
        Finding("skip corrupt", "warn", f"{one['writer']}: {one['skipped_bytes']} bytes given up")
        for one in answers
    ]

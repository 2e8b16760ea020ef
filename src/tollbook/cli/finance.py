"""How finance commands ask: the running ledger over its API, or the files if none runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tollbook.cli.tables import print_table, write_json
from tollbook.console.client import running_ledger
from tollbook.reports.tabular import column_names, csv_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tollbook.cli.options import Place
    from tollbook.desk import Operation


def ask(
    operation: Operation,
    where: Place,
    given: Mapping[str, Any],
    *,
    config_path: Path | None = None,
) -> dict[str, Any]:
    """Carry an operation out and return its answer.

    Args:
        operation: what to do.
        where: the settings and the data directory.
        given: the request's fields; None is left out.
        config_path: where the settings were read from.

    Raises:
        TollbookError: of the operation, of the ledger or its files, in one line.
    """
    request = {name: value for name, value in given.items() if value is not None}
    running = running_ledger(where.data_dir)
    if running is not None:
        return running.finance(operation.method, operation.path, request)
    # The engine is imported only here: asking a running ledger needs none.
    from tollbook.cli.progress import shown_progress  # noqa: PLC0415 -- see above
    from tollbook.console.finance import (  # noqa: PLC0415 -- see above
        carry_out,
        local_desk,
        local_settings,
    )

    settings = local_settings(where.config, where.data_dir, config_path)
    with (
        shown_progress(operation.summary) as progress,
        local_desk(settings, writes=operation.writes, progress=progress) as desk,
    ):
        plain = msgspec.json.decode(msgspec.json.encode(request), type=dict[str, Any])
        return carry_out(operation, desk, plain)


def show_rows(
    answer: Mapping[str, Any],
    output_format: str,
    columns: Sequence[str] | None = None,
    *,
    title: str | None = None,
    totals: Mapping[str, Any] | None = None,
) -> None:
    """Write an answer that has ``rows``: as a table, as CSV, or whole as JSON.

    A table without rows is one sentence.
    """
    rows = answer["rows"]
    if output_format == "json":
        write_json(answer)
    elif output_format == "csv":
        sys.stdout.write(csv_text(rows, columns or column_names(rows, ())))
    elif not rows:
        click.echo(f"{title}: none." if title else "None.")
    else:
        print_table(rows, columns or column_names(rows, ()), title=title, totals=totals)

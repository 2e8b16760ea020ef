"""``tollbook sql``: one SELECT over the ledger."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tollbook.cli.finance import show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.console.client import ANSWER_TIMEOUT_S, running_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.cli.options import Place


@click.command()
@click.argument("query", required=False)
@click.option("--tenant", help="Only this tenant's entries.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1_000, show_default=True,
              help="Most rows.")  # fmt: skip
@format_option
@place_options
def sql(
    query: str | None,
    tenant: str | None,
    limit: int,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Answer one SELECT over `entries` (all signed rows) and `calls` (calls as known now).

    QUERY is read from standard input where it is not given. Nothing can be changed by it.
    """
    text = sys.stdin.read() if query is None else query
    answer = _answer(place(config_path, data_dir), text, tenant, limit)
    show_rows(answer, chosen_format(output_format), answer["columns"])
    if answer["has_more"]:
        click.echo(f"there are more than {limit} rows; raise --limit", err=True)


def _answer(where: Place, text: str, tenant: str | None, limit: int) -> dict[str, Any]:
    running = running_ledger(where.data_dir)
    if running is not None:
        body = msgspec.json.encode({"sql": text, "tenant": tenant, "limit": limit})
        return running.request("POST", "/api/v1/sql", [], ANSWER_TIMEOUT_S, body)
    # The engine is imported only here: asking a running ledger needs none.
    from tollbook.console.sql.run import run_sql  # noqa: PLC0415 -- see above
    from tollbook.ledger.store import LEDGER_FILE, connect_readonly  # noqa: PLC0415 -- see above

    memory_limit = where.config.ledger.memory_limit
    with closing(
        connect_readonly(where.data_dir / LEDGER_FILE, memory_limit=memory_limit)
    ) as found:
        answer = run_sql(found.cursor, text, tenant=tenant, limit=limit)
    return msgspec.json.decode(msgspec.json.encode(answer), type=dict[str, Any])

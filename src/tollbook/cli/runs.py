"""``tollbook report run`` and ``tollbook report runs``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from tollbook.cli.options import (
    chosen_format,
    format_option,
    pairs_of,
    place,
    place_options,
    range_options,
)
from tollbook.cli.tables import cell, console, money, print_table, write_json
from tollbook.console.client import open_source
from tollbook.reports.tabular import column_names, csv_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_WAIT: Final = "Have the running ledger read the spool up to now first."
_TABLE_NODES: Final = "100"
_TREE: Final = (
    "tree", "calls", "input_tokens", "output_tokens", "own_cost_usd", "cost_usd", "share_percent",
    "marks",
)  # fmt: skip
_TREE_NARROW: Final = ("output_tokens", "input_tokens", "own_cost_usd", "calls")
_LIST: Final = (
    "run", "tenant", "workflow", "started_at", "calls", "failed_calls", "retry_calls",
    "failed_cost_usd", "retry_cost_usd", "cost_usd",
)  # fmt: skip
_LIST_NARROW: Final = (
    "failed_cost_usd", "retry_cost_usd", "workflow", "retry_calls", "failed_calls", "started_at",
)  # fmt: skip
_TREE_SHARE: Final = 0.45
"""Of the terminal's width, for names; what is longer is cut in the middle."""
_NAME_MIN: Final = 12
_FOUND_AS: Final = {"agent_run_id": "agent run", "trace_id": "trace", "request_id": "request"}


@click.command()
@click.argument("run_id")
@click.option(
    "--limit", metavar="N", help="Nodes shown; the rest is summed.  [default: 100 in a table]"
)
@click.option(
    "--wait", is_flag=True, help="Have the running ledger read the spool up to now first."
)
@format_option
@place_options
def run(
    run_id: str,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    wait: bool,  # noqa: FBT001 -- a command-line flag
    **question: Any,
) -> None:
    """Show the tree of a run: what each agent, step, tool and call of it cost.

    RUN_ID is the id of an agent run, a trace id, or the id of the request that a user made.
    """
    chosen = chosen_format(output_format)
    if chosen == "table" and question["limit"] is None:
        question["limit"] = _TABLE_NODES
    at = place(config_path, data_dir)
    with open_source(at.config, at.data_dir) as source:
        if wait:
            source.catch_up()
        answer = source.run(run_id, pairs_of(question))
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        sys.stdout.write(csv_text(answer["rows"], column_names(answer["rows"])))
        for line in _trust(answer):
            click.echo(line, err=True)
    else:
        _tell(answer)


@click.command()
@range_options
@click.option("--limit", metavar="N", help="Runs, at most 1000.  [default: 50]")
@click.option(
    "--wait", is_flag=True, help="Have the running ledger read the spool up to now first."
)
@format_option
@place_options
def runs(
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    wait: bool,  # noqa: FBT001 -- a command-line flag
    **question: Any,
) -> None:
    """List the runs of agents, the dearest first."""
    chosen = chosen_format(output_format)
    at = place(config_path, data_dir)
    with open_source(at.config, at.data_dir) as source:
        if wait:
            source.catch_up()
        answer = source.ask("runs", pairs_of(question))
    rows = answer["rows"]
    if chosen == "json":
        write_json(answer)
    elif chosen == "csv":
        sys.stdout.write(csv_text(rows, column_names(rows) or _LIST))
    elif rows:
        zone = ZoneInfo(answer["query"]["tz"])
        print_table([_conflicting(row) for row in rows], _LIST, optional=_LIST_NARROW, zone=zone)
    else:
        click.echo("No runs in this range.")


def _conflicting(row: Mapping[str, Any]) -> dict[str, Any]:
    others = row["tenants"] - 1
    return dict(row) | ({"tenant": f"{row['tenant']} and {others} more"} if others > 0 else {})


def _tell(answer: Mapping[str, Any]) -> None:
    totals = answer["totals"]
    kind = _FOUND_AS[answer["found_as"]]
    click.echo(f"{kind.capitalize()} {cell('', answer['run'])}")
    click.echo(f"  from {cell('', totals['started_at'])} to {cell('', totals['last_seen_at'])}")
    for one in answer["tenants"]:
        click.echo(f"  tenant {cell('', one['tenant'])}: {_calls_and_cost(one)}")
    for title in ("failed", "retry"):
        number, cost = totals[f"{title}_calls"], totals[f"{title}_cost_usd"]
        if number:
            click.echo(f"  {title} calls: {number:,}, {money(cost)} {answer['currency']}")
    print_table(tree_rows(answer["rows"], console().width), _TREE, optional=_TREE_NARROW)
    for one in answer["operations"]:
        click.echo(f"{cell('', one['operation'])}: {_calls_and_cost(one)}")
    if answer["inherited"]["calls"]:
        click.echo(f"Named by their trace alone: {_calls_and_cost(answer['inherited'])}")
    for one in answer["sub_runs"]:
        click.echo(f"Run within it {cell('', one['run'])}: {_calls_and_cost(one)}")
    for line in _trust(answer):
        click.echo(line)


def _calls_and_cost(sums: Mapping[str, Any]) -> str:
    number = sums["calls"]
    return f"{number:,} call{'s' * (number != 1)}, {money(sums['cost_usd'])} USD"


def _trust(answer: Mapping[str, Any]) -> list[str]:
    """Say in plain words how far the answer can be trusted."""
    complete = answer["completeness"]
    until = complete["complete_until"]
    lines = [f"Complete until {until}." if until else "Nothing has been ingested yet."]
    lines += [f"Incomplete: {one}." for one in complete["problems"]]
    if complete["estimated_calls"]:
        lines.append(f"{complete['estimated_calls']:,} call(s) with estimated usage.")
    if complete["is_complete"]:
        lines.append("Every span has an end and a known parent, every call a tenant and a price.")
    return lines


def tree_rows(rows: Sequence[Mapping[str, Any]], width: int) -> list[dict[str, Any]]:
    """Return the rows with a column ``tree``: their names behind the branches they hang on."""
    last: set[int] = set()
    seen: set[int | None] = set()
    for row in reversed(rows):
        if row["parent"] not in seen:
            last.add(row["node"])
            seen.add(row["parent"])
    rails: dict[int, str] = {}
    room = max(_NAME_MIN, int(width * _TREE_SHARE))
    shown = []
    for row in rows:
        node, parent = row["node"], row["parent"]
        # No longer than is ever shown: a tree may be thousands of nodes deep.
        above = rails.get(parent, "")[: 2 * room]
        is_last = node in last
        branch = "" if parent is None else above + ("└ " if is_last else "├ ")
        rails[node] = "" if parent is None else above + ("  " if is_last else "│ ")
        name = cell("", f"{_KINDS.get(row['kind'], '')}{row['name']}")
        shown.append(dict(row) | {"tree": _fitted(branch, name, row["depth"], room)})
    return shown


_KINDS: Final = {"agent": "agent ", "tool": "tool ", "step": "step ", "workflow": "workflow "}


def _fitted(branch: str, name: str, depth: int, room: int) -> str:
    """Return a name behind its branch; of a very deep one only how deep it is."""
    if len(branch) + _NAME_MIN > room:
        branch = f"{depth}… "
    left = max(room - len(branch), _NAME_MIN)
    if len(name) > left:
        half = (left - 1) // 2
        name = f"{name[: left - 1 - half]}…{name[len(name) - half :]}"
    return branch + name

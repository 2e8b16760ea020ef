"""The runs of agents in a range, the dearest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Column, Controls, Figure, Figures, Table, View
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.console.pages.context import PageContext

COLUMNS: Final = (
    Column("run", "Run", "name"), Column("tenant", "Tenant", "name"),
    Column("workflow", "Workflow", "name"), Column("started_at", "Started", "time"),
    Column("calls", "Calls", "count"), Column("input_tokens", "Input tokens", "count"),
    Column("output_tokens", "Output tokens", "count"), Column("cost_usd", "Cost", "usd"),
    Column("failed_calls", "Failed", "count"), Column("failed_cost_usd", "Cost of failed", "usd"),
    Column("retry_calls", "Retries", "count"), Column("retry_cost_usd", "Cost of retries", "usd"),
)  # fmt: skip
_SHORT: Final = frozenset(["run", "workflow", "started_at", "calls", "cost_usd"])
_LIMIT: Final = 100
_LIMIT_CSV: Final = 1_000
_PARAMS: Final = ("since", "until", "period", "tz", "where", "limit")


def run_rows(context: PageContext, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return runs as rows of a page: each leads to its tree and its calls."""
    found = []
    for row in rows:
        calls = context.filtered("/calls", "agent_run", row["run"])
        links = {"run": context.url("/run", id=row["run"], where=None), "calls": calls,
                 "cost_usd": calls, "tenant": context.filtered("/runs", "tenant", row["tenant"]),
                 "workflow": context.filtered("/runs", "workflow", row["workflow"])}  # fmt: skip
        tone = {"_tone": "warn"} if row["tenants"] > 1 else {}
        found.append(row | {"_links": links} | tone)
    return found


def dearest_runs(context: PageContext, number: int, where: Iterable[str] = ()) -> Table:
    """Return the dearest runs of a page's range, in a few columns."""
    pairs = context.query_pairs(where=where, limit=number)
    report = context.house.answers.runs([pair for pair in pairs if pair[0] in _PARAMS])
    return Table(
        name="runs", title="Dearest runs", rows=run_rows(context, report.rows),
        columns=tuple(column for column in COLUMNS if column.name in _SHORT),
        empty="No call in this range names an agent run (x-tollbook-agent-run).",
    )  # fmt: skip


def runs(context: PageContext) -> View:
    """Return the dearest runs, and what a run costs on average and at most."""
    context.check_zone()
    limit = _LIMIT_CSV if context.wanted == "csv" else _LIMIT
    pairs = [pair for pair in context.query_pairs(limit=limit) if pair[0] in _PARAMS]
    report = context.house.answers.runs(pairs)
    units = context.house.answers.per("run", context.query_pairs())
    totals = units.totals
    figures = Figures(
        items=(
            Figure(label="Runs", value=totals["units"], kind="count"),
            Figure(label="Cost of runs", value=totals["cost_usd"], kind="usd"),
            Figure(label="Cost per run", value=totals["cost_per_unit_usd"], kind="amount"),
            Figure(label="Dearest run", value=totals["largest_unit_usd"], kind="amount"),
            Figure(label="Calls in no run", value=totals["unnamed_calls"], kind="count",
                   url=context.filtered("/calls", "agent_run", None)),
        )
    )  # fmt: skip
    table = Table(
        name="runs", columns=COLUMNS, rows=run_rows(context, report.rows),
        note=f"The dearest {limit:,} at most. A run with several tenants is marked: it is a "
        "conflict, and the first by name is shown.",
        empty="No call in this range names an agent run. Send x-tollbook-agent-run, or use the "
        "SDK's run().",
    )  # fmt: skip
    return View(
        title="Runs", sections=(figures, table), controls=Controls(), tz=context.tz,
        completeness=units.completeness,
        subtitle="What agents did to answer one request: calls that belong together.",
        command=context.command("report", "runs", limit=limit),
    )  # fmt: skip


PAGES: Final = (Page("/runs", "Runs", runs, Permit(Scope.CALLS), group="Spend"),)

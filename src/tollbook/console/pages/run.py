"""The tree of one run: what each agent, step, tool and call cost, and when it ran."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.charts import waterfall
from tollbook.console.pages.page import Page
from tollbook.console.pages.parts import EMPTY
from tollbook.console.pages.shown import usd
from tollbook.console.pages.view import (
    Chart,
    Choice,
    Column,
    Figure,
    Figures,
    Grid,
    Notice,
    Section,
    Table,
    View,
)
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.reports.runs import RunReport

_COLUMNS: Final = (
    Column("name", "What", "name"),
    Column("cost_usd", "Cost with all below", "usd"), Column("own_cost_usd", "Own cost", "usd"),
    Column("share_percent", "Of the one above", "share"), Column("kind", "Kind"),
    Column("status", "Status", "state"), Column("calls", "Calls", "count"),
    Column("failed_calls", "Failed", "count"), Column("retry_calls", "Retries", "count"),
    Column("started_at", "Started", "time"), Column("duration_s", "Took", "seconds"),
    Column("marks", "Remarks"),
)  # fmt: skip
_BARS_MAX: Final = 80
_SHORT: Final = (Column("calls", "Calls", "count"), Column("cost_usd", "Cost", "usd"))
_LIMIT: Final = "200"
"""Lines of the tree; what is left out is added up in lines of their own."""


def run(context: PageContext) -> View:
    """Return the tree of a run: an agent run, a trace or a request is ``id``."""
    wanted = context.need("id", "the id of an agent run, a trace or a request")
    report = context.house.answers.run(wanted, [("limit", context.get("limit") or _LIMIT)])
    state = report.completeness
    sections: list[Section] = [_figures(context, report)]
    if not state.is_complete:
        sections.append(Notice(text=f"Not complete: {'; '.join(state.problems)}."))
    sections += [
        *_waterfall(report),
        _tree(context, report),
        Grid(sections=_beside(context, report)),
    ]
    return View(
        title=f"Run {report.run}", sections=tuple(sections), tz=context.tz,
        subtitle=f"found as {report.found_as.replace('_', ' ')}",
        trail=(Choice("Runs", context.url("/runs")),),
        command=f"tollbook report run {shlex.quote(report.run)}",
    )  # fmt: skip


def _figures(context: PageContext, report: RunReport) -> Figures:
    totals = report.totals
    dimension = {"agent_run_id": "agent_run", "trace_id": "trace", "request_id": "request"}
    calls = context.filtered("/calls", dimension.get(report.found_as, "agent_run"), report.run)
    return Figures(
        items=(
            Figure(label="Cost", value=totals["cost_usd"], kind="usd", url=calls,
                   tone="plain" if report.completeness.is_complete else "warn",
                   note=None if report.completeness.is_complete else "of what is known"),
            Figure(label="Calls", value=totals["calls"], kind="count", url=calls),
            Figure(label="Failed calls", value=totals["failed_calls"], kind="count",
                   note=f"{usd(totals['failed_cost_usd'])} spent on them"),
            Figure(label="Retries", value=totals["retry_calls"], kind="count",
                   note=f"{usd(totals['retry_cost_usd'])} spent on them"),
            Figure(label="Started", value=totals["started_at"], kind="time"),
            Figure(label="Last seen", value=totals["last_seen_at"], kind="time"),
        )
    )  # fmt: skip


def _tree(context: PageContext, report: RunReport) -> Table:
    rows = []
    for row in report.rows:
        took = row["duration_ms"]
        links = {}
        if row["call_id"]:
            links = {"name": context.url("/call", id=row["call_id"], where=None)}
            links["cost_usd"] = links["name"]
        seconds = None if took is None else f"{took // 1000}.{took % 1000:03}"
        more: dict[str, Any] = {"_links": links, "_depth": row["depth"], "duration_s": seconds}
        if row["status"] in ("error", "interrupted"):
            more["_tone"] = "bad"
        elif row["marks"]:
            more["_tone"] = "warn"
        rows.append(row | more)
    return Table(
        name="tree", title="Tree", columns=_COLUMNS, rows=rows, empty=EMPTY,
        note="Each line comes after the one it belongs to, indented below it. Own costs add up to "
        "the cost of the run: cost is on calls only, never on a node and what is below it twice.",
    )  # fmt: skip


def _waterfall(report: RunReport) -> list[Chart]:
    timed = [row for row in report.rows if row["started_at"] and row["duration_ms"] is not None]
    if len(timed) < 2:  # noqa: PLR2004 -- one bar tells nothing
        return []
    starts = [datetime.fromisoformat(row["started_at"]) for row in timed]
    first = min(starts)
    values = [
        {
            "name": f"{row['node']} {row['name']}",
            "from_s": (start - first).total_seconds(),
            "to_s": (start - first).total_seconds() + row["duration_ms"] / 1000,
            "kind": "failed" if row["status"] == "error" else row["kind"],
        }
        for row, start in list(zip(timed, starts, strict=True))[:_BARS_MAX]
    ]
    return [
        Chart(
            name="waterfall", title="When what ran", values=values,
            spec=waterfall("name", "from_s", "to_s", "kind", title="seconds since the first"),
            summary=f"{len(values)} calls and spans over time, in the order of the tree.",
            height=60 + 18 * len(values),
        )
    ]  # fmt: skip


def _beside(context: PageContext, report: RunReport) -> tuple[Table, ...]:
    tenants = [
        row | {"_links": {"tenant": context.url("/tenant", id=row["tenant"], where=None)}}
        for row in report.tenants
    ]
    subs = [row | {"_links": {"run": context.url(id=row["run"])}} for row in report.sub_runs]
    tables = [
        Table(name="tenants", title="Tenants", rows=tenants, note="More than one is a conflict.",
              columns=(Column("tenant", "Tenant", "name"), *_SHORT)),
        Table(name="operations", title="Operations", rows=report.operations,
              columns=(Column("operation", "Operation"), *_SHORT)),
    ]  # fmt: skip
    if subs:
        tables.append(Table(name="sub_runs", title="Runs started within", rows=subs,
                            columns=(Column("run", "Run", "name"), *_SHORT)))  # fmt: skip
    return tuple(tables)


PAGES: Final = (Page("/run", "Run", run, Permit(Scope.CALLS)),)

"""All tenants: what each cost, what changed, what one of its requests costs, its budget, margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages import beside, parts
from tollbook.console.pages.page import Page
from tollbook.console.pages.ranking import ranking
from tollbook.console.pages.view import Choice, Column, Controls, Figures, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.console.pages.context import PageContext

_UNIT_COLUMNS: Final = (
    Column("calls", "Calls", "count", sort="-calls"),
    Column("cost_usd", "Cost", "usd", sort="-cost_usd"),
    Column("requests", "Requests", "count", "as the application names them (x-tollbook-request)"),
    Column("cost_per_request_usd", "Cost per request", "amount"),
    Column("largest_request_usd", "Dearest request", "amount"),
    Column("runs", "Runs", "count"),
    Column("cost_per_run_usd", "Cost per run", "amount"),
)
_MARGIN_COLUMNS: Final = (
    Column("calls", "Calls", "count", sort="-calls"),
    Column("cost_usd", "Cost", "usd", sort="-cost_usd"),
    Column("billable_usd", "Billable", "amount", "what its billing rule charges", "-billable_usd"),
    Column("revenue_usd", "Revenue", "amount", "of invoices, as recognised"),
    Column("margin_percent", "Margin", "percent", "gross margin over the cost of calls"),
    Column("budget", "Budget used", "share", "of the budget nearest to its limit"),
)
_COST, _UNITS, _MARGIN = "cost", "units", "margin"


def tenants(context: PageContext) -> View:
    """Return a page of tenants, by cost, unit costs or margin (``show``)."""
    context.check_zone()
    show = context.get("show") or _COST
    measures = ("calls", "errors", "cost_usd", *(("billable_usd",) if show == _MARGIN else ()))
    found = ranking(context, "tenant", measures=measures)
    columns: Sequence[Column] = parts.COST_COLUMNS
    if show == _UNITS:
        columns = _UNIT_COLUMNS
        found = found._replace(rows=_with_units(context, found.rows))
    elif show == _MARGIN:
        columns = _MARGIN_COLUMNS
        found = found._replace(rows=_with_margin(context, found.rows))
    table = parts.ranked_table(
        context, "tenant", "Tenant", name="tenants", found=found, columns=columns
    )
    tabs = tuple(
        Choice(words, context.url(show=name, page=None), show == name)
        for name, words in (
            (_COST, "Cost and change"), (_UNITS, "Unit costs"), (_MARGIN, "Margin and budget"),
        )
    )  # fmt: skip
    totals = found.report.totals
    before = parts.before_totals(context, measures=("calls", "cost_usd"))
    figures = Figures(
        items=(
            parts.spend_figure(context, totals, before),
            parts.count_figure("Calls", "calls", totals, before, context.url("/calls")),
            *parts.number_figure("Tenants", found),
        )
    )
    return View(
        title="Tenants", sections=(figures, table), controls=Controls(tabs=tabs),
        completeness=found.report.completeness, tz=context.tz,
        command=context.command("report", "spend", by=("tenant",), measures=measures,
                                order=("-cost_usd",)),
    )  # fmt: skip


def _with_units(context: PageContext, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = [row["tenant"] for row in rows if not row.get("is_other")]
    if not names:
        return rows
    pairs = context.query_pairs(by=("tenant",), where=parts.only("tenant", names))
    requests = {row["tenant"]: row for row in context.house.answers.per("request", pairs).rows}
    runs = {row["tenant"]: row for row in context.house.answers.per("run", pairs).rows}

    def units(name: str) -> dict[str, Any]:
        request, run = requests.get(name, {}), runs.get(name, {})
        return {
            "requests": request.get("units"),
            "cost_per_request_usd": request.get("cost_per_unit_usd"),
            "largest_request_usd": request.get("largest_unit_usd"),
            "runs": run.get("units"), "cost_per_run_usd": run.get("cost_per_unit_usd"),
        }  # fmt: skip

    return [row if row.get("is_other") else row | units(row["tenant"]) for row in rows]


def _with_margin(context: PageContext, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    margins = beside.margins(context)
    budgets = beside.budget_used(context)

    def more(name: str) -> dict[str, Any]:
        margin = margins.get(name, {})
        return {
            "revenue_usd": margin.get("revenue_usd"),
            "margin_percent": margin.get("margin_percent"),
            "budget": budgets.get(name),
        }

    return [row if row.get("is_other") else row | more(row["tenant"]) for row in rows]


PAGES: Final = (Page("/tenants", "Tenants", tenants, group="Spend"),)

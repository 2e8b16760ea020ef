"""The first page: what was spent, what changed, and what cannot be trusted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.charts import stacked_bars
from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Chart, Column, Controls, Figure, Figures, Table, View

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_MEASURES: Final = ("calls", "errors", "input_tokens", "output_tokens", "cost_usd")
_SHOWN: Final = 10


def overview(context: PageContext) -> View:
    """Return the overview of the page's range."""
    total = context.spend(measures=_MEASURES)
    days = context.spend(by=("day", "provider"), measures=("cost_usd",))
    top = context.spend(by=("tenant",), measures=_MEASURES, order=("-cost_usd",), limit=_SHOWN)
    sums = total.totals
    figures = Figures(
        items=(
            Figure(label="Spend", value=sums["cost_usd"], kind="usd", url=context.url("/calls")),
            Figure(label="Calls", value=sums["calls"], kind="count", url=context.url("/calls")),
            Figure(label="Input tokens", value=sums["input_tokens"], kind="count"),
            Figure(label="Output tokens", value=sums["output_tokens"], kind="count"),
        )
    )
    chart = Chart(
        name="days", title="Spend by day", values=days.rows,
        spec=stacked_bars("day", "cost_usd", "provider", title="USD"),
        summary="Spend of each day by provider.",
    )  # fmt: skip
    return View(
        title="Overview", sections=(figures, chart, _tenants(context, top.rows)),
        controls=Controls(), completeness=total.completeness, tz=context.tz,
        command=context.command("report", by=("tenant",)),
    )  # fmt: skip


def _tenants(context: PageContext, rows: list[dict[str, Any]]) -> Table:
    linked = [
        row
        if row.get("is_other")
        else row | {"_links": {"tenant": context.filtered("/calls", "tenant", row["tenant"])}}
        for row in rows
    ]
    columns = (
        Column("tenant", "Tenant"), Column("calls", "Calls", "count"),
        Column("errors", "Errors", "count"), Column("cost_usd", "Cost", "usd"),
    )  # fmt: skip
    return Table(name="tenants", title="Largest tenants", columns=columns, rows=linked)


PAGES: Final = (Page("/", "Overview", overview, group="Spend"),)

"""The first page: what was spent, what changed, and what cannot be trusted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages import parts
from tollbook.console.pages.page import Page
from tollbook.console.pages.ranking import ranking
from tollbook.console.pages.series import over_time
from tollbook.console.pages.view import (
    Column,
    Controls,
    Figure,
    Figures,
    Grid,
    Notice,
    Section,
    Table,
    View,
)
from tollbook.money import pico_from_usd
from tollbook.reports.exact_ratio import percent

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.reports.spend import SpendReport

_STACKS: Final = (("provider", "provider"), ("model", "model"), ("tenant", "tenant"),
                  ("feature", "feature"))  # fmt: skip
_SHOWN: Final = 8
_COLUMNS: Final = (
    Column("cost_usd", "Cost", "usd"),
    Column("change_percent", "Change", "change", "in cost, against the same time before"),
)
_LISTS: Final = (
    ("tenant", "Tenant", "tenants", "Largest tenants"),
    ("feature", "Feature", "features", "Largest features"),
    ("model", "Model", "models", "Largest models"),
)


def overview(context: PageContext) -> View:
    """Return the overview of the page's range."""
    context.check_zone()
    whole = context.spend(measures=parts.HEAD)
    before = parts.before_totals(context, measures=parts.HEAD)
    by = context.get("by") or "provider"
    chart, numbers = parts.time_chart(context, by, over_time(context, by))
    sections: list[Section] = [_figures(context, whole, before)]
    if not whole.totals["calls"]:
        sections.append(
            Notice(text="No calls in this range.", tone="plain", url="/getting_started",
                   action="How to send the first one")
            if context.has_page("/getting_started")
            else Notice(text=parts.EMPTY, tone="plain")
        )  # fmt: skip
    sections += [chart, Grid(sections=(*_lists(context), *_incidents(context),
                                       *_budgets(context))), numbers]  # fmt: skip
    return View(
        title="Overview", sections=tuple(sections), completeness=whole.completeness, tz=context.tz,
        controls=Controls(
            choices=(
                parts.choice_of(context, "by", "by", _STACKS, "provider"),
                parts.grain_choices(context),
            )
        ),
        command=context.command("report", by=(chart_by(context), by)),
    )  # fmt: skip


def chart_by(context: PageContext) -> str:
    """Return the steps of the page's chart, as a dimension."""
    from tollbook.console.pages.range import grain_of  # noqa: PLC0415 -- one name

    return grain_of(context)


def _figures(context: PageContext, whole: SpendReport, before: dict[str, Any] | None) -> Figures:
    totals, state = whole.totals, whole.completeness
    return Figures(
        items=(
            parts.spend_figure(context, totals, before),
            *_forecast(context),
            parts.count_figure("Calls", "calls", totals, before, context.url("/calls")),
            parts.cost_per_call(totals, before),
            parts.error_figure(context, totals),
            parts.cache_figure(context, totals),
            Figure(
                label="Unattributed", kind="percent", url=context.url("/quality"),
                value=_share(state.unattributed.cost_usd, totals["cost_usd"]),
                tone="warn" if state.unattributed.calls else "plain",
                note=f"of the cost: {state.unattributed.calls:,} calls without a tenant",
            ),
            Figure(
                label="Unpriced", kind="percent", url=context.url("/quality"),
                value=percent(state.unpriced.calls, totals["calls"]),
                tone="bad" if state.unpriced.calls else "plain",
                note=f"of the calls: {state.unpriced.calls:,} with unknown cost",
            ),
        )
    )  # fmt: skip


def _share(part: str | None, whole: str | None) -> str | None:
    if part is None or whole is None:
        return None
    return percent(pico_from_usd(part), pico_from_usd(whole))


def _forecast(context: PageContext) -> list[Figure]:
    answer = context.try_ask("insights.forecast", tz=context.tz)
    if answer is None or not isinstance(answer.get("month_end_usd"), str):
        return []
    low, high = answer.get("low_usd"), answer.get("high_usd")
    note = "estimate for all tenants"
    if low is not None and high is not None:
        from tollbook.console.pages.shown import usd  # noqa: PLC0415 -- words only

        note = f"estimate; likely {usd(low)} to {usd(high)}"
    return [
        Figure(label="Month-end forecast", value=answer["month_end_usd"], kind="usd", note=note,
               url=context.url("/forecast") if context.has_page("/forecast") else None)
    ]  # fmt: skip


def _lists(context: PageContext) -> list[Table]:
    return [
        parts.ranked_table(
            context, dimension, label, name=name, title=title, columns=_COLUMNS, has_pages=False,
            found=ranking(context, dimension, measures=("calls", "cost_usd"), rows_on_page=_SHOWN),
        )
        for dimension, label, name, title in _LISTS
    ]  # fmt: skip


def _incidents(context: PageContext) -> list[Table]:
    answer = context.try_ask("incidents.list", state="open")
    rows = [] if answer is None else answer.get("rows", [])
    if not rows:
        return []
    columns = (Column("title", "What", "name"), Column("cost_usd", "Dollars", "usd"),
               Column("opened_at", "Since", "time"))  # fmt: skip
    shown = [
        {column.name: row.get(column.name) for column in columns}
        | {"_links": {"title": f"/incidents?id={row.get('id', '')}"}}
        for row in rows[:_SHOWN]
    ]
    return [Table(name="incidents", title="Open incidents", columns=columns, rows=shown)]


def _budgets(context: PageContext) -> list[Table]:
    answer = context.try_ask("budgets.standing")
    rows = [] if answer is None else answer.get("rows", [])
    near = [row for row in rows if _used(row) >= _NEAR_PERCENT]
    if not near:
        return []
    columns = (Column("rule", "Budget", "name"), Column("entity", "For", "name"),
               Column("used_percent", "Used", "share"))  # fmt: skip
    near.sort(key=_used, reverse=True)
    shown = [{column.name: row.get(column.name) for column in columns} for row in near[:_SHOWN]]
    return [Table(name="budgets", title="Budgets near their limit", columns=columns, rows=shown)]


_NEAR_PERCENT: Final = 80


def _used(row: dict[str, Any]) -> float:
    try:
        return float(row.get("used_percent") or 0)
    except ValueError:
        return 0


PAGES: Final = (Page("/", "Overview", overview, group="Spend"),)

"""The first page: what was spent, what changed, and what cannot be trusted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages import beside, parts
from tollbook.console.pages.page import Page
from tollbook.console.pages.range import grain_of
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
            Notice(text="No calls in this range.", tone="plain", url="/getting-started",
                   action="How to send the first one")
            if context.has_page("/getting-started")
            else Notice(text=parts.EMPTY, tone="plain")
        )  # fmt: skip
    near = [row for row in beside.budget_rows(context) if beside.is_near(row)]
    urgent = (
        *beside.incidents_table(context),
        *beside.budgets_table(context, near, "Budgets near their limit"),
    )
    sections += [Grid(sections=urgent)] if urgent else []
    sections += [chart, numbers, Grid(sections=tuple(_lists(context)))]
    return View(
        title="Overview", sections=tuple(sections), completeness=whole.completeness, tz=context.tz,
        controls=Controls(
            choices=(
                parts.choice_of(context, "by", "by", _STACKS, "provider"),
                parts.grain_choices(context),
            )
        ),
        command=context.command("report", "spend", by=(grain_of(context), by)),
    )  # fmt: skip


def _figures(context: PageContext, whole: SpendReport, before: dict[str, Any] | None) -> Figures:
    totals, state = whole.totals, whole.completeness
    return Figures(
        items=(
            parts.spend_figure(context, totals, before),
            *beside.forecast(context),
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
                label="Unpriced", kind="count", url=context.url("/quality"),
                value=state.unpriced.calls, tone="bad" if state.unpriced.calls else "plain",
                note="calls with unknown cost",
            ),
        )
    )  # fmt: skip


def _share(part: str | None, whole: str | None) -> str | None:
    if part is None or whole is None:
        return None
    return percent(pico_from_usd(part), pico_from_usd(whole))


def _lists(context: PageContext) -> list[Table]:
    return [
        parts.ranked_table(
            context, dimension, label, name=name, title=title, columns=_COLUMNS, has_pages=False,
            found=ranking(context, dimension, measures=("calls", "cost_usd"), rows_on_page=_SHOWN),
        )
        for dimension, label, name, title in _LISTS
    ]  # fmt: skip


PAGES: Final = (Page("/", "Overview", overview, group="Spend"),)

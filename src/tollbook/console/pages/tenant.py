"""One tenant on one page: what it cost, of what, by whom, its budgets, its margin, its bills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages import beside, parts
from tollbook.console.pages.calls import dearest
from tollbook.console.pages.kinds import kind_table
from tollbook.console.pages.links import with_links
from tollbook.console.pages.page import Page
from tollbook.console.pages.range import grain_of
from tollbook.console.pages.ranking import ranking
from tollbook.console.pages.runs import dearest_runs
from tollbook.console.pages.series import over_time
from tollbook.console.pages.view import (
    Choice,
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
from tollbook.desk.permits import Permit, Scope
from tollbook.reports.measures import COMPONENTS
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.console.pages.context import PageContext

_STACKS: Final = (("feature", "feature"), ("model", "model"), ("user", "user"))
_FEW: Final = (
    Column("calls", "Calls", "count"), Column("cost_usd", "Cost", "usd"),
    Column("change_percent", "Change", "change", "in cost, against the same time before"),
)  # fmt: skip
_SHOWN: Final = 8
_CELLS: Final = 25
_CROSS: Final = ("calls", "input_tokens", "cache_read_tokens", "output_tokens", "cost_usd")


def tenant(context: PageContext) -> View:
    """Return the page of the tenant ``id``; other filters narrow it."""
    name = context.need("id", "the name of a tenant")
    context.check_zone()
    only = parts.only("tenant", [name])
    measures = tuple(dict.fromkeys([*parts.HEAD, "billable_usd", *TOKEN_KINDS, *COMPONENTS]))
    whole = context.spend(measures=measures, where=only)
    before = parts.before_totals(context, measures=parts.HEAD, where=only)
    by = context.get("by") or "feature"
    chart, numbers = parts.time_chart(context, by, over_time(context, by, where=only))
    sections: list[Section] = [_figures(context, name, whole.totals, before, only)]
    if not whole.totals["calls"]:
        sections.append(Notice(
            text=f"No calls of {name} in this range.", tone="plain",
            url=context.url(since="365d", until=None, period=None), action="Look at 12 months",
        ))  # fmt: skip
    sections += [*_urgent(context, name), chart, numbers]
    sections.append(Grid(sections=tuple(_lists(context, only))))
    sections += [_cross(context, only), kind_table(whole.totals, "Token kinds")]
    if context.may(Permit(Scope.CALLS)):
        sections.append(Grid(sections=(
            dearest(context, _SHOWN, only), dearest_runs(context, _SHOWN, only),
        )))  # fmt: skip
    return View(
        title=name, subtitle="Tenant", sections=tuple(sections), tz=context.tz,
        trail=(Choice("Tenants", context.url("/tenants")),), actions=_actions(context, name),
        completeness=whole.completeness,
        controls=Controls(
            choices=(parts.choice_of(context, "by", "by", _STACKS, "feature"),
                     parts.grain_choices(context))
        ),
        command=context.command("report", "spend", by=(grain_of(context), by), where=only),
    )  # fmt: skip


def _figures(
    context: PageContext, name: str, totals: dict[str, Any], before: dict[str, Any] | None,
    only: Sequence[str],
) -> Figures:  # fmt: skip
    calls = context.filtered("/calls", "tenant", name)
    spend = parts.spend_figure(context, totals, before)
    figures = [
        Figure(label=spend.label, value=spend.value, kind="usd", note=spend.note,
               change_percent=spend.change_percent, url=calls),
        *beside.forecast(context, only),
        parts.count_figure("Calls", "calls", totals, before, calls),
        parts.cost_per_call(totals, before),
        parts.error_figure(context, totals, f"{calls}&where=status%3Derror"),
        parts.cache_figure(context, totals),
    ]  # fmt: skip
    if totals["billable_usd"] is not None:
        figures.append(Figure(label="Billable", value=totals["billable_usd"], kind="usd",
                              note="by its billing rule"))  # fmt: skip
    margin = beside.margins(context).get(name)
    if margin is not None:
        figures.append(Figure(
            label="Gross margin", value=margin.get("margin_percent"), kind="percent",
            note="no revenue is known" if margin.get("margin_percent") is None else None,
            url=context.url("/margin", where=None) if context.has_page("/margin") else None,
        ))  # fmt: skip
    return Figures(items=tuple(figures))


def _urgent(context: PageContext, name: str) -> list[Section]:
    tables = (
        *beside.incidents_table(context, name),
        *beside.budgets_table(context, beside.budget_rows(context, name), "Budgets"),
    )
    return [Grid(sections=tables)] if tables else []


def _lists(context: PageContext, only: Sequence[str]) -> list[Table]:
    found = []
    for dimension, label, title in (
        ("feature", "Feature", "Features"), ("model", "Model", "Models"), ("user", "User", "Users"),
    ):  # fmt: skip
        ranked = ranking(context, dimension, measures=("calls", "cost_usd"), where=only,
                         rows_on_page=_SHOWN)  # fmt: skip
        table = parts.ranked_table(
            context, dimension, label, name=title.lower(), title=title, found=ranked,
            columns=_FEW, has_pages=False, where=only,
        )  # fmt: skip
        found.append(table)
    return found


def _cross(context: PageContext, only: Sequence[str]) -> Table:
    by = ("feature", "model")
    limit = None if context.wanted == "csv" else _CELLS
    report = context.spend(
        by=by, measures=_CROSS, order=("-cost_usd",), where=only, limit=limit
    )  # fmt: skip
    rows = with_links(context, report.rows, "feature", where=only)
    for row in rows:
        if "_links" in row:
            where = [*context.all("where"), *only, *parts.only("feature", [row["feature"]]),
                     *parts.only("model", [row["model"]])]  # fmt: skip
            calls = context.url("/calls", where=where)
            row["_links"] |= {"calls": calls, "cost_usd": calls}
    columns = (
        Column("feature", "Feature", "name"), Column("model", "Model", "name"),
        Column("calls", "Calls", "count"), Column("input_tokens", "Input tokens", "count"),
        Column("cache_read_tokens", "of them from cache", "count"),
        Column("output_tokens", "Output tokens", "count"), Column("cost_usd", "Cost", "usd"),
    )  # fmt: skip
    return Table(name="features_models", title="Features by model", columns=columns, rows=rows,
                 total=report.totals, empty=parts.EMPTY)  # fmt: skip


def _actions(context: PageContext, name: str) -> tuple[Choice, ...]:
    offered: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("Calls", "/calls", {"where": parts.only("tenant", [name])}),
        ("Explore", "/explorer", {"where": parts.only("tenant", [name])}),
        ("Statement", "/statements", {"tenant": name, "where": None}),
        ("Budgets", "/budgets", {"where": None}),
        ("Portal link", "/portals", {"tenant": name, "where": None}),
    )
    return tuple(
        Choice(words, context.url(path, **given))
        for words, path, given in offered
        if context.has_page(path)
    )


PAGES: Final = (Page("/tenant", "Tenant", tenant),)

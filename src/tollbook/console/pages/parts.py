"""Pieces that several pages of spend have: figures, the chart over time, choices, tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from tollbook.console.pages import series
from tollbook.console.pages.charts import linked, stacked_bars
from tollbook.console.pages.links import with_links
from tollbook.console.pages.range import GRAINS, grain_of, previous
from tollbook.console.pages.ranking import PAGE_ROWS, change, page_number, ranking
from tollbook.console.pages.shown import usd
from tollbook.console.pages.view import Chart, Choice, Choices, Column, Figure, Table
from tollbook.money import pico_from_usd
from tollbook.reports.exact_ratio import percent, usd_each
from tollbook.reports.measures import is_money
from tollbook.reports.params import format_filter
from tollbook.reports.query import Filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.ranking import Ranking
    from tollbook.console.pages.series import Series

HEAD: Final = (
    "calls", "errors", "input_tokens", "output_tokens", "uncached_input_tokens",
    "cache_read_tokens", "cost_usd",
)  # fmt: skip
"""Measures of the figures at the head of a page."""
EXPLORED: Final = ("by", "and", "measure", "top", "per", "compare")
"""Parameters of the explorer that say what it shows."""
BEFORE: Final = "against the same time before"


def before_totals(context: PageContext, **asked: Any) -> dict[str, Any] | None:
    """Return the totals of the range before a page's; None where there is none."""
    pairs = previous(context)
    return None if pairs is None else context.spend(range_pairs=pairs, **asked).totals


def spend_figure(
    context: PageContext, totals: dict[str, Any], before: dict[str, Any] | None
) -> Figure:
    """Return what was spent, and what that changed."""
    now = totals["cost_usd"]
    changed = change(now, None if before is None else before["cost_usd"])
    note = None
    if changed["change_usd"] is not None and before is not None:
        note = _change_words(changed["change_usd"], before["cost_usd"])
    return Figure(
        label="Spend", value=now, kind="usd", url=context.url("/calls"), note=note,
        change_percent=changed["change_percent"],
    )  # fmt: skip


def plain_spend(totals: dict[str, Any]) -> Figure:
    """Return what was spent, without a comparison."""
    return Figure(label="Spend", value=totals["cost_usd"], kind="usd")


def _change_words(difference: str, before: str) -> str:
    sign = "" if difference.startswith("-") else "+"
    return f"{sign}{usd(difference)} {BEFORE} ({usd(before)})"


def count_figure(
    label: str, name: str, totals: dict[str, Any], before: dict[str, Any] | None,
    url: str | None = None,
) -> Figure:  # fmt: skip
    """Return a count, and its change in percent."""
    now = totals[name]
    then = None if before is None else before[name]
    changed = None if now is None or then is None else percent(now - then, then)
    return Figure(label=label, value=now, kind="count", url=url, change_percent=changed)


def cost_per_call(totals: dict[str, Any], before: dict[str, Any] | None) -> Figure:
    """Return what a call costs on average, and its change."""

    def each(sums: dict[str, Any] | None) -> str | None:
        if sums is None or sums["cost_usd"] is None or not sums["calls"]:
            return None
        return usd_each(pico_from_usd(sums["cost_usd"]), sums["calls"])

    changed = change(each(totals), each(before))
    return Figure(
        label="Cost per call", value=each(totals) if totals["calls"] else "", kind="usd",
        change_percent=changed["change_percent"],
    ) if totals["calls"] else Figure(label="Cost per call", value=None)  # fmt: skip


def error_figure(context: PageContext, totals: dict[str, Any], url: str | None = None) -> Figure:
    """Return the share of calls that failed."""
    share = percent(totals["errors"], totals["calls"]) if totals["calls"] else None
    return Figure(
        label="Errors", value=share, kind="percent", note=f"{totals['errors']:,} calls",
        url=url or context.filtered("/calls", "status", "error"),
    )  # fmt: skip


def cache_figure(context: PageContext, totals: dict[str, Any]) -> Figure:
    """Return the share of the input that was read from the provider's cache."""
    read, whole = totals["cache_read_tokens"], totals["input_tokens"]
    share = percent(read or 0, whole) if whole else None
    return Figure(
        label="Cache hit rate", value=share, kind="percent", url=context.url("/models"),
        note="of input tokens read from the provider's cache",
    )  # fmt: skip


def number_figure(label: str, found: Ranking) -> list[Figure]:
    """Return how many rows a ranking has in all, where it is known."""
    return [] if found.number is None else [Figure(label=label, value=found.number, kind="count")]


def grain_choices(context: PageContext) -> Choices:
    """Return the choice of steps."""
    now = grain_of(context)
    return Choices(
        "per", tuple(Choice(one, context.url(per=one), one == now) for one in GRAINS)
    )  # fmt: skip


def choice_of(
    context: PageContext, label: str, name: str, options: Sequence[tuple[str, str]], default: str,
    *, forget: Sequence[str] = (),
) -> Choices:  # fmt: skip
    """Return a choice kept in a parameter of the page's URL: value and words of each option.

    ``forget`` are parameters that another choice makes meaningless; ``page`` always is.
    """
    now = context.get(name) or default
    gone: dict[str, Any] = dict.fromkeys(("page", *forget))
    return Choices(
        label,
        tuple(
            Choice(words, context.url(**{name: value}, **gone), value == now)
            for value, words in options
        ),
    )


def time_chart(
    context: PageContext, dimension: str | None, found: Series, *, measure: str = "cost_usd",
    name: str = "over_time", words: str = "Spend",
) -> tuple[Chart, Table]:  # fmt: skip
    """Return a stack over time, and the table of its numbers."""
    kind: Literal["usd", "count"] = "usd" if is_money(measure) else "count"
    unit = "USD" if kind == "usd" else measure.replace("_", " ")
    keep = EXPLORED if context.path == "/explorer" else ("per",)
    by = "" if dimension is None else f" by {dimension.replace('_', ' ')}"
    values = found.values
    spec = stacked_bars(
        series.WHEN, series.VALUE, None if dimension is None else series.WHAT, title=unit,
        kind=kind, order=None if dimension is None else found.names,
    )  # fmt: skip
    if dimension is not None:
        urls = {
            one: context.filtered(
                "/explorer", dimension, None if one == series.NOT_SET else one, keep
            )
            for one in found.names
            if one != series.OTHER
        }
        values = [row | {"url": urls.get(row[series.WHAT])} for row in values]
        spec = linked(spec)
    title = f"{words} per {found.grain}{by}"
    chart = Chart(
        name=name, title=title, spec=spec, values=values,
        summary=f"{title}: {len(found.steps)} steps"
        + (f", {', '.join(found.names)}." if dimension is not None else "."),
    )  # fmt: skip
    columns = (
        Column(series.WHEN, found.grain.capitalize()), Column(series.WHAT, "What", "name"),
        Column(measure, unit, kind),
    )  # fmt: skip
    rows = [
        {series.WHEN: one[series.WHEN], series.WHAT: one[series.WHAT], measure: one[series.VALUE]}
        for one in reversed(found.values)
        if one[series.VALUE] is not None
    ]
    table = Table(
        name=f"{name}_numbers", title="The numbers of the chart", columns=columns, rows=rows,
        is_folded=True,
    )  # fmt: skip
    return chart, table


COST_COLUMNS: Final = (
    Column("calls", "Calls", "count", sort="-calls"),
    Column("cost_usd", "Cost", "usd", sort="-cost_usd"),
    Column(
        "change_usd", "Change", "usd_change", "in cost, against the same time before", "-change_usd"
    ),
    Column("change_percent", "Change %", "change", "in cost, against the same time before"),
    Column("cost_per_call_usd", "Cost per call", "usd"),
    Column("errors", "Errors", "count", sort="-errors"),
)
TREND: Final = Column("trend", "Trend", "spark")


def ranked_table(
    context: PageContext, dimension: str, label: str, *, name: str, found: Ranking | None = None,
    title: str | None = None, page: str | None = None, columns: Sequence[Column] = COST_COLUMNS,
    has_pages: bool = True, note: str | None = None, where: Sequence[str] = (),
) -> Table:  # fmt: skip
    """Return the values of a dimension as a table with search, order and pages.

    Args:
        context: of the page; ``order``, ``search`` and ``page`` of its URL are the table's.
        dimension: whose values.
        label: of the first column.
        name: of the table.
        found: the rows, where they are known already.
        title: above the table.
        page: that a value leads to, filtered by it.
        columns: behind the first.
        has_pages: False: the first rows are all there is.
        note: how the columns were computed.
        where: filters that the rows were asked with, beside the page's.
    """
    found = found or ranking(context, dimension)
    rows = with_links(context, found.rows, dimension, page=page, where=where)
    for row in rows:
        if "_links" in row and row.get("errors"):
            row["_links"]["errors"] = f"{row['_links']['calls']}&where=status%3Derror"
    totals = {
        column.name: found.report.totals[column.name]
        for column in columns
        if column.name in found.report.totals
    }
    many = found.number is not None and found.number > PAGE_ROWS
    if many and has_pages:
        note = " ".join(filter(None, [note, f"{found.number:,} in all; page {found.page}."]))
    last = Column("trend", "Trend", "spark") if rows and "trend" in rows[0] else None
    return Table(
        name=name, title=title, rows=rows, note=note,
        columns=(
            Column(dimension, label, "name", sort=dimension), *columns, *([last] if last else ()),
        ),
        total=totals if found.number is not None else None,
        search="search" if has_pages else None,
        next_url=None
        if found.is_last or not has_pages
        else context.url(page=str(found.page + 1)),
        previous_url=context.url(page=str(found.page - 1))
        if found.page > 1 and has_pages
        else None,
        empty=EMPTY,
    )  # fmt: skip


EMPTY: Final = (
    "No calls in this range. Choose a longer range, remove filters, or point an application at the "
    "gateway: see Getting started."
)


def paged(
    context: PageContext, rows: list[dict[str, Any]], size: int = 2 * PAGE_ROWS
) -> tuple[int, list[dict[str, Any]], str | None]:
    """Return the page that the URL asks for: its number, its rows, the next one's number."""
    if context.wanted != "html":
        return 1, rows, None
    page = page_number(context)
    first = (page - 1) * size
    has_more = len(rows) > first + size
    return page, rows[first : first + size], str(page + 1) if has_more else None


def only(dimension: str, values: Iterable[Any]) -> list[str]:
    """Return the filter that keeps some values of a dimension, none where there are none."""
    kept = tuple(values)
    return [format_filter(Filter(dimension, kept))] if kept else []

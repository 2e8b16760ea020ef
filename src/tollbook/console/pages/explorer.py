"""Any two dimensions, any measure, any filter: a chart, and the table that it is a picture of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from tollbook.console.pages import parts, series
from tollbook.console.pages.charts import linked, ranked_bars
from tollbook.console.pages.page import Page
from tollbook.console.pages.range import GRAINS, bucket_changes, grain_of, previous
from tollbook.console.pages.ranking import change
from tollbook.console.pages.series import exact, over_time, shown
from tollbook.console.pages.view import (
    Chart,
    Choice,
    Column,
    Controls,
    Field,
    Figures,
    Section,
    Table,
    View,
)
from tollbook.reports.dimensions import COLUMNS, MODEL
from tollbook.reports.errors import QueryError
from tollbook.reports.measures import NAMES, is_money
from tollbook.reports.params import parse_limit
from tollbook.reports.query import ROWS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.console.pages.context import PageContext
    from tollbook.reports.spend import SpendReport

_TIME: Final = "time"
_NONE: Final = "none"
_TOP: Final = 20
_BARS: Final = 12
_SUGGESTED: Final = (
    "tenant", "feature", MODEL, "provider", "user", "team", "environment", "status", "operation",
    "api_key", "tag:plan",
)  # fmt: skip
_EXTRA: Final = ("calls", "cost_usd")


def explorer(context: PageContext) -> View:
    """Return what the URL asks for: ``by``, ``and``, ``measure``, ``top``, ``compare``."""
    context.check_zone()
    by = context.get("by") or _TIME
    second = context.get("and") or (MODEL if by == _TIME else _NONE)
    second = _NONE if second == by else second
    measure = context.get("measure") or "cost_usd"
    top = parse_limit(context.get("top"), _TOP)
    if not 1 <= top <= ROWS_MAX:
        raise QueryError("top", f"{top} is not between 1 and {ROWS_MAX}")
    first = grain_of(context) if by == _TIME else by
    dimensions = tuple(one for one in (first, second) if one != _NONE)
    measures = tuple(dict.fromkeys([measure, *_EXTRA]))
    limit = ROWS_MAX if first in GRAINS or context.wanted == "csv" else top
    order = (first, f"-{measure}") if first in GRAINS else (f"-{measure}",)
    report = context.spend(by=dimensions, measures=measures, order=order, limit=limit)
    compares = context.get("compare") == "yes" and first not in GRAINS
    table = _table(context, report, dimensions, measure, compares=compares)
    sections: list[Section] = [_figures(context, report, measure)]
    sections += [_chart(context, first, second, measure), table]
    return View(
        title="Explorer", sections=tuple(sections), completeness=report.completeness,
        subtitle="Any dimension by any other. A value or a bar leads to the same picture of it "
        "alone; a number leads to its calls.",
        tz=context.tz, controls=_controls(context, by, second, measure, top),
        command=context.command("report", "spend", by=dimensions, measures=measures, order=order,
                                limit=limit if limit != ROWS_MAX else None),
    )  # fmt: skip


def _controls(context: PageContext, by: str, second: str, measure: str, top: int) -> Controls:
    known = tuple(dict.fromkeys([*_SUGGESTED, *sorted(COLUMNS)]))
    is_compared = context.get("compare") == "yes"
    fields = (
        Field(name="by", label="by", value=by, suggestions=(_TIME, *known)),
        Field(name="and", label="and", value=second, suggestions=(_NONE, *known)),
        Field(name="measure", label="measure", kind="select", value=measure,
              options=tuple((name, measure_words(name)) for name in NAMES)),
        Field(name="top", label="top", value=str(top), kind="number"),
    )  # fmt: skip
    tabs = (
        Choice("Now", context.url(compare=None), not is_compared),
        Choice("Compared with before", context.url(compare="yes"), is_compared),
    )
    choices = (parts.grain_choices(context),) if by == _TIME else ()
    return Controls(fields=fields, choices=choices, tabs=() if by == _TIME else tabs)


def _figures(context: PageContext, report: SpendReport, measure: str) -> Figures:
    before = parts.before_totals(context, measures=tuple(dict.fromkeys([measure, *_EXTRA])))
    figures = [
        parts.spend_figure(context, report.totals, before),
        parts.count_figure("Calls", "calls", report.totals, before, context.url("/calls")),
    ]
    if measure not in _EXTRA and not is_money(measure):
        words = measure.replace("_", " ").capitalize()
        figures.append(parts.count_figure(words, measure, report.totals, before))
    return Figures(items=tuple(figures))


def measure_words(name: str) -> str:
    """Return a measure as people read it."""
    return name.removesuffix("_usd").replace("_", " ")


def _kind(measure: str) -> Literal["usd", "count"]:
    return "usd" if is_money(measure) else "count"


def _chart(context: PageContext, first: str, second: str, measure: str) -> Chart:
    words = measure.replace("_usd", "").replace("_", " ").capitalize()
    if first in GRAINS:
        dimension = None if second == _NONE else second
        found = over_time(context, dimension, measure=measure)
        return parts.time_chart(
            context, dimension, found, measure=measure, name="explored", words=words
        )[0]
    values, names = _cross(context, first, second, measure)
    unit = "USD" if is_money(measure) else words
    spec = ranked_bars(
        "name", "value", None if second == _NONE else "what", title=unit, kind=_kind(measure),
        order=names or None,
    )  # fmt: skip
    rows = list(dict.fromkeys(row["name"] for row in values))
    title = f"{words} by {first}" + ("" if second == _NONE else f" and {second}")
    return Chart(
        name="explored", title=title, spec=linked(spec), values=values,
        summary=f"{title}: {', '.join(rows)}.", height=60 + 26 * max(3, len(rows)),
    )  # fmt: skip


def _cross(
    context: PageContext, first: str, second: str, measure: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the largest of the first dimension, each divided by the largest of the second."""
    order = (f"-{measure}",)
    rows = context.spend(by=(first,), measures=(measure,), order=order, limit=_BARS).rows
    wholes = {row[first]: row[measure] for row in rows if not row.get("is_other")}
    urls = {one: context.filtered("/explorer", first, one, parts.EXPLORED) for one in wholes}
    if second == _NONE:
        return [
            {"name": _name(one), "value": value, "url": urls[one]} for one, value in wholes.items()
        ], []
    ranked = context.spend(by=(second,), measures=(measure,), order=order, limit=series.TOP).rows
    names = [row[second] for row in ranked if not row.get("is_other")]
    crossed = context.spend(
        by=(first, second), measures=(measure,), order=order, limit=ROWS_MAX,
        where=parts.only(first, wholes),
    ).rows  # fmt: skip
    cells = {
        (row[first], row[second]): exact(measure, row[measure])
        for row in crossed
        if not row.get("is_other")
    }
    values = []
    for one, whole in wholes.items():
        known = {name: cells.get((one, name)) for name in names}
        values += [
            {"name": _name(one), "what": _name(name), "value": shown(measure, value),
             "url": urls[one]}
            for name, value in known.items()
            if value
        ]  # fmt: skip
        rest = (exact(measure, whole) or 0) - sum(value or 0 for value in known.values())
        if rest:
            values.append({"name": _name(one), "what": series.OTHER, "url": urls[one],
                           "value": shown(measure, rest)})  # fmt: skip
    return values, [*(_name(one) for one in names), series.OTHER]


def _name(value: str | None) -> str:
    return series.NOT_SET if value is None else value


def _table(
    context: PageContext, report: SpendReport, dimensions: Sequence[str], measure: str, *,
    compares: bool,
) -> Table:  # fmt: skip
    before = _before(context, dimensions, measure) if compares and is_money(measure) else None
    rows = []
    for row in report.rows:
        if row.get("is_other"):
            rows.append(row)
            continue
        more: dict[str, Any] = {"_links": _links(context, row, dimensions)}
        if before is not None:
            key = tuple(row[name] for name in dimensions)
            more |= change(row[measure], before.get(key, "0"))
        rows.append(row | more)
    columns = [
        *(Column(name, name.replace("_", " ").capitalize(), "name") for name in dimensions),
        *(Column(name, measure_words(name).capitalize(), _kind(name))
          for name in dict.fromkeys([measure, *_EXTRA])),
    ]  # fmt: skip
    if before is not None:
        columns += [Column("change_usd", "Change", "usd_change"),
                    Column("change_percent", "Change %", "change")]  # fmt: skip
    if len(dimensions) > 0 and dimensions[0] in GRAINS:
        rows.reverse()
        rows.sort(key=lambda row: bool(row.get("is_other")))
    page, rows, next_page = parts.paged(context, rows)
    return Table(
        name="groups", title="Groups", columns=tuple(columns), rows=rows, total=report.totals,
        empty=parts.EMPTY, note="The change is against the same time before." if before else None,
        next_url=None if next_page is None else context.url(page=next_page),
        previous_url=context.url(page=str(page - 1)) if page > 1 else None,
    )  # fmt: skip


def _before(
    context: PageContext, dimensions: Sequence[str], measure: str
) -> dict[tuple[Any, ...], str | None] | None:
    pairs = previous(context)
    if pairs is None:
        return None
    found = context.spend(
        by=dimensions, measures=(measure,), range_pairs=pairs, limit=ROWS_MAX,
        order=(f"-{measure}",),
    )  # fmt: skip
    return {
        tuple(row[name] for name in dimensions): row[measure]
        for row in found.rows
        if not row.get("is_other")
    }


def _links(context: PageContext, row: dict[str, Any], dimensions: Sequence[str]) -> dict[str, str]:
    """Return where values lead to (the same, of them alone) and where numbers do (the calls)."""
    links: dict[str, str] = {}
    where = [one for one in context.all("where") if one.partition("=")[0] not in dimensions]
    changes: dict[str, Any] = {}
    for name in dimensions:
        if name in GRAINS:
            changes |= bucket_changes(name, row[name])
            links[name] = context.url(**bucket_changes(name, row[name]))
        else:
            where += parts.only(name, [row[name]])
            links[name] = context.filtered("/explorer", name, row[name], parts.EXPLORED)
    links |= dict.fromkeys(_EXTRA, context.url("/calls", where=where, **changes))
    return links


PAGES: Final = (Page("/explorer", "Explorer", explorer, group="Spend"),)

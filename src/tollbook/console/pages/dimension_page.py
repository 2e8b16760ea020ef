"""Pages of one dimension: features, users, and whatever else calls have names for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.console.pages import parts
from tollbook.console.pages.ranking import MEASURES, ranking
from tollbook.console.pages.series import over_time
from tollbook.console.pages.view import Controls, Figures, Section, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Column, Notice


def dimension_view(
    context: PageContext, dimension: str, *, title: str, label: str, subtitle: str | None = None,
    columns: Sequence[Column] = parts.COST_COLUMNS, notices: Sequence[Notice] = (),
) -> View:  # fmt: skip
    """Return what each value of a dimension cost: figures, the chart, the table.

    Args:
        context: of the page.
        dimension: as reports name it.
        title: of the page; the plural.
        label: of one value.
        subtitle: a sentence about it.
        columns: of the table, behind the value.
        notices: above the figures.
    """
    context.check_zone()
    found = ranking(context, dimension, measures=MEASURES)
    before = parts.before_totals(context, measures=MEASURES)
    totals = found.report.totals
    figures = Figures(
        items=(
            parts.spend_figure(context, totals, before),
            parts.count_figure("Calls", "calls", totals, before, context.url("/calls")),
            parts.cost_per_call(totals, before),
            parts.error_figure(context, totals),
            *parts.number_figure(title, found),
        )
    )
    chart, numbers = parts.time_chart(context, dimension, over_time(context, dimension))
    table = parts.ranked_table(
        context, dimension, label, name=title.lower(), found=found, columns=columns
    )
    sections: tuple[Section, ...] = (*notices, figures, chart, table, numbers)
    return View(
        title=title, subtitle=subtitle, sections=sections, tz=context.tz,
        completeness=found.report.completeness,
        controls=Controls(choices=(parts.grain_choices(context),)),
        command=context.command("report", "spend", by=(dimension,), measures=MEASURES,
                                order=("-cost_usd",)),
    )  # fmt: skip

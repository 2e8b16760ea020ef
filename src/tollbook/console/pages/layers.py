"""Spend by layer of the request: prompt, tools, context, the user's words, the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages import parts
from tollbook.console.pages.charts import stacked_bars
from tollbook.console.pages.page import Page
from tollbook.console.pages.range import buckets, grain_of, seen
from tollbook.console.pages.view import Chart, Column, Controls, Figure, Figures, Table, View
from tollbook.layers import LAYER_COSTS, LAYERS
from tollbook.reports.layers import MEASURES

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_BY: Final = (("none", "all together"), ("feature", "feature"), ("tenant", "tenant"),
              ("model", "model"))  # fmt: skip
_SHOWN: Final = 10


def layers(context: PageContext) -> View:
    """Return what the layers of requests cost, in all or by another dimension."""
    context.check_zone()
    by = context.get("by") or "none"
    dimensions = () if by == "none" else (by,)
    pairs = context.query_pairs(
        by=dimensions, order=("-cost_usd",), limit=_SHOWN if dimensions else None
    )
    report = context.house.answers.layers(pairs)
    has_calls = bool(report.totals["calls"])
    rows = [_row(context, row, by, report.meanings) for row in report.rows if has_calls]
    columns = (
        *((Column(by, by.replace("_", " ").capitalize(), "name"),) if dimensions else ()),
        Column("layer", "Layer"), Column("tokens", "Tokens", "count"),
        Column("tokens_percent", "Of the tokens", "share"), Column("cost_usd", "Cost", "usd"),
        Column("cost_percent", "Of the cost", "share"),
        *(() if dimensions else (Column("meaning", "What it is"),)),
    )  # fmt: skip
    table = Table(
        name="layers", title="Layers", columns=columns, rows=rows, empty=parts.EMPTY,
        total={"tokens": report.totals["tokens"], "cost_usd": report.totals["cost_usd"]},
        note="The provider counts the tokens of a whole request; the gateway weighs its sections "
        "by their text and splits the count accordingly. The parts add up to the whole.",
    )  # fmt: skip
    figures = Figures(
        items=(
            Figure(label="Spend", value=report.totals["cost_usd"], kind="usd",
                   url=context.url("/calls")),
            Figure(label="Calls", value=report.totals["calls"], kind="count",
                   url=context.url("/calls")),
            Figure(label="Tokens", value=report.totals["tokens"], kind="count"),
        )
    )  # fmt: skip
    return View(
        title="Layers", sections=(figures, _chart(context), table), tz=context.tz,
        completeness=report.completeness,
        controls=Controls(
            choices=(parts.choice_of(context, "by", "by", _BY, "none"),
                     parts.grain_choices(context))
        ),
        command=context.command("report", "layers", by=dimensions),
    )  # fmt: skip


def _row(
    context: PageContext, row: dict[str, Any], by: str, meanings: dict[str, str]
) -> dict[str, Any]:
    more: dict[str, Any] = {"meaning": meanings.get(row["layer"])}
    if by != "none" and not row.get("is_other"):
        more["_links"] = {by: context.filtered("/layers", by, row[by])}
    return row | more


def _chart(context: PageContext) -> Chart:
    grain = grain_of(context)
    found = context.spend(by=(grain,), measures=MEASURES)
    known = {row[grain]: row for row in found.rows}
    values = [
        {"when": step, "what": layer, "value": known.get(step, {}).get(cost)}
        for step in buckets(seen(context), grain, context.tz)
        for layer, cost in zip(LAYERS, LAYER_COSTS, strict=True)
        if step in known or layer == LAYERS[0]
    ]
    return Chart(
        name="layers_over_time", title=f"Cost per {grain} by layer", values=values,
        spec=stacked_bars("when", "value", "what", title="USD", order=list(LAYERS)),
        summary=f"Cost per {grain} of each layer of the requests.",
    )  # fmt: skip


PAGES: Final = (Page("/layers", "Layers", layers, group="Spend"),)

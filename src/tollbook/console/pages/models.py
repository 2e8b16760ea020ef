"""Spend by model and provider: a blended price per million tokens, and what the cache saved."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages import parts
from tollbook.console.pages.page import Page
from tollbook.console.pages.ranking import ranking
from tollbook.console.pages.series import over_time
from tollbook.console.pages.view import Column, Controls, Figure, Figures, View
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.errors import QueryError
from tollbook.reports.exact_ratio import percent, usd_each

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_MEASURES: Final = (
    "calls", "errors", "input_tokens", "output_tokens", "uncached_input_tokens",
    "cache_read_tokens", "uncached_input_tokens_cost_usd", "cache_read_tokens_cost_usd", "cost_usd",
)  # fmt: skip
_COLUMNS: Final = (
    Column("calls", "Calls", "count", sort="-calls"),
    Column("input_tokens", "Input tokens", "count", sort="-input_tokens"),
    Column("output_tokens", "Output tokens", "count", sort="-output_tokens"),
    Column("cost_usd", "Cost", "usd", sort="-cost_usd"),
    Column("change_percent", "Change", "change", "in cost, against the same time before"),
    Column("per_million_usd", "Blended price", "rate", "cost by input and output tokens"),
    Column("cache_hit_percent", "Cache hits", "percent", "of input tokens"),
    Column("cache_saved_usd", "Cache saved", "amount", "an estimate, see above the table"),
    Column("errors", "Errors", "count", sort="-errors"),
)
_BY: Final = (("model", "model that answered"), ("model_requested", "model asked for"),
              ("provider", "provider"))  # fmt: skip
_NOTE: Final = (
    "Blended price: cost for a million tokens of input and output together. Cache saved: tokens "
    "read from the cache at the model's own average price of input that was not, less what they "
    "cost; an estimate, and without what writing to the cache cost."
)


def models(context: PageContext) -> View:
    """Return what each model, or provider, cost."""
    context.check_zone()
    by = context.get("by") or "model"
    if by not in dict(_BY):
        raise QueryError("by", f"{by[:64]!r} is not one of {', '.join(dict(_BY))}")
    found = ranking(context, by, measures=_MEASURES)
    found = found._replace(
        rows=[row if row.get("is_other") else row | unit_figures(row) for row in found.rows]
    )
    totals = found.report.totals
    before = parts.before_totals(context, measures=_MEASURES)
    figures = Figures(
        items=(
            parts.spend_figure(context, totals, before),
            parts.count_figure("Input tokens", "input_tokens", totals, before),
            parts.count_figure("Output tokens", "output_tokens", totals, before),
            Figure(label="Blended price", value=unit_figures(totals)["per_million_usd"],
                   kind="rate"),
            parts.cache_figure(context, totals),
        )
    )  # fmt: skip
    chart, numbers = parts.time_chart(context, by, over_time(context, by))
    label = by.replace("_", " ").capitalize()
    table = parts.ranked_table(
        context, by, label, name="models", found=found, columns=_COLUMNS, note=_NOTE
    )
    return View(
        title="Models", sections=(figures, chart, table, numbers), tz=context.tz,
        completeness=found.report.completeness,
        controls=Controls(
            choices=(parts.choice_of(context, "by", "by", _BY, "model"),
                     parts.grain_choices(context))
        ),
        command=context.command("report", "spend", by=(by,), measures=_MEASURES,
                                order=("-cost_usd",)),
    )  # fmt: skip


def unit_figures(row: dict[str, Any]) -> dict[str, Any]:
    """Return blended price, cache hit rate and what the cache saved, of a row of sums."""
    tokens = (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
    is_known = row["cost_usd"] is not None and tokens
    return {
        "per_million_usd": usd_each(pico_from_usd(row["cost_usd"]) * 1_000_000, tokens)
        if is_known
        else None,
        "cache_hit_percent": percent(row["cache_read_tokens"] or 0, row["input_tokens"] or 0),
        "cache_saved_usd": _saved(row),
    }


def _saved(row: dict[str, Any]) -> str | None:
    fresh, read = row["uncached_input_tokens"], row["cache_read_tokens"]
    fresh_usd, read_usd = row["uncached_input_tokens_cost_usd"], row["cache_read_tokens_cost_usd"]
    if not fresh or fresh_usd is None or read is None:
        return None
    full = Fraction(pico_from_usd(fresh_usd) * read, fresh)
    return usd_text(round(full) - (0 if read_usd is None else pico_from_usd(read_usd)))


PAGES: Final = (Page("/models", "Models", models, group="Spend"),)

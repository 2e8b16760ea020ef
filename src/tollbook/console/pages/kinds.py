"""Spend by token kind: each is priced for itself, and together they are the total."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages import parts
from tollbook.console.pages.charts import ranked_bars, stacked_bars
from tollbook.console.pages.page import Page
from tollbook.console.pages.range import buckets, grain_of, seen
from tollbook.console.pages.view import Chart, Column, Controls, Figures, Table, View
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.exact_ratio import percent, usd_each
from tollbook.reports.measures import COMPONENTS
from tollbook.usage import KINDS, PRICED_PER, TOKEN_KINDS

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_COSTS: Final = tuple(COMPONENTS)
_TOKENS: Final = tuple(kind for kind in KINDS if kind in TOKEN_KINDS)
_HEAD: Final = ("calls", "cost_usd", "input_tokens", "output_tokens", "cache_read_tokens")
OUTSIDE: Final = "not by kind"
"""Costs that no kind has: adjustments, provider's own figures, allocated costs."""
WORDS: Final = {
    "uncached_input_tokens": "input", "cache_read_tokens": "input read from the cache",
    "cache_write_5m_tokens": "cache writes (5 minutes)",
    "cache_write_1h_tokens": "cache writes (1 hour)", "visible_output_tokens": "output",
    "reasoning_tokens": "reasoning",
}  # fmt: skip
_COLUMNS: Final = (
    Column("kind", "Kind"), Column("quantity", "Quantity", "count"),
    Column("cost_usd", "Cost", "usd"), Column("cost_percent", "Of the cost", "share"),
    Column("average_usd", "Average price", "amount"), Column("per", "for a"),
)  # fmt: skip


def words_of(kind: str) -> str:
    """Return a kind as people call it."""
    return WORDS.get(kind, kind.replace("_tokens", "").replace("_", " "))


def kind_rows(totals: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each kind with a quantity or a cost; their costs are the total's.

    Args:
        totals: sums of every token kind, every component and the cost.
    """
    whole = None if totals["cost_usd"] is None else pico_from_usd(totals["cost_usd"])
    rows, rest = [], whole or 0
    for kind in KINDS:
        quantity, cost = totals.get(kind), totals[f"{kind}_cost_usd"]
        pico = 0 if cost is None else pico_from_usd(cost)
        rest -= pico
        if not quantity and not pico:
            continue
        units, per = PRICED_PER[kind]
        each = None if not quantity or cost is None else usd_each(pico * units, quantity)
        rows.append({"kind": words_of(kind), "quantity": quantity, "cost_usd": cost,
                     "cost_percent": percent(pico, whole or 0), "average_usd": each,
                     "per": _per(per)})  # fmt: skip
    if rest:
        rows.append({"kind": OUTSIDE, "quantity": None, "cost_usd": usd_text(rest),
                     "cost_percent": percent(rest, whole or 0), "average_usd": None,
                     "per": None})  # fmt: skip
    return rows


def _per(words: str) -> str:
    return {"MTok": "million tokens", "1000": "thousand"}.get(words, words)


def kind_table(totals: dict[str, Any], title: str | None = None) -> Table:
    """Return the table of kinds."""
    return Table(
        name="kinds", title=title, columns=_COLUMNS, rows=kind_rows(totals),
        total={"cost_usd": totals["cost_usd"]}, empty=parts.EMPTY,
        note="Every token is of one kind, and priced once. The average price is what was paid, "
        "over all models and price cards.",
    )  # fmt: skip


def kinds(context: PageContext) -> View:
    """Return what each kind of token cost, and over time."""
    context.check_zone()
    measures = tuple(dict.fromkeys([*_HEAD, *_TOKENS, *_COSTS]))
    report = context.spend(measures=measures)
    totals = report.totals
    before = parts.before_totals(context, measures=_HEAD)
    table = kind_table(totals)
    chart = Chart(
        name="kinds_now", title="Cost by kind", height=60 + 26 * max(2, len(table.rows)),
        spec=ranked_bars("kind", "cost_usd", title="USD"),
        values=sorted(table.rows, key=lambda row: -pico_from_usd(row["cost_usd"] or "0")),
        summary="Cost of each kind of token.",
    )  # fmt: skip
    figures = Figures(
        items=(
            parts.spend_figure(context, totals, before),
            parts.count_figure("Input tokens", "input_tokens", totals, before),
            parts.count_figure("Output tokens", "output_tokens", totals, before),
            parts.cache_figure(context, totals),
        )
    )
    return View(
        title="Token kinds", sections=(figures, chart, table, _over_time(context)), tz=context.tz,
        completeness=report.completeness,
        controls=Controls(choices=(parts.grain_choices(context),)),
        command=context.command("report", "spend", measures=[
            name for name in measures if name in _HEAD or totals[name] not in (None, 0, _ZERO)
        ]),
    )  # fmt: skip


def _over_time(context: PageContext) -> Chart:
    grain = grain_of(context)
    found = context.spend(by=(grain,), measures=_COSTS)
    used = [kind for kind in KINDS if found.totals[f"{kind}_cost_usd"] not in (None, _ZERO)]
    known = {row[grain]: row for row in found.rows}
    values = [
        {"when": step, "what": words_of(kind), "value": row.get(f"{kind}_cost_usd")}
        for step in buckets(seen(context), grain, context.tz)
        for row in [known.get(step, {})]
        for kind in used
        if step in known or kind == used[0]
    ]
    return Chart(
        name="kinds_over_time", title=f"Cost per {grain} by kind", values=values,
        spec=stacked_bars("when", "value", "what", title="USD",
                          order=[words_of(kind) for kind in used]),
        summary=f"Cost per {grain} of each kind of token.",
    )  # fmt: skip


_ZERO: Final = usd_text(0)

PAGES: Final = (Page("/kinds", "Token kinds", kinds, group="Spend"),)

"""Pages of the insights whose dollars could be saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.charts import lines, ranked_bars
from tollbook.console.pages.insights.shape import Shape, words_of
from tollbook.console.pages.view import Chart, Column, Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

_BARS: Final = 12


def bars(
    answer: dict[str, Any], names: tuple[str, ...], series: Sequence[tuple[str, str]], *,
    name: str, title: str, words: str,
) -> Chart | None:  # fmt: skip
    """Return the first rows as bars, a colour for each measure; None where there are none."""
    rows = [row for row in answer["rows"] if not row.get("is_other")][:_BARS]
    values = [
        {"what": words_of(row, names), "which": label, "usd": row[measure]}
        for row in rows
        for measure, label in series
        if row.get(measure) is not None
    ]
    if not values:
        return None
    order = [label for _, label in series]
    spec = (
        ranked_bars("what", "usd", "which", title="USD", order=order)
        if len(series) > 1
        else ranked_bars("what", "usd", title="USD")
    )
    return Chart(
        name=name, title=title, spec=spec, values=values, summary=words,
        height=max(160, 26 * len(rows) + 60),
    )  # fmt: skip


def _caching(answer: dict[str, Any], by: str) -> Chart | None:
    del by
    return bars(
        answer, ("feature", "model", "prefix"), [("saving_usd", "saving")], name="saving",
        title="Saving by prefix", words="What caching each prefix would have saved.",
    )  # fmt: skip


def _caching_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        Figure(label="Saving", value=totals["saving_usd"], kind="usd", tone="good"),
        Figure(label="Calls with these prefixes", value=totals["calls"], kind="count"),
        Figure(label="Tokens at the full price", value=totals["full_price_tokens"], kind="count"),
        Figure(label="Of prefixes, cached now", value=totals["cached_percent"], kind="percent",
               note=f"{totals['not_worth_prefixes']} prefixes are not worth caching"),
    )  # fmt: skip


def _sizing(answer: dict[str, Any], by: str) -> Chart | None:
    del by
    rows = [
        row | {"saved": row["saving_usd"]}
        for row in answer["rows"]
        if not row["saving_usd"].startswith("-")
    ]
    return bars(
        {"rows": rows}, ("feature", "model"),
        [("target_cost_usd", "with the smaller model"), ("saved", "saving")], name="sizes",
        title="Cost with the smaller model, and what it saves",
        words="Of each feature and model, the cost with the smaller model and the saving.",
    )  # fmt: skip


def _sizing_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        Figure(label="Saving", value=totals["saving_usd"], kind="usd", tone="good"),
        Figure(label="Of what they cost", value=totals["cost_usd"], kind="usd"),
        Figure(label="Calls priced again", value=totals["calls"], kind="count"),
        Figure(label="Calls without a price", value=totals["unpriced_calls"], kind="count",
               tone="warn" if totals["unpriced_calls"] else "plain"),
    )  # fmt: skip


def _waste(answer: dict[str, Any], by: str) -> Chart | None:
    del by
    return bars(
        answer, ("cause", "feature", "provider"), [("waste_usd", "waste")], name="waste",
        title="Waste by cause", words="What attempts cost that came to nothing, by cause.",
    )  # fmt: skip


def _waste_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        Figure(label="Wasted", value=totals["waste_usd"], kind="usd", tone="warn"),
        Figure(label="Of spend", value=totals["waste_percent"], kind="percent"),
        Figure(label="Attempts that came to nothing", value=totals["wasted_calls"], kind="count"),
        Figure(label="Repeated attempts", value=totals["repeats_usd"], kind="usd",
               note=f"{totals['repeats']:,} calls that stood in for others; not waste"),
    )  # fmt: skip


def _growth(answer: dict[str, Any], by: str) -> Chart | None:
    values = [
        {"when": row["first_at"][:16], "what": words_of(row, (by, "provider")),
         "tokens": row["prefix_tokens_per_call"]}
        for row in answer["rows"] if row["version"] is not None
    ]  # fmt: skip
    if not values:
        return None
    values.sort(key=lambda one: one["when"])
    return Chart(
        name="sizes", title="Size of the prefix by version", values=values,
        spec=lines("when", "tokens", "what", title="tokens", kind="count"),
        summary="Tokens of the stable prefix of each version, at its first call.",
    )  # fmt: skip


def _growth_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        Figure(label="Cost of growth", value=totals["growth_usd"], kind="usd",
               note="negative: shorter prompts saved it"),
        Figure(label="Versions", value=totals["versions"], kind="count"),
        Figure(label="Calls with a prefix of their own", value=totals["unstable_calls"],
               kind="count", note="not stable, so not to be cached"),
    )  # fmt: skip


SAVINGS: Final = (
    Shape(
        "right_sizing", "Right-sizing",
        (
            Column("calls", "Calls", "count"),
            Column("output_tokens_per_call", "Tokens written a call", "count"),
            Column("cost_usd", "Cost", "usd"), Column("target", "Compared with"),
            Column("target_cost_usd", "Would cost", "usd"), Column("saving_usd", "Saving", "usd"),
            Column("saving_percent", "Saving %", "percent"),
            Column("unpriced_calls", "No price", "count", "calls that the target has no price for"),
        ),
        _sizing, _sizing_figures,
        rare=("unpriced_calls",),
        fields=(("target", "Compare with model", ""),
                ("output_max", "Tokens written at most", "300")),
        empty="No feature uses a large model for answers this small.",
    ),
    Shape(
        "cache_opportunity", "Cache opportunity",
        (
            Column("calls", "Calls", "count"),
            Column("repeats", "Repeats", "count", "within the cache's lifetime"),
            Column("prefix_tokens_per_call", "Prefix tokens", "count"),
            Column("cached_percent", "Cached", "percent"),
            Column("read_saves_usd", "Reading saves", "usd"),
            Column("write_adds_usd", "Writing adds", "usd"), Column("saving_usd", "Saving", "usd"),
        ),
        _caching, _caching_figures,
        fields=(("lifetime_s", "Cache lives, seconds", "300"),),
        empty="No stable prefix was paid at the full price where caching would have saved.",
    ),
    Shape(
        "retry_waste", "Retry waste",
        (
            Column("cause", "Cause"), Column("calls", "Attempts", "count"),
            Column("repeated_calls", "Repeated", "count"), Column("waste_usd", "Wasted", "usd"),
            Column("waste_percent", "Share", "percent"),
            Column("unknown_cost_calls", "Cost unknown", "count"),
        ),
        _waste, _waste_figures,
        empty="No attempt in this range came to nothing.",
    ),
    Shape(
        "prompt_growth", "Prompt growth",
        (
            Column("version", "Version", "count"), Column("first_at", "First call", "time"),
            Column("last_at", "Last call", "time"), Column("calls", "Calls", "count"),
            Column("prefix_tokens_per_call", "Prefix tokens", "count"),
            Column("growth_tokens", "Against the first", "count"),
            Column("growth_usd", "Cost of growth", "amount"),
        ),
        _growth, _growth_figures, by="feature",
        choices=(("feature", "feature"), ("team", "team"), ("workflow", "workflow")),
        empty="No call in this range has a stable prefix that is known: requests are weighed by "
              "the gateway and the SDK unless [gateway] layers is off.",
    ),
)  # fmt: skip

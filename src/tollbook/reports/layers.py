"""What the layers of requests cost: prompt, tools, context, the user's words, the answer.

It is a spend query with fixed measures, turned on its side: a row for each layer of each group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS, LAYERS
from tollbook.money import pico_from_usd
from tollbook.reports.errors import QueryError
from tollbook.reports.exact_ratio import percents
from tollbook.reports.params import from_pairs
from tollbook.reports.query import SpendQuery
from tollbook.reports.spend import CURRENCY, Completeness, run_spend

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tollbook.reports.reader import Reader

MEASURES: Final = ("calls", *LAYER_TOKENS, "cost_usd", *LAYER_COSTS)
MEANINGS: Final = {
    "prompt": "system and developer messages, instructions, output schemas",
    "tool": "definitions, calls and results of tools",
    "context": "retrieved chunks, memories, earlier turns",
    "user": "what the user says now",
    "response": "what the model wrote, reasoning included",
    "unsplit": "requests of unknown structure, and what is not billed by the token",
}


class LayersReport(Struct, frozen=True, kw_only=True):
    """Rows of group and layer; tokens and cost of a group's layers add up to those of the group.

    Shares are in percent of the group and add up to 100.0; None where nothing is known.
    """

    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    completeness: Completeness
    query: SpendQuery
    meanings: dict[str, str]
    currency: str = CURRENCY


def layers_query(pairs: Iterable[tuple[str, str]], now: datetime) -> SpendQuery:
    """Build the query from named texts (see :mod:`tollbook.reports.params`).

    Raises:
        QueryError: measures are given, which are fixed, or as ``from_pairs``.
    """
    given = list(pairs)
    if any(name == "measures" for name, _ in given):
        raise QueryError("--measures", "is fixed in the report of layers; use report spend")
    return from_pairs([*given, ("measures", ",".join(MEASURES))], now)


def run_layers(reader: Reader, query: SpendQuery) -> LayersReport:
    """Answer a query made by :func:`layers_query`.

    Raises:
        QueryTimeoutError: it took too long.
    """
    report = run_spend(reader, query)
    totals = report.totals
    return LayersReport(
        rows=[line for row in report.rows for line in _lines(row)],
        totals={
            "calls": totals["calls"],
            "tokens": _sum([totals[name] for name in LAYER_TOKENS]),
            "cost_usd": totals["cost_usd"],
        },
        completeness=report.completeness,
        query=query,
        meanings=MEANINGS,
    )


LINE_NAMES: Final = ("layer", "tokens", "tokens_percent", "cost_usd", "cost_percent")
"""Of each row, behind those of its group."""


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a line for each layer of a group."""
    group = {name: value for name, value in row.items() if name not in MEASURES}
    tokens, costs = [row[name] for name in LAYER_TOKENS], [row[name] for name in LAYER_COSTS]
    token_shares = percents([value or 0 for value in tokens])
    cost_shares = percents([0 if value is None else pico_from_usd(value) for value in costs])
    return [
        group
        | {
            "layer": layer, "tokens": tokens[at], "tokens_percent": token_shares[at],
            "cost_usd": costs[at], "cost_percent": cost_shares[at],
        }
        for at, layer in enumerate(LAYERS)
    ]  # fmt: skip

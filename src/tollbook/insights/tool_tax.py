"""``insights.tool_tax``: what the definitions, calls and results of tools cost."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from tollbook.insights.asked import (
    Asked,
    Finding,
    answer,
    checked_limit,
    dimension_of,
    query_of,
    shown,
)
from tollbook.insights.tools_named import named_tools
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.exact_ratio import percent, rounded
from tollbook.reports.layered_calls import ToolUse, tool_use
from tollbook.reports.wide import wide_rows
from tollbook.usage import FEE_KINDS

if TYPE_CHECKING:
    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery

METHOD: Final = (
    "The tool layer of each request: definitions of tools, and the calls and results of tools "
    "that it carries, in dollars as the layers report has them. Between the two its tokens are "
    "divided by their weights in the request. Definitions stand at the start of a prompt, so they "
    "are taken to be read from the cache first: what of them was cached costs what input read "
    "from a cache cost, the rest what other input cost, and results cost what is left of the "
    "layer: an estimate whose parts add up to the layer. Requests whose weights are not known "
    "are not divided. Built-in tools of providers are their own fees. The ledger does not keep "
    "the names of tools in requests; tools by name are those that traces tell of, and the results "
    "in the calls of a trace are divided evenly among its executions of tools."
)
_BUILT_IN: Final = {
    "web_search_requests": "web search", "file_search_requests": "file search",
    "code_sessions": "code interpreter", "search_units": "rerank search",
}  # fmt: skip
assert set(_BUILT_IN) <= set(FEE_KINDS)


class ToolTaxRequest(Asked, kw_only=True):
    """By what."""

    by: str = "feature"


class ToolCost(NamedTuple):
    """The tool layer of some calls; pico. The last three add up to the layer."""

    calls: int = 0
    tokens: int = 0
    layer: int = 0
    definitions: int = 0
    results: int = 0
    undivided: int = 0

    def plus(self, more: ToolCost) -> ToolCost:
        """Return the sums."""
        return ToolCost(*map(sum, zip(self, more, strict=True)))


def divided(one: ToolUse) -> ToolCost:
    """Return the layer's dollars by definitions and results; they add up to it."""
    known = one.cost - one.undivided_cost
    fresh = one.defined_tokens - one.defined_cached_tokens
    wanted = _priced(one.defined_cached_tokens, one.read_cost, one.read_tokens) + _priced(
        fresh, one.fresh_cost, one.fresh_tokens
    )
    if not one.result_tokens:
        wanted = known
    low, high = min(0, known), max(0, known)
    definitions = min(max(wanted, low), high)
    return ToolCost(
        one.calls, one.tokens, one.cost, definitions, known - definitions, one.undivided_cost
    )


def _priced(tokens: int, cost: int, of_tokens: int) -> int:
    return rounded(tokens * cost, of_tokens) if of_tokens > 0 else 0


def tool_tax(desk: Desk, asked: ToolTaxRequest) -> dict[str, Any]:
    """Answer with the tax by group, built-in tools, and tools that traces name."""
    by = dimension_of(asked.by)
    query = query_of(asked, by=(by,))
    groups: dict[str | None, ToolCost] = defaultdict(ToolCost)
    for one in tool_use(desk.reader, query):
        (name,) = one.group
        groups[name] = groups[name].plus(divided(one))
    spent = {row[by]: row["cost_usd"] or 0 for row in wide_rows(desk.reader, query)}
    total = ToolCost()
    for cost in groups.values():
        total = total.plus(cost)
    built_in = _built_in(desk, query)
    ranked = sorted(groups.items(), key=lambda item: (-item[1].layer, str(item[0])))
    rows = [
        {by: UNKNOWN if by == "tenant" and name is None else name}
        | _measures(cost, spent.get(name, 0))
        for name, cost in ranked[: checked_limit(asked.limit)]
    ]
    fees = sum(fee for _, _, fee in built_in)
    whole = sum(spent.values())
    return answer(desk, query, Finding(
        rows=rows, by=(by,), method=METHOD, at_stake=total.layer + fees,
        totals=_measures(total, whole) | {"built_in_usd": usd_text(fees)},
        headline=_words(total, fees, whole),
        more={
            "built_in": [
                {"tool": tool, "uses": uses, "cost_usd": usd_text(fee)}
                for tool, uses, fee in built_in
            ],
            "named": named_tools(desk.reader, query),
        },
    ))  # fmt: skip


def _measures(cost: ToolCost, spent: int) -> dict[str, Any]:
    return {
        "calls": cost.calls, "tool_tokens": cost.tokens, "tool_usd": usd_text(cost.layer),
        "definitions_usd": usd_text(cost.definitions), "results_usd": usd_text(cost.results),
        "undivided_usd": usd_text(cost.undivided), "cost_usd": usd_text(spent),
        "tool_percent": percent(cost.layer, spent),
    }  # fmt: skip


def _built_in(desk: Desk, query: SpendQuery) -> list[tuple[str, int, int]]:
    measures = (*_BUILT_IN, *(f"{kind}_cost_usd" for kind in _BUILT_IN))
    whole = replace(query, by=(), measures=measures)
    (row,) = wide_rows(desk.reader, whole)
    return [
        (tool, row[kind], row[f"{kind}_cost_usd"] or 0)
        for kind, tool in _BUILT_IN.items()
        if row[kind]
    ]


def _words(total: ToolCost, fees: int, whole: int) -> str:
    if not total.layer and not fees:
        return "No request in this range carries tools that cost anything."
    share = percent(total.layer + fees, whole)
    return (
        f"Tools cost {shown(total.layer + fees)}"
        + (f", {share} % of spend" if share else "")
        + f": definitions {shown(total.definitions)}, calls and results {shown(total.results)}"
        + (f", not divided {shown(total.undivided)}" if total.undivided else "")
        + (f", built-in tools {shown(fees)}" if fees else "")
        + "."
    )

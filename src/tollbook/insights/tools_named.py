"""Tools by their names, as far as traces tell of their executions."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from tollbook.money import pico_from_usd, split_pico, usd_text
from tollbook.reports.over import rows_sql

if TYPE_CHECKING:
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

SHOWN: Final = 50
_ROWS_MAX: Final = 200_000
TOOL_KIND: Final = "tool"


def named_tools(reader: Reader, query: SpendQuery) -> list[dict[str, Any]]:
    """Return tools with their executions, errors and the dollars of the tool layer around them.

    The tool layer of a trace's calls is divided evenly among its executions of tools.

    Raises:
        QueryTimeoutError: it took too long.
    """
    rows = reader.fetch(f"""
        WITH costs AS (
            SELECT trace_id, sum(tool_layer_cost_usd) AS cost FROM ({rows_sql(query)})
            WHERE trace_id IS NOT NULL GROUP BY trace_id)
        SELECT spans.trace_id, spans.name, count(*), count(*) FILTER (spans.is_error),
            any_value(costs.cost)
        FROM spans JOIN costs ON spans.trace_id = costs.trace_id
        WHERE spans.kind = '{TOOL_KIND}' GROUP BY spans.trace_id, spans.name
        ORDER BY spans.trace_id, spans.name LIMIT {_ROWS_MAX}
    """)  # noqa: S608 -- our own statement
    traces: dict[str, list[tuple[str, int]]] = defaultdict(list)
    costs: dict[str, int] = {}
    uses: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for trace, name, times, failed, cost in rows:
        traces[trace].append((name, times))
        costs[trace] = pico_from_usd(cost or 0)
        uses[name] += times
        errors[name] += failed
    paid: Counter[str] = Counter()
    for trace, found in traces.items():
        shares = split_pico(costs[trace], [times for _, times in found])
        for (name, _), share in zip(found, shares, strict=True):
            paid[name] += share
    ranked = sorted(uses, key=lambda name: (-paid[name], -uses[name], name))
    return [
        {"tool": name, "uses": uses[name], "errors": errors[name],
         "cost_usd": usd_text(paid[name])}
        for name in ranked[:SHOWN]
    ]  # fmt: skip

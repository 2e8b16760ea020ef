"""The dearest calls of each group."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tollbook.money import pico_from_usd
from tollbook.reports.over import keys_sql, rows_sql

if TYPE_CHECKING:
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader


class TopCall(NamedTuple):
    """One call with its parts."""

    group: tuple[Any, ...]
    call_id: str
    called_at: datetime
    tenant: str | None
    model: str | None
    cost: int
    """Pico."""
    input_tokens: int
    output_tokens: int


def top_calls(reader: Reader, query: SpendQuery, each: int) -> list[TopCall]:
    """Return so many of the dearest calls of each group of a query, the dearest first.

    Raises:
        QueryTimeoutError: it took too long.
    """
    keys, width = keys_sql(query), len(query.by)
    partition = f"PARTITION BY {keys.removesuffix(', ')}" if width else ""
    rows = reader.fetch(f"""
        WITH ranked AS (
            SELECT {keys} call_id, sum(cost_usd) AS cost, row_number() OVER (
                {partition} ORDER BY sum(cost_usd) DESC, call_id) AS place
            FROM ({rows_sql(query)}) WHERE kind <> 'adjustment'
            GROUP BY {keys} call_id HAVING sum(cost_usd) > 0),
        best AS (SELECT * FROM ranked WHERE place <= {int(each)})
        SELECT {"".join(f"best.d{at}, " for at in range(width))} best.call_id, min(called_at),
            any_value(tenant_id), any_value(coalesce(model_actual, model_requested)),
            any_value(best.cost),
            sum(coalesce(uncached_input_tokens, 0) + coalesce(cache_read_tokens, 0)
                + coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0)),
            sum(coalesce(visible_output_tokens, 0) + coalesce(reasoning_tokens, 0))
        FROM best JOIN entries ON entries.call_id = best.call_id
        GROUP BY {"".join(f"best.d{at}, " for at in range(width))} best.call_id
        ORDER BY any_value(best.cost) DESC, best.call_id
    """)  # noqa: S608 -- our own statement
    return [
        TopCall(
            row[:width], str(row[width]), row[width + 1].replace(tzinfo=UTC), row[width + 2],
            row[width + 3], pico_from_usd(row[width + 4]), int(row[width + 5]), int(row[width + 6]),
        )
        for row in rows
    ]  # fmt: skip

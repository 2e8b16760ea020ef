"""What attempts cost that came to nothing, or that were made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tollbook.money import pico_from_usd
from tollbook.reports.over import keys_sql, rows_sql

if TYPE_CHECKING:
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader


class Attempts(NamedTuple):
    """Calls of one group that went the same way; signed sums."""

    group: tuple[Any, ...]
    status: str
    error_type: str | None
    is_repeat: bool
    """It names the attempt that it repeats."""
    was_repeated: bool
    """Another attempt names it as the one that it repeats."""
    calls: int
    cost: int
    """Pico."""
    unknown_calls: int
    """Whose cost is not known."""


def attempts(reader: Reader, query: SpendQuery) -> list[Attempts]:
    """Return calls by group, how they went and whether they were repeated.

    Raises:
        QueryTimeoutError: it took too long.
    """
    keys, width = keys_sql(query), len(query.by)
    rows = reader.fetch(f"""
        WITH chosen AS ({rows_sql(query)}),
        repeated AS (SELECT DISTINCT retry_of FROM chosen WHERE retry_of IS NOT NULL)
        SELECT {keys} status, error_type, chosen.retry_of IS NOT NULL AS is_repeat,
            repeated.retry_of IS NOT NULL AS was_repeated, sum(calls), sum(cost_usd),
            sum(CASE WHEN cost_usd IS NULL AND price_state <> 'not_billed' THEN calls ELSE 0 END)
        FROM chosen LEFT JOIN repeated ON chosen.call_id = repeated.retry_of
        WHERE kind <> 'adjustment' AND status IS NOT NULL
        GROUP BY {keys} status, error_type, is_repeat, was_repeated
    """)  # noqa: S608 -- our own statement
    return [
        Attempts(
            row[:width], row[width], row[width + 1], bool(row[width + 2]), bool(row[width + 3]),
            int(row[width + 4]), pico_from_usd(row[width + 5] or 0), int(row[width + 6]),
        )
        for row in rows
    ]  # fmt: skip

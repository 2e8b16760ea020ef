"""Sums for other programs, not for eyes: every group of a query, as columns, without a limit."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tollbook.money import pico_from_usd
from tollbook.reports import measures
from tollbook.reports.build import group_keys, sums_of
from tollbook.reports.table import entries, selected, to_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader


def wide_rows(reader: Reader, query: SpendQuery) -> Iterator[dict[str, Any]]:
    """Yield every group of a query: its dimensions by name, then sums; money in pico.

    ``limit`` and ``order`` of the query do not apply. Times are datetimes as
    :func:`tollbook.reports.table.bucket` has them (local midnight, hours in UTC), without a zone.
    A missing tenant is None. Beside the summed columns of ``entries`` that the measures need
    (a token measure such as ``input_tokens`` is there as its disjoint kinds), ``known_calls``.

    Raises:
        QueryTimeoutError: it took too long.
    """
    sql, names = _wide_sql(query)
    money = [name not in query.by and measures.is_money(name) for name in names]
    for row in reader.fetch(sql):
        yield {
            name: pico_from_usd(value) if is_money and value is not None else value
            for name, value, is_money in zip(names, row, money, strict=True)
        }


@lru_cache(maxsize=256)
def _wide_sql(query: SpendQuery) -> tuple[str, tuple[str, ...]]:
    """Return the statement and the names of its columns; making it takes a tenth of a second."""
    rows = selected(entries(), query)
    sums = sums_of(query, rows)
    if query.by:
        expression = rows.group_by(**group_keys(query, rows)).aggregate(**sums)
    else:
        expression = rows.aggregate(**sums)
    return to_sql(expression), (*query.by, *sums)

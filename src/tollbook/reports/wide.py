"""Sums for other programs, not for eyes: every group of a query, as columns, without a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from tollbook.money import pico_from_usd
from tollbook.reports import measures
from tollbook.reports.build import groups_expression, measure_columns, sums_of
from tollbook.reports.compiled import compiled
from tollbook.reports.cover import cover_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.reports.cover import Scan
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
    names = _names(query)
    money = [name not in query.by and measures.is_money(name) for name in names]
    for row in reader.fetch(_statement(reader, query)):
        yield {
            name: pico_from_usd(value) if is_money and value is not None else value
            for name, value, is_money in zip(names, row, money, strict=True)
        }


def wide_statement(reader: Reader, query: SpendQuery) -> str:
    """Return the statement behind :func:`wide_rows`, for what is computed in the database.

    Its columns are ``d0``, ``d1``, ... (the dimensions), then the sums by name; money in dollars.

    Raises:
        QueryTimeoutError: it took too long to see how it is best answered.
    """
    names = ", ".join((*(f"d{at}" for at in range(len(query.by))), *measure_columns(query)))
    return f"SELECT {names} FROM ({_statement(reader, query)})"  # noqa: S608 -- our own statement


def _statement(reader: Reader, query: SpendQuery) -> str:
    build = groups_expression if query.by else _sums
    bare = replace(query, order=(), limit=1)  # groups are neither ranked nor cut off
    return compiled(build, bare, cover_of(reader, query))


def _sums(query: SpendQuery, scan: Scan) -> Any:
    rows = rows_of(query, scan)
    return rows.aggregate(**sums_of(query, rows))


def _names(query: SpendQuery) -> tuple[str, ...]:
    """Return the names of the statement's columns."""
    return (*query.by, *measure_columns(query))

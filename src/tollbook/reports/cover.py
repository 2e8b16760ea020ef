"""Answer a long query from sums of entries where there are some, and from entries where not.

A rollup (:mod:`tollbook.ledger.rollups`) covers a query if it has the columns that the query
groups and filters by, and if its stretches of time do not cross a bucket of the query. Then the
rows of the query are those of the rollup within the range, and of ``entries``: what is newer than
the rollup, what lies in the first and last stretch of the range, and what rollups leave out. Each
entry is in exactly one of these, and all are sums of the same additive rows, so the answer is the
same.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.ledger.rollup_tables import KEPT, ROLLUPS, Rollup
from tollbook.ledger.schema import ENTRY_COLUMNS
from tollbook.reports import dimensions, measures
from tollbook.reports.cover_window import span_of, window_parts
from tollbook.reports.table import TYPES, entries, matching, selected, timestamp_sql
from tollbook.reports.zone import Piece, pieces, zone_of
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

_RANGE_MIN: Final = timedelta(days=7)
"""Of a shorter range the calls are added up in no time."""
_WORTH: Final = 4
"""A rollup is used where it has at most a quarter as many rows as entries."""
ROWS: Final = f"rows_{secrets.token_hex(12)}"
"""Stands for the rows of a covered query until they are filled in; no caller knows it."""
_HOUR_S: Final = 3600
_GRAIN: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


class Cover(NamedTuple):
    """Which rollup answers a query, and of which entries and times."""

    rollup: Rollup
    upto_entry: int
    """It has nothing of later entries, and all of these."""
    start: datetime
    """The stretches of the rollup from here (UTC)"""
    end: datetime
    """and before here are used."""


class Scan(NamedTuple):
    """Where the rows of a query come from, and how its zone cuts them."""

    stretches: tuple[Piece, ...]
    is_covered: bool = False


def rows_of(query: SpendQuery, scan: Scan) -> Any:
    """Return the rows of a query as an expression of its own, shared with no other part."""
    return covered(query) if scan.is_covered else selected(entries().view(), query)


def cover_of(reader: Reader, query: SpendQuery) -> Cover | None:
    """Return what covers a query, None where nothing does or it would not be worth it.

    Raises:
        QueryTimeoutError: it took too long.
    """
    since, until = span_of(query)
    if until - since < _RANGE_MIN or query.booked_before:
        return None
    stretches = pieces(zone_of(query.tz), query.since, query.until)
    able = [one for one in ROLLUPS if _has_columns(one, query) and _fits(one, query, stretches)]
    if not able:
        return None
    found = reader.fetch("SELECT name, upto_entry, rows FROM rollups")
    filled = {name: (upto, rows) for name, upto, rows in found}
    for rollup in able:
        upto, rows = filled.get(rollup.table, (0, 0))
        if rows and upto >= _WORTH * rows:
            start, end = _inner(since, until, _GRAIN[rollup.grain])
            return Cover(rollup, _known_upto(reader, query, rollup, upto), start, end)
    return None


def _known_upto(reader: Reader, query: SpendQuery, rollup: Rollup, upto: int) -> int:
    """Return the last chunk of a rollup with nothing that was booked after a period was closed."""
    closed = None if query.entry_window is None else query.entry_window.upto_entry
    if closed is None or closed >= upto:
        return upto
    sql = f"SELECT coalesce(max(upto_entry), 0) FROM {rollup.table} WHERE upto_entry <= ?"  # noqa: S608 -- constants
    ((chunk,),) = reader.fetch(sql, [closed])
    return int(chunk)


def _has_columns(rollup: Rollup, query: SpendQuery) -> bool:
    has = {*KEPT, *rollup.columns} - (set() if rollup.has_tenants else {"tenant_id"})
    names = {*query.by, *(one.dimension for one in query.where)} - set(dimensions.TIMES)
    return all(_columns(name) <= has for name in names)


def _columns(name: str) -> set[str]:
    """Return the columns that a dimension is made of."""
    if name == dimensions.MODEL:
        return {"model_actual", "model_requested"}
    return {dimensions.COLUMNS.get(name, name)}


def _fits(rollup: Rollup, query: SpendQuery, stretches: Sequence[Piece]) -> bool:
    """Whether no stretch of the rollup crosses a bucket of the query."""
    times = [name for name in query.by if name in dimensions.TIMES]
    if not times:
        return True
    if rollup.grain == "hour":
        return all(one.offset_s % _HOUR_S == 0 for one in stretches)
    return "hour" not in times and not any(one.offset_s for one in stretches)


def _inner(since: datetime, until: datetime, grain: timedelta) -> tuple[datetime, datetime]:
    """Return the part of a range that consists of whole stretches."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = epoch + -(-(since - epoch) // grain) * grain
    end = epoch + (until - epoch) // grain * grain
    return (start, end) if start < end else (until, until)


def covered(query: SpendQuery) -> Any:
    """Return the rows of a covered query as a table of their own, which :func:`cover_sql` fills."""
    import ibis  # noqa: PLC0415 -- loaded when the first report is asked for

    types = {column.name: TYPES[column.sql] for column in ENTRY_COLUMNS} | {"calls": "int64"}
    rows = ibis.table({name: types[name] for name in needed(query)}, name=ROWS)
    return matching(rows.view(), query.where)


def cover_sql(query: SpendQuery, cover: Cover) -> str:
    """Return the rows that stand for :data:`ROWS`: of a rollup, and of entries, with like columns.

    It is text, because compiling five times the same selection took longer than running it.
    """
    names = ", ".join("calls::BIGINT AS calls" if one == "calls" else one for one in needed(query))
    parts = range_parts(query, cover) if query.entry_window is None else window_parts(query, cover)
    return " UNION ALL ".join(
        f"SELECT {names} FROM {table} WHERE {which}"  # noqa: S608 -- no text of a caller
        for table, which in parts
    )


def range_parts(query: SpendQuery, cover: Cover) -> Sequence[tuple[str, str]]:
    """Return tables, and which of their rows make up a range."""
    since, until = timestamp_sql(query.since), timestamp_sql(query.until)
    start, end = timestamp_sql(cover.start), timestamp_sql(cover.end)
    whole = f"called_at >= {start} AND called_at < {end}"
    upto = cover.upto_entry
    return (
        (cover.rollup.table, f"{whole} AND upto_entry <= {upto}"),
        ("entries", f"{whole} AND entry_id > {upto}"),
        ("entries", f"{whole} AND entry_id <= {upto} AND part > 0 AND cost_usd IS NULL"),
        ("entries", f"called_at >= {since} AND called_at < {start}"),
        ("entries", f"called_at >= {end} AND called_at < {until}"),
    )


@lru_cache(maxsize=256)
def needed(query: SpendQuery) -> tuple[str, ...]:
    """Return the columns that the sums and groups of a query are made of."""
    named = {*query.by, *(one.dimension for one in query.where)} - set(dimensions.TIMES)
    wanted = ["called_at", *KEPT, "cost_usd", *measures.base_columns(query.measures)]
    for name in sorted(named):
        wanted += sorted(_columns(name))
    if f"{measures.UNSPLIT}_layer_tokens" in wanted:
        wanted += TOKEN_KINDS  # what all of an old entry's tokens are added up from
    return tuple(dict.fromkeys(wanted))

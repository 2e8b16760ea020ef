"""Answer a long query from sums of entries where there are some, and from entries where not.

A rollup (:mod:`tollbook.ledger.rollups`) covers a query if it has the columns that the query
groups and filters by, and if its stretches of time do not cross a bucket of the query. Then the
rows of the query are those of the rollup within the range, and of ``entries``: what is newer than
the rollup, what lies in the first and last stretch of the range, and what rollups leave out. Each
entry is in exactly one of these, and all are sums of the same additive rows, so the answer is the
same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.ledger.rollup_tables import KEPT, ROLLUPS, SUMMED, Rollup
from tollbook.ledger.schema import ENTRY_COLUMNS
from tollbook.reports import dimensions, measures
from tollbook.reports.table import TYPES, entries, matching, moment, selected
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
    cover: Cover | None = None


def rows_of(query: SpendQuery, scan: Scan) -> Any:
    """Return the rows of a query as an expression of its own, shared with no other part."""
    if scan.cover is None:
        return selected(entries().view(), query)
    return covered(query, scan.cover)


def cover_of(reader: Reader, query: SpendQuery) -> Cover | None:
    """Return what covers a query, None where nothing does or it would not be worth it.

    Raises:
        QueryTimeoutError: it took too long.
    """
    if query.until - query.since < _RANGE_MIN or query.booked_before or query.billing_period:
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
            start, end = _inner(query, _GRAIN[rollup.grain])
            return Cover(rollup, upto, start, end)
    return None


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


def _inner(query: SpendQuery, grain: timedelta) -> tuple[datetime, datetime]:
    """Return the part of the range that consists of whole stretches."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = epoch + -(-(query.since - epoch) // grain) * grain
    end = epoch + (query.until - epoch) // grain * grain
    return (start, end) if start < end else (query.until, query.until)


@cache
def _rolled(rollup: Rollup) -> Any:
    import ibis  # noqa: PLC0415 -- loaded when the first report is asked for

    types = {column.name: TYPES[column.sql] for column in ENTRY_COLUMNS}
    names = ("called_at", *KEPT, *rollup.columns, *SUMMED)
    columns = {"upto_entry": "int64"} | {name: types[name] for name in names} | {"calls": "int64"}
    return ibis.table(columns, name=rollup.table)


def covered(query: SpendQuery, cover: Cover) -> Any:
    """Return the rows of a query: those of a rollup, and of entries, with the same columns."""
    import ibis  # noqa: PLC0415 -- as above

    rolled, table = _rolled(cover.rollup).view(), entries().view()
    start, end, upto = moment(cover.start), moment(cover.end), cover.upto_entry
    whole = (table.called_at >= start) & (table.called_at < end)
    is_odd = (table.part > 0).fill_null(False) & table.cost_usd.isnull()
    parts = [
        rolled.filter(rolled.called_at >= start, rolled.called_at < end, rolled.upto_entry <= upto),
        table.filter(whole, table.entry_id > upto),
        table.filter(whole, table.entry_id <= upto, is_odd),
        table.filter(table.called_at >= moment(query.since), table.called_at < start),
        table.filter(table.called_at >= end, table.called_at < moment(query.until)),
    ]
    names = _needed(query)
    alike = [
        part.select(*(name for name in names if name != "calls"), calls=part.calls.cast("int64"))
        for part in parts
    ]
    return matching(ibis.union(*alike, distinct=False), query.where)


def _needed(query: SpendQuery) -> list[str]:
    """Return the columns that the sums and groups of a query are made of."""
    named = {*query.by, *(one.dimension for one in query.where)} - set(dimensions.TIMES)
    wanted = ["called_at", *KEPT, "cost_usd", *measures.base_columns(query.measures)]
    for name in sorted(named):
        wanted += sorted(_columns(name))
    if f"{measures.UNSPLIT}_layer_tokens" in wanted:
        wanted += TOKEN_KINDS  # what all of an old entry's tokens are added up from
    return list(dict.fromkeys(wanted))

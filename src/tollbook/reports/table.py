"""The ``entries`` table as an Ibis expression, and what a query's words mean on it.

Nothing here touches a database: the expression is bound to an engine when it is compiled. Ibis is
imported on first use, because a command that asks a running ledger does not need it.
"""

from __future__ import annotations

from functools import cache, reduce
from operator import add
from typing import TYPE_CHECKING, Any

from tollbook.ledger.schema import ENTRY_COLUMNS, MONEY_SQL
from tollbook.reports import dimensions
from tollbook.usage import INPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tollbook.reports.query import EntryWindow, Filter, SpendQuery
    from tollbook.reports.zone import Piece

TYPES = {
    "BIGINT": "int64",
    "INTEGER": "int32",
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "TIMESTAMP": "timestamp(6)",
    "UUID": "uuid",
    MONEY_SQL: "decimal(38, 12)",
}
_STEP_TOKENS = 200_000
_TRUNCATE = {"hour": "h", "day": "D", "week": "W", "month": "M"}


@cache
def entries() -> Any:
    """Return the unbound table."""
    import ibis  # noqa: PLC0415 -- loaded when the first report is asked for

    columns = {column.name: TYPES[column.sql] for column in ENTRY_COLUMNS}
    return ibis.table(columns, name="entries")


def to_sql(expression: Any) -> str:
    """Return DuckDB's SQL for an expression; values are quoted by the compiler."""
    import ibis  # noqa: PLC0415 -- as above

    return str(ibis.duckdb.compile(expression))


def moment(at: datetime) -> Any:
    """Return a UTC moment as a literal of the table's timestamp type."""
    import ibis  # noqa: PLC0415 -- as above

    return ibis.literal(at.replace(tzinfo=None), type="timestamp(6)")


def timestamp_sql(at: datetime) -> str:
    """Return a UTC moment as SQL, for statements that are filled in."""
    return f"TIMESTAMP '{at.replace(tzinfo=None).isoformat(sep=' ', timespec='microseconds')}'"


def in_range(table: Any, since: datetime, until: datetime, booked_before: datetime | None) -> Any:
    """Return the rows called in ``[since, until)`` and, where given, booked before a moment."""
    rows = table.filter(table.called_at >= moment(since), table.called_at < moment(until))
    if booked_before is not None:
        rows = rows.filter(rows.booked_at < moment(booked_before))
    return rows


def selected(table: Any, query: SpendQuery) -> Any:
    """Return the rows that a query is about: its range, its billing period, its filters."""
    rows = in_range(table, query.since, query.until, query.booked_before)
    if query.billing_period is not None:
        assert query.entry_window is not None, "a billing period is looked up before it is asked"
        rows = in_window(rows, query.entry_window)
    return matching(rows, query.where)


def in_window(rows: Any, window: EntryWindow) -> Any:
    """Return the rows that belong to a billing period as billed."""
    named, at = rows.billing_period, rows.called_at
    start, end = moment(window.start), moment(window.end)
    is_own = (named.isnull() & (at >= start) & (at < end)) | (named == window.period).fill_null(
        False
    )
    if window.upto_entry is not None:
        rows = rows.filter(rows.entry_id <= window.upto_entry)
    if window.after_entry is None:
        return rows.filter(is_own)
    is_earlier = (named.isnull() & (at < start)) | (named < window.period).fill_null(False)
    return rows.filter(is_own | (is_earlier & (rows.entry_id > window.after_entry)))


def matching(table: Any, where: Sequence[Filter]) -> Any:
    """Return the rows that match every filter."""
    for item in where:
        table = table.filter(_predicate(table, item))
    return table


def _predicate(table: Any, item: Filter) -> Any:
    column = dimension(table, item.dimension)
    values = [value for value in item.values if value is not None]
    has_unset = len(values) != len(item.values)
    if item.dimension == "tenant" and has_unset:
        values.append(dimensions.UNKNOWN)
    matches = column.isin(values) if values else None
    if has_unset:
        matches = column.isnull() if matches is None else column.isnull() | matches
    assert matches is not None, "a filter has a value"
    # NULL IN (...) is NULL, which is neither matched nor its negation: make it false first.
    matches = matches.fill_null(False)
    return ~matches if item.negate else matches


def dimension(table: Any, name: str) -> Any:
    """Return the text column of a dimension that is not a time."""
    if name == dimensions.MODEL:
        return table.model_actual.fill_null(table.model_requested)
    if name == dimensions.IS_BATCH:
        return table.provider_batch_id.notnull().ifelse("true", "false")
    if name == dimensions.OPERATION_ID:
        return table.operation_id.fill_null(table.call_id).cast("string")
    if name == dimensions.CONTEXT or name.startswith(dimensions.OVER_PREFIX):
        return _input_step(table, name)
    if name.startswith(dimensions.TAG_PREFIX):
        tag = name.removeprefix(dimensions.TAG_PREFIX)
        return table.tags.cast("json")[f'$."{tag}"'].unwrap_as("string")
    return table[dimensions.COLUMNS[name]]


def _input_step(table: Any, name: str) -> Any:
    if name == dimensions.CONTEXT:
        return (_input_tokens(table).abs() > _STEP_TOKENS).ifelse("200k-1M", "0-200k")
    edge = int(name.removeprefix(dimensions.OVER_PREFIX))
    return (_input_tokens(table).abs() > edge).ifelse("true", "false")


def _input_tokens(table: Any) -> Any:
    # Of a reversal they are negative, and it belongs where its charge was.
    return reduce(add, (table[kind].fill_null(0) for kind in INPUT_KINDS))


def bucket(table: Any, name: str, stretches: Sequence[Piece]) -> Any:
    """Return the start of the local hour (in UTC), day, week or month (as local midnight).

    Local dates name days, weeks and months exactly. Hours are named by their moment in UTC, because
    the local hour that daylight saving time repeats comes twice.

    Args:
        table: with ``called_at``.
        name: of the bucket.
        stretches: of the zone within the range, see :func:`tollbook.reports.zone.pieces`.
    """
    import ibis  # noqa: PLC0415 -- as above

    def local(offset_s: int) -> Any:
        shifted = table.called_at + ibis.interval(seconds=offset_s) if offset_s else table.called_at
        start = shifted.truncate(_TRUNCATE[name])
        back = name == "hour" and offset_s
        return start - ibis.interval(seconds=offset_s) if back else start

    first, *later = stretches
    # The newest stretch first: most calls are recent, and CASE stops at the first match.
    branches = [
        (table.called_at >= moment(piece.start), local(piece.offset_s)) for piece in reversed(later)
    ]
    otherwise = local(first.offset_s)
    return ibis.cases(*branches, else_=otherwise) if branches else otherwise

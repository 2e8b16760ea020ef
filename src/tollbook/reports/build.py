"""One query object becomes one expression: its groups, the rest beyond the limit, and the states.

Each row of the answer belongs to one ``part``. All parts are sums over the same snapshot; the
states are added up from the entries on their own, so that comparing them with the groups checks
the groups.
"""

from __future__ import annotations

from functools import reduce
from operator import add, or_
from typing import TYPE_CHECKING, Any, Final

from tollbook.reports import dimensions, measures
from tollbook.reports.cover import rows_of
from tollbook.reports.dimensions import TIMES
from tollbook.reports.table import bucket, dimension
from tollbook.reports.zone import pieces, zone_of
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.reports.cover import Scan
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.zone import Piece

GROUP: Final = 0
OTHER: Final = 1
STATE: Final = 2
_UNSPLIT_TOKENS: Final = f"{measures.UNSPLIT}_layer_tokens"
_UNSPLIT_COST: Final = f"{measures.UNSPLIT}_layer_cost_usd"
STATES: Final = ("unattributed", "price_state", "usage_source", "status")
"""Columns of a STATE row: whether the tenant is unknown, then as in ``entries``."""


def columns(query: SpendQuery) -> tuple[str, ...]:
    """Return the names of the answer's columns, in order."""
    return (
        "part",
        "place",
        *_dimension_names(query),
        *STATES,
        *measure_columns(query),
        measures.UNPRICED_PARTS,
    )


def measure_columns(query: SpendQuery) -> tuple[str, ...]:
    """Return the summed columns: those of ``entries``, then counts of certain calls."""
    counts = (name for name in (measures.ERRORS, measures.OPERATIONS) if name in query.measures)
    return (*measures.base_columns(query.measures), measures.KNOWN_CALLS, *counts)


def _dimension_names(query: SpendQuery) -> tuple[str, ...]:
    return tuple(f"d{at}" for at in range(len(query.by)))


def spend_expression(query: SpendQuery, scan: Scan) -> Any:
    """Return the expression that answers a query; see :func:`columns` for its shape."""
    import ibis  # noqa: PLC0415 -- loaded when the first report is asked for

    parts = [_states(query, rows_of(query, scan))]
    if query.by:
        # A view of its own: of a part that two others share, DuckDB would make a copy first,
        # here of every entry in the range.
        ranked = _ranked(query, rows_of(query, scan), scan.stretches)
        kept = ranked.filter(ranked.place < query.limit)
        rest = ranked.filter(ranked.place >= query.limit)
        other = rest.aggregate(
            place=rest.count(), **{name: rest[name].sum() for name in measure_columns(query)}
        )
        other = other.filter(other.place > 0)
        parts += [_shaped(query, GROUP, kept), _shaped(query, OTHER, other)]
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]


def sums_of(query: SpendQuery, rows: Any) -> dict[str, Any]:
    """Return the sums that the measures of a query need, by the names of the answer's columns."""
    sums = {name: _column(rows, name).sum() for name in measures.base_columns(query.measures)}
    sums[measures.KNOWN_CALLS] = rows.calls.sum(where=rows.cost_usd.notnull())
    if measures.ERRORS in query.measures:
        sums[measures.ERRORS] = rows.calls.sum(where=rows.status == "error")
    if measures.OPERATIONS in query.measures:
        sums[measures.OPERATIONS] = rows.calls.sum(where=rows.retry_of.isnull())
    return sums


def _column(rows: Any, name: str) -> Any:
    """Return a column of entries; those booked before there were layers are all unsplit."""
    if name == _UNSPLIT_COST:
        return rows[name].fill_null(rows.cost_usd)
    if name == _UNSPLIT_TOKENS:
        tokens = reduce(add, (rows[kind] for kind in TOKEN_KINDS))
        return rows[name].fill_null(tokens)
    return rows[name]


def _states(query: SpendQuery, rows: Any) -> Any:
    unattributed = (rows.tenant_id.isnull() | (rows.tenant_id == dimensions.UNKNOWN)).fill_null(
        True
    )
    # Parts count no call: of those without a price the number is told beside.
    sign = (rows.kind == "reversal").ifelse(-1, 1)
    grouped = rows.group_by(
        unattributed=unattributed,
        price_state=rows.price_state,
        usage_source=rows.usage_source,
        status=rows.status,
    ).aggregate(
        **sums_of(query, rows),
        **{measures.UNPRICED_PARTS: sign.sum(where=(rows.part > 0) & rows.cost_usd.isnull())},
    )
    return _shaped(query, STATE, grouped)


def _ranked(query: SpendQuery, rows: Any, stretches: Sequence[Piece]) -> Any:
    """Return the groups with their place in the wanted order; those that net to nothing left out.

    A call that was reversed and booked anew elsewhere leaves a group of zeros behind.
    """
    import ibis  # noqa: PLC0415 -- as above

    groups = rows.group_by(**group_keys(query, rows, stretches)).aggregate(**sums_of(query, rows))
    groups = groups.filter(
        reduce(or_, (groups[name].fill_null(0) != 0 for name in measure_columns(query)))
    )
    order = [_order_key(query, groups, name) for name in (*_order(query), *_tie_breakers(query))]
    return groups.mutate(place=ibis.row_number().over(order_by=order))


def group_keys(
    query: SpendQuery, rows: Any, stretches: Sequence[Piece] | None = None
) -> dict[str, Any]:
    """Return what the rows of a query are grouped by, under the names of the answer's columns.

    ``stretches`` are those of its zone, where they are known already.
    """
    if stretches is None:
        stretches = pieces(zone_of(query.tz), query.since, query.until)
    return {
        f"d{at}": bucket(rows, name, stretches) if name in TIMES else _key(rows, name)
        for at, name in enumerate(query.by)
    }


def _key(rows: Any, name: str) -> Any:
    column = dimension(rows, name)
    return column.nullif(dimensions.UNKNOWN) if name == "tenant" else column


def _order(query: SpendQuery) -> Sequence[str]:
    """Return the wanted order; by default time goes forward, and within it the dearest first."""
    if query.order:
        return query.order
    return [
        *(name for name in query.by if name in TIMES),
        f"-{measures.COST}",
        f"-{measures.CALLS}",
    ]


def _tie_breakers(query: SpendQuery) -> list[str]:
    named = {name.removeprefix("-") for name in _order(query)}
    return [name for name in query.by if name not in named]


def _order_key(query: SpendQuery, groups: Any, name: str) -> Any:
    plain = name.removeprefix("-")
    if plain in query.by:
        value = groups[f"d{query.by.index(plain)}"]
    elif plain in measures.TOKEN_SUMS:
        parts = (groups[kind].fill_null(0) for kind in measures.TOKEN_SUMS[plain])
        value = reduce(lambda total, part: total + part, parts)
    else:
        value = groups[plain]
    return value.desc(nulls_first=False) if name != plain else value.asc(nulls_first=False)


def _shaped(query: SpendQuery, part: int, rows: Any) -> Any:
    """Bring a part to the common columns and types."""
    import ibis  # noqa: PLC0415 -- as above

    has = set(rows.columns)

    def column(name: str, kind: str) -> Any:
        return (rows[name] if name in has else ibis.null()).cast(kind).name(name)

    names = _dimension_names(query)
    return rows.select(
        ibis.literal(part, type="int8").name("part"),
        column("place", "int64"),
        *(
            column(key, "timestamp(6)" if name in TIMES else "string")
            for key, name in zip(names, query.by, strict=True)
        ),
        column("unattributed", "boolean"),
        *(column(name, "string") for name in STATES[1:]),
        *(
            column(name, "decimal(38, 12)" if measures.is_money(name) else "int64")
            for name in measure_columns(query)
        ),
        column(measures.UNPRICED_PARTS, "int64"),
    )

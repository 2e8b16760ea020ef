"""One query object becomes one statement: its groups, the rest beyond the limit, and the states.

Each row of the answer belongs to one ``part``. All parts are sums over the same snapshot; the
states are added up from the entries on their own, so that comparing them with the groups checks
the groups.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook.reports import dimensions, measures
from tollbook.reports.compiled import compiled
from tollbook.reports.cover import rows_of
from tollbook.reports.dimensions import TIMES
from tollbook.reports.table import bucket, dimension
from tollbook.reports.zone import pieces, zone_of
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.reports.cover import Cover, Scan
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


def spend_statement(query: SpendQuery, cover: Cover | None) -> str:
    """Return the statement that answers a query; see :func:`columns` for its shape.

    Only what is summed is an expression; that groups are ranked, cut off at a limit and put beside
    the states is the same text for all queries.
    """
    bare = replace(query, order=(), limit=1, by=(), tz="UTC")
    states = compiled(states_expression, bare, cover)
    names = _dimension_names(query)
    sums = measure_columns(query)
    nothing = ["NULL"] * (1 + len(names))
    of_states = [str(STATE), *nothing, *STATES, *sums, measures.UNPRICED_PARTS]
    parts = [f"SELECT {', '.join(of_states)} FROM ({states}) AS states"]  # noqa: S608 -- no text of a caller
    if not query.by:
        return parts[0]
    groups = compiled(groups_expression, replace(query, order=(), limit=1), cover)
    # A call that was reversed and booked anew elsewhere leaves a group of zeros behind.
    is_something = " OR ".join(f"coalesce({name}, 0) <> 0" for name in sums)
    order = ", ".join(_order_key(query, name) for name in (*_order(query), *_tie_breakers(query)))
    shown = [
        name if dimension in TIMES else f"CAST({name} AS VARCHAR)"
        for name, dimension in zip(names, query.by, strict=True)
    ]
    no_state = ["NULL"] * len(STATES)
    of_groups = [str(GROUP), "place", *shown, *no_state, *sums, "NULL"]
    of_rest = [str(OTHER), "count(*)", *["NULL"] * len(names), *no_state,
               *(f"sum({name})" for name in sums), "NULL"]  # fmt: skip
    return (
        f"WITH ranked AS (SELECT *, row_number() OVER (ORDER BY {order}) - 1 AS place "  # noqa: S608 -- as above
        f"FROM ({groups}) AS summed WHERE {is_something}) "
        f"SELECT {', '.join(of_groups)} FROM ranked WHERE place < {query.limit} UNION ALL "
        f"SELECT {', '.join(of_rest)} FROM ranked WHERE place >= {query.limit} "
        f"HAVING count(*) > 0 UNION ALL {parts[0]}"
    )


def groups_expression(query: SpendQuery, scan: Scan) -> Any:
    """Return the sums of a query by its dimensions."""
    rows = rows_of(query, scan)
    return rows.group_by(**group_keys(query, rows, scan.stretches)).aggregate(
        **sums_of(query, rows)
    )


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


def states_expression(query: SpendQuery, scan: Scan) -> Any:
    """Return the sums of a query by what a reader must know before trusting them."""
    rows = rows_of(query, scan)
    unattributed = (rows.tenant_id.isnull() | (rows.tenant_id == dimensions.UNKNOWN)).fill_null(
        True
    )
    # Parts count no call: of those without a price the number is told beside.
    sign = (rows.kind == "reversal").ifelse(-1, 1)
    return rows.group_by(
        unattributed=unattributed,
        price_state=rows.price_state,
        usage_source=rows.usage_source,
        status=rows.status,
    ).aggregate(
        **sums_of(query, rows),
        **{measures.UNPRICED_PARTS: sign.sum(where=(rows.part > 0) & rows.cost_usd.isnull())},
    )


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


def _order_key(query: SpendQuery, name: str) -> str:
    """Return what groups are ranked by; unknown is last either way."""
    plain = name.removeprefix("-")
    if plain in query.by:
        value = f"d{query.by.index(plain)}"
    elif plain in measures.TOKEN_SUMS:
        value = " + ".join(f"coalesce({kind}, 0)" for kind in measures.TOKEN_SUMS[plain])
    else:
        value = plain
    return f"{value} {'DESC' if name != plain else 'ASC'} NULLS LAST"

"""What one of something costs: a request of a user, a run of an agent, a trace, an operation.

A request may have calls of several models or steps, so it is counted in each group that it has
calls in, and the groups do not add up; the totals count it once. Averages are exact quotients of
sums, rounded once for display; the database divides nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.build import group_keys
from tollbook.reports.compiled import compiled
from tollbook.reports.errors import QueryError, UnknownNameError
from tollbook.reports.exact_ratio import usd_each
from tollbook.reports.params import from_pairs
from tollbook.reports.query import SpendQuery
from tollbook.reports.spend import CURRENCY, Completeness, label, run_spend
from tollbook.reports.table import dimension, entries, selected

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tollbook.reports.cover import Scan
    from tollbook.reports.reader import Reader

UNITS: Final = {
    "request": "request",
    "run": "agent_run",
    "trace": "trace",
    "operation": "operation_id",
}
"""What can be counted, and the dimension that names it."""
_FIXED: Final = ("measures", "order")
_SUMS: Final = (
    "units", "calls", "known_calls", "cost", "largest", "unnamed_calls", "unnamed_cost",
)  # fmt: skip


class UnitsReport(Struct, frozen=True, kw_only=True):
    """Rows by group, the dearest first.

    ``cost_per_unit_usd`` is ``cost_usd`` by ``units``. Calls that name no unit are beside them:
    ``unnamed_calls`` and ``unnamed_cost_usd``.
    """

    unit: str
    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    has_more: bool
    """There are more groups than were asked for."""
    completeness: Completeness
    query: SpendQuery
    currency: str = CURRENCY


def units_query(unit: str, pairs: Iterable[tuple[str, str]], now: datetime) -> SpendQuery:
    """Build the query from named texts (see :mod:`tollbook.reports.params`).

    Raises:
        UnknownNameError: there is no such unit.
        QueryError: measures or an order are given, which are fixed, or as ``from_pairs``.
    """
    if unit not in UNITS:
        raise UnknownNameError("unit", unit, UNITS)
    given = list(pairs)
    for name, _ in given:
        if name in _FIXED:
            raise QueryError(f"--{name}", "is fixed here; use report spend")
    return from_pairs(given, now)


def run_units(reader: Reader, unit: str, query: SpendQuery) -> UnitsReport:
    """Answer a query made by :func:`units_query`.

    Raises:
        QueryTimeoutError: it took too long.
    """
    found = reader.fetch(compiled(_EXPRESSIONS[unit], query)) if query.by else []
    kept = found[: query.limit]
    whole = SpendQuery(
        since=query.since, until=query.until, tz=query.tz, where=query.where,
        booked_before=query.booked_before, billing_period=query.billing_period,
        entry_window=query.entry_window,
    )  # fmt: skip
    ((*total,),) = reader.fetch(compiled(_EXPRESSIONS[unit], whole))
    totals = _measured(dict(zip(_SUMS, total, strict=True)))
    width = len(query.by)
    rows = [
        {name: label(query, name, value) for name, value in zip(query.by, row, strict=False)}
        | _measured(dict(zip(_SUMS, row[width:], strict=True)))
        for row in kept
    ]
    return UnitsReport(
        unit=unit,
        rows=rows if query.by else [totals],
        totals=totals,
        has_more=len(found) > len(kept),
        completeness=run_spend(reader, whole).completeness,
        query=query,
    )


def _expression(unit: str, query: SpendQuery, scan: Scan) -> Any:
    rows = selected(entries(), query)
    keys = group_keys(query, rows, scan.stretches)
    by_unit = rows.group_by(unit=dimension(rows, UNITS[unit]), **keys).aggregate(
        calls=rows.calls.sum(),
        known_calls=rows.calls.sum(where=rows.cost_usd.notnull()),
        cost=rows.cost_usd.sum(),
    )
    # A call that was reversed and booked elsewhere leaves nothing but zeros behind.
    some = by_unit.filter((by_unit.calls != 0) | (by_unit.cost.fill_null(0) != 0))
    is_named = some.unit.notnull()
    sums = {
        "units": some.unit.count(where=is_named & (some.calls > 0)),
        "calls": some.calls.sum(where=is_named),
        "known_calls": some.known_calls.sum(where=is_named),
        "cost": some.cost.sum(where=is_named),
        "largest": some.cost.max(where=is_named),
        "unnamed_calls": some.calls.sum(where=~is_named),
        "unnamed_cost": some.cost.sum(where=~is_named),
    }
    if not keys:
        return some.aggregate(**sums).select(*_SUMS)
    groups = some.group_by(*keys).aggregate(**sums)
    order = [groups.cost.desc(nulls_first=False), groups.calls.desc(nulls_first=False)]
    order += [groups[key].asc(nulls_first=False) for key in keys]
    return groups.order_by(order).limit(query.limit + 1).select(*keys, *_SUMS)


_EXPRESSIONS: Final = {unit: partial(_expression, unit) for unit in UNITS}
"""Each once: what is compiled is kept by the function that made it."""


def _measured(sums: dict[str, Any]) -> dict[str, Any]:
    units, calls = int(sums["units"] or 0), int(sums["calls"] or 0)
    is_known = not calls or bool(sums["known_calls"])
    cost = _pico(sums["cost"])
    return {
        "units": units,
        "calls": calls,
        "cost_usd": usd_text(cost) if is_known else None,
        "cost_per_unit_usd": usd_each(cost, units) if is_known else None,
        "largest_unit_usd": None if sums["largest"] is None else usd_text(_pico(sums["largest"])),
        "unknown_cost_calls": calls - int(sums["known_calls"] or 0),
        "unnamed_calls": int(sums["unnamed_calls"] or 0),
        "unnamed_cost_usd": usd_text(_pico(sums["unnamed_cost"])),
    }


def _pico(value: Any) -> int:
    return 0 if value is None else pico_from_usd(value)

"""What the dearest requests cost: quantiles of the cost of one request, run, trace or operation.

A quantile is the cost of a unit that is there (the nearest rank, rounded up), so it is exact and
nothing is interpolated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.money import pico_from_usd
from tollbook.reports.build import group_keys
from tollbook.reports.compiled import compiled
from tollbook.reports.errors import UnknownNameError
from tollbook.reports.table import dimension, entries, selected
from tollbook.reports.units import UNITS

if TYPE_CHECKING:
    from tollbook.reports.cover import Scan
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

QUANTILES: Final = (50, 90, 95, 99)


class UnitQuantiles(NamedTuple):
    """Costs of one unit in pico."""

    units: int
    """Whose cost is known."""
    total: int
    quantiles: tuple[int, ...]
    """As :data:`QUANTILES`."""
    largest: int


def unit_quantiles(
    reader: Reader, unit: str, query: SpendQuery
) -> dict[tuple[Any, ...], UnitQuantiles]:
    """Return the quantiles of each group of a query, by the values of its dimensions.

    Args:
        reader: the ledger.
        unit: of :data:`tollbook.reports.units.UNITS`.
        query: range, groups and filters; measures, order and limit do not apply.

    Raises:
        UnknownNameError: there is no such unit.
        QueryTimeoutError: it took too long.
    """
    if unit not in UNITS:
        raise UnknownNameError("unit", unit, UNITS)
    width = len(query.by)
    keys = "".join(f"d{at}, " for at in range(width))
    grouped = "GROUP BY ALL" if width else ""
    ranks = ", ".join(f"0.{one:02d}" for one in QUANTILES)
    rows = reader.fetch(
        f"SELECT {keys} count(*), sum(cost), quantile_disc(cost, [{ranks}]), max(cost) "  # noqa: S608 -- our own statement
        f"FROM ({compiled(_UNITS[unit], query)}) "
        f"WHERE unit IS NOT NULL AND calls > 0 AND cost IS NOT NULL {grouped}"
    )
    return {
        row[:width]: UnitQuantiles(
            int(row[width]), pico_from_usd(row[width + 1]),
            tuple(pico_from_usd(one) for one in row[width + 2]), pico_from_usd(row[width + 3]),
        )
        for row in rows if row[width]
    }  # fmt: skip


def _of_unit(unit: str, query: SpendQuery, scan: Scan) -> Any:
    rows = selected(entries(), query)
    keys = group_keys(query, rows, scan.stretches)
    return rows.group_by(unit=dimension(rows, UNITS[unit]), **keys).aggregate(
        calls=rows.calls.sum(), cost=rows.cost_usd.sum()
    )


def _of_requests(query: SpendQuery, scan: Scan) -> Any:
    return _of_unit("request", query, scan)


def _of_runs(query: SpendQuery, scan: Scan) -> Any:
    return _of_unit("run", query, scan)


def _of_traces(query: SpendQuery, scan: Scan) -> Any:
    return _of_unit("trace", query, scan)


def _of_operations(query: SpendQuery, scan: Scan) -> Any:
    return _of_unit("operation", query, scan)


# Functions of the module, since compiled statements are kept by the function that made them.
_UNITS: Final = {
    "request": _of_requests, "run": _of_runs, "trace": _of_traces, "operation": _of_operations,
}  # fmt: skip

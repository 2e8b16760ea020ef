"""``insights.units``: what one request, run, trace or operation costs, or one of a business metric.

A business metric is a document of the books that finance imported for allocation (seats, resolved
tickets), by owner and day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook.insights.asked import (
    Asked,
    Finding,
    answer,
    checked_limit,
    dimension_of,
    query_of,
    shown,
    usd_or_none,
)
from tollbook.insights.business_metric import metric_quantities, metric_unit
from tollbook.insights.change import range_before
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import UnknownNameError
from tollbook.reports.exact_ratio import percent, rounded
from tollbook.reports.unit_quantiles import QUANTILES, UnitQuantiles, unit_quantiles
from tollbook.reports.units import UNITS
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from fractions import Fraction

    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery

METRIC: Final = "metric:"
METHOD: Final = (
    "The cost of all calls that name the unit, by the number of units, rounded once; before is "
    "the range just before, as long. A unit with calls in several groups counts in each. "
    "Quantiles are the cost of the unit at that rank, the nearest above, of units whose cost is "
    "known. Calls that name no unit are not in it."
)
METRIC_METHOD: Final = (
    "The cost of each owner's calls in the range by the quantity that the books' metric has for "
    "that owner in the same days (its last value, sum, or average over the days, as it was "
    "imported), rounded once. Owners without a quantity are not in the total's quotient; their "
    "cost is told apart."
)


class UnitsRequest(Asked, kw_only=True):
    """Of what."""

    unit: str = "request"
    """``request``, ``run``, ``trace``, ``operation``, or ``metric:NAME``."""
    by: str = "feature"
    """Of a metric: the dimension that its owners are, ``tenant`` as a rule."""


def units(desk: Desk, asked: UnitsRequest) -> dict[str, Any]:
    """Answer with the cost of one unit by group, its quantiles, and the range before."""
    if asked.unit.startswith(METRIC):
        return _per_metric(desk, asked, asked.unit.removeprefix(METRIC))
    if asked.unit not in UNITS:
        raise UnknownNameError("--unit", asked.unit, (*UNITS, "metric:NAME"))
    by = dimension_of(asked.by)
    query = query_of(asked, by=(by,))
    since, until = range_before(query)
    before = unit_quantiles(desk.reader, asked.unit, replace(query, since=since, until=until))
    found = unit_quantiles(desk.reader, asked.unit, query)
    whole = unit_quantiles(desk.reader, asked.unit, replace(query, by=())).get(())
    ranked = sorted(found.items(), key=lambda item: (-item[1].total, str(item[0])))
    rows = [
        {by: _name(by, name)} | _measures(one, before.get((name,)))
        for (name,), one in ranked[: checked_limit(asked.limit)]
    ]
    totals = _measures(whole, None) if whole else {"units": 0, "cost_per_unit_usd": None}
    return answer(desk, query, Finding(
        rows=rows, by=(by,), method=METHOD, totals=totals, at_stake=None,
        headline=(
            f"One {asked.unit} costs {shown(rounded(whole.total, whole.units))} on average; one "
            f"in a hundred costs {shown(whole.quantiles[-1])} or more."
            if whole else f"No call in this range names a {asked.unit}."
        ),
        more={"unit": asked.unit},
    ))  # fmt: skip


def _name(by: str, name: str | None) -> str | None:
    return UNKNOWN if by == "tenant" and name is None else name


def _measures(one: UnitQuantiles, before: UnitQuantiles | None) -> dict[str, Any]:
    each = rounded(one.total, one.units)
    earlier = rounded(before.total, before.units) if before else None
    return {
        "units": one.units, "cost_usd": usd_text(one.total), "cost_per_unit_usd": usd_text(each),
        **{
            f"p{rank}_usd": usd_text(amount)
            for rank, amount in zip(QUANTILES, one.quantiles, strict=True)
        },
        "largest_usd": usd_text(one.largest), "before_per_unit_usd": usd_or_none(earlier),
        "change_percent": percent(each - earlier, earlier) if earlier else None,
    }  # fmt: skip


def _per_metric(desk: Desk, asked: UnitsRequest, name: str) -> dict[str, Any]:
    by = dimension_of(asked.by if asked.by != "feature" else "tenant")
    query = query_of(asked, by=(by,))
    quantities = metric_quantities(desk.books, name, query.since, query.until, query.tz)
    costs = _costs(desk, query, by)
    rows = []
    for owner in sorted({*costs, *quantities}, key=lambda one: (-costs.get(one, 0), str(one))):
        cost, quantity = costs.get(owner, 0), quantities.get(owner or "")
        rows.append({
            by: _name(by, owner), "quantity": None if quantity is None else _text(quantity),
            "cost_usd": usd_text(cost), "cost_per_unit_usd": _each(cost, quantity),
        })  # fmt: skip
    counted = {owner: cost for owner, cost in costs.items() if quantities.get(owner or "")}
    total, cost = sum(quantities.values()), sum(counted.values())
    each = _each(cost, total or None)
    unit = metric_unit(desk.books, name)
    return answer(desk, query, Finding(
        rows=rows[: checked_limit(asked.limit)], by=(by,), method=METRIC_METHOD, at_stake=None,
        totals={
            "quantity": _text(total) if total else "0", "cost_usd": usd_text(cost),
            "cost_per_unit_usd": each,
            "without_quantity_usd": usd_text(sum(costs.values()) - cost),
        },
        headline=(
            f"One of {name} ({unit}) costs {shown(pico_from_usd(each))}."
            if each else f"The metric {name} has no quantity in this range."
        ),
        more={"unit": f"{METRIC}{name}"},
    ))  # fmt: skip


def _costs(desk: Desk, query: SpendQuery, by: str) -> dict[str | None, int]:
    return {row[by]: row["cost_usd"] or 0 for row in wide_rows(desk.reader, query)}


def _each(cost: int, quantity: Fraction | int | None) -> str | None:
    if not quantity:
        return None
    numerator, denominator = quantity.as_integer_ratio()
    return usd_text(rounded(cost * denominator, numerator))


def _text(quantity: Fraction | int) -> str:
    """Return a quantity with up to three digits after the point."""
    numerator, denominator = quantity.as_integer_ratio()
    whole, part = divmod(rounded(numerator * 1000, denominator), 1000)
    return f"{whole}.{part:03d}".rstrip("0").rstrip(".")

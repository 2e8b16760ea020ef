"""``insights.change``: what made the spend of a range differ from that of another."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook import clock
from tollbook.insights.asked import (
    Asked,
    Finding,
    answer,
    checked_limit,
    dimension_of,
    query_of,
    shown,
)
from tollbook.insights.effects import Effects
from tollbook.insights.effects_sql import effects_sql, sums_sql
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.exact_ratio import percent
from tollbook.reports.times import parse_period
from tollbook.reports.wide import wide_rows, wide_statement
from tollbook.reports.zone import EPOCH, zone_of
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

    _Side = tuple[int, int, Effects]
    _Sums = dict[tuple[str | None, ...], _Side]

_CELL: Final = ("tenant", "feature", "model")
_DRIVERS: Final = 12
METHOD: Final = (
    "Price-volume-mix analysis of each tenant, feature and model by kind of token, one thing "
    "changed after the other. Volume: every cost grows as all tokens grew (fees: as their number "
    "did). Mix: each cell's own quantities at its prices of before, its input cached as before: "
    "other tenants, features or models, longer prompts or answers. Cache: the proportions of "
    "input read from and written to caches become those of now. Price: what was paid for the "
    "same quantities. A kind that a cell did not use before has the price that its model had "
    "before, else that of now. New and gone are pairs of tenant and feature with no calls in the "
    "other range. Other is what has no quantity: adjustments and minimums. Effects are whole "
    "10^-12 dollars and add up to the change exactly."
)


class ChangeRequest(Asked, kw_only=True):
    """Against what, by what."""

    by: str = "tenant"
    against: str | None = None
    """A time such as ``2026-10`` or ``last-month``; unset: the range just before, as long."""


def change(desk: Desk, asked: ChangeRequest) -> dict[str, Any]:
    """Answer with the change by group, its effects, and the cells that drive it."""
    by = dimension_of(asked.by)
    dims = _CELL if by in _CELL else (*_CELL, by)
    query = query_of(asked, by=dims)
    before_query = _before(query, asked)
    kinds = _kinds_used(desk.reader, query, before_query)
    statement = _statement(desk.reader, before_query, query, kinds)
    of_cells, of_groups = dims[: len(_CELL)], dims[dims.index(by) :][:1]
    groups, cells = _effects(desk.reader, statement, dims, (of_groups, of_cells))
    ranked = sorted(groups.items(), key=_by_change)
    limit = checked_limit(asked.limit)
    rows = [_row(by, _shown_as(by, name), *sums) for (name,), sums in ranked[:limit]]
    if ranked[limit:]:
        rest = [sums for _, sums in ranked[limit:]]
        rows.append(
            _row(by, None, *_add(rest)) | {"is_other": True, "groups": len(rest)}
        )  # fmt: skip
    total = _add([sums for _, sums in ranked])
    totals = _measures(*total)
    return answer(desk, query, Finding(
        rows=rows, by=(by,), totals=totals, method=METHOD,
        headline=_words(*total), at_stake=abs(total[1] - total[0]),
        more={
            "before": {"since": before_query.since, "until": before_query.until},
            "drivers": _drivers(cells),
        },
    ))  # fmt: skip


def _before(query: SpendQuery, asked: ChangeRequest) -> SpendQuery:
    zone = zone_of(query.tz)
    if asked.against is not None:
        named = parse_period(asked.against, zone, clock.utc_now(), "--against")
        return replace(query, since=named.start, until=named.end)
    since, until = range_before(query)
    return replace(query, since=since, until=until)


def range_before(query: SpendQuery) -> tuple[datetime, datetime]:
    """Return the range just before: as many whole months, or as long on the zone's clock."""
    zone = zone_of(query.tz)
    start = query.since.astimezone(zone).replace(tzinfo=None)
    end = query.until.astimezone(zone).replace(tzinfo=None)
    if _is_month_start(start) and _is_month_start(end):
        months = (end.year - start.year) * 12 + end.month - start.month
        month = start.year * 12 + start.month - 1 - months
        first = start.replace(year=month // 12, month=month % 12 + 1)
    else:
        first = start - (end - start)
    since = first.replace(tzinfo=zone).astimezone(UTC)
    # A clock that was put forward may have left nothing between the two.
    return max(min(since, query.since - timedelta(seconds=1)), EPOCH), query.since


def _is_month_start(local: datetime) -> bool:
    return (local.day, local.hour, local.minute, local.second, local.microsecond) == (1, 0, 0, 0, 0)


def _kinds_used(reader: Reader, *queries: SpendQuery) -> list[str]:
    """Return the kinds with a quantity or a cost in any of the ranges: the others are not read."""
    used: dict[str, None] = {}
    for query in queries:
        measures = (*KINDS, *(f"{kind}_cost_usd" for kind in KINDS))
        for row in wide_rows(reader, replace(query, by=(), measures=measures)):
            used |= dict.fromkeys(
                kind for kind in KINDS if row[kind] or row[f"{kind}_cost_usd"]
            )  # fmt: skip
    return [kind for kind in KINDS if kind in used]


def _statement(
    reader: Reader, before: SpendQuery, now: SpendQuery, kinds: Sequence[str]
) -> str:  # fmt: skip
    kinds = kinds or KINDS[:1]
    measures = ("cost_usd", *kinds, *(f"{kind}_cost_usd" for kind in kinds))
    sides = [wide_statement(reader, replace(one, measures=measures)) for one in (before, now)]
    return effects_sql(sides[0], sides[1], [f"d{at}" for at in range(len(now.by))], kinds)


def _effects(
    reader: Reader, statement: str, dims: Sequence[str], wanted: Sequence[Sequence[str]]
) -> list[_Sums]:
    """Return effects by each wanted tuple of dimensions: what it cost before and now, and why."""
    ends = []
    for at, names in enumerate(wanted):
        keys = [f"d{dims.index(name)}" for name in names]
        ends.append(sums_sql(keys, of=at, width=max(map(len, wanted))))
    found: list[_Sums] = [{} for _ in wanted]
    for at, *row in reader.fetch(f"{statement} {' UNION ALL '.join(ends)}"):
        width = max(map(len, wanted))
        was, is_now, *effects = row[width:]
        found[at][tuple(row[: len(wanted[at])])] = (was, is_now, Effects(*effects))
    return found


def _shown_as(dimension: str, value: Any) -> str | None:
    return UNKNOWN if dimension == "tenant" and value is None else value


def _by_change(one: tuple[Any, _Side]) -> tuple[int, str]:
    """Return what puts the largest change first."""
    key, (was, is_now, _) = one
    return -abs(is_now - was), str(key)


def _add(sums: Sequence[_Side]) -> tuple[int, int, Effects]:
    total = Effects()
    for _, _, effect in sums:
        total = total.plus(effect)
    return sum(one[0] for one in sums), sum(one[1] for one in sums), total


def _measures(before: int, now: int, effect: Effects) -> dict[str, Any]:
    return {
        "before_usd": usd_text(before), "cost_usd": usd_text(now),
        "change_usd": usd_text(now - before), "change_percent": percent(now - before, before),
        **{f"{name}_usd": usd_text(amount) for name, amount in effect._asdict().items()},
    }  # fmt: skip


def _row(by: str, name: Any, before: int, now: int, effect: Effects) -> dict[str, Any]:
    return {by: name} | _measures(before, now, effect)


def _drivers(cells: _Sums) -> list[dict[str, Any]]:
    """Return the cells that changed most; those that differ in a further dimension are one."""
    return [
        {"tenant": _shown_as("tenant", tenant), "feature": feature, "model": model}
        | _measures(*sums)
        for (tenant, feature, model), sums in heapq.nsmallest(
            _DRIVERS, cells.items(), key=_by_change
        )
    ]


def _words(before: int, now: int, effect: Effects) -> str:
    if not before and not now:
        return "Nothing was spent in either range."
    if now == before:
        return f"Spend is what it was before, {shown(now)}."
    way = "rose" if now > before else "fell"
    share = percent(abs(now - before), before)
    much = f"{shown(abs(now - before))}" + (f" ({share} %)" if share else "")
    largest = max(effect._asdict().items(), key=lambda one: abs(one[1]))
    return (
        f"Spend {way} by {much} to {shown(now)}; the largest cause is {largest[0]} "
        f"({shown(largest[1])})."
    )

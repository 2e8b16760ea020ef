"""Answer a spend query: rows, totals that they add up to, and how complete the answer is."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports import measures
from tollbook.reports.build import (
    GROUP,
    OTHER,
    STATES,
    columns,
    measure_columns,
    spend_statement,
)
from tollbook.reports.cover import cover_of
from tollbook.reports.dimensions import TIMES, UNKNOWN
from tollbook.reports.freshness import Freshness, read_freshness
from tollbook.reports.query import SpendQuery
from tollbook.reports.zone import hour_label, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.reports.reader import Reader

CURRENCY: Final = "USD"
Sums = dict[str, int | None]
"""Column to sum; money in pico; None where no entry knew it."""


class Share(Struct, frozen=True):
    """Calls in one state and their dollars; None where none of them has a known cost.

    A part of a call whose price is not known counts like a call.
    """

    calls: int
    cost_usd: str | None


class Completeness(Struct, frozen=True, kw_only=True):
    """What a reader must know before trusting the totals."""

    complete_until: datetime | None
    """Every call that ended before it is in the answer; None: nothing was ingested yet."""
    unattributed: Share
    unpriced: Share
    estimated: Share
    unmetered: Share
    interrupted: Share
    incidents: int
    """Losses and damage the ledger has recorded (tollbook doctor tells them)."""


class SpendReport(Struct, frozen=True, kw_only=True):
    """The answer, in the shape of the API."""

    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    completeness: Completeness
    query: SpendQuery
    currency: str = CURRENCY


class FootingError(AssertionError):
    """The rows do not add up to the totals: a defect of Tollbook, never shown as a report."""


def run_spend(reader: Reader, query: SpendQuery) -> SpendReport:
    """Answer a query.

    Raises:
        QueryTimeoutError: it took too long.
        FootingError: the rows do not add up to the totals.
    """
    names = columns(query)
    sql = spend_statement(query, cover_of(reader, query))
    answer = [dict(zip(names, row, strict=True)) for row in reader.fetch(sql)]
    summed = measure_columns(query)
    with_parts = (*summed, measures.UNPRICED_PARTS)
    states = [(row, _sums(row, with_parts)) for row in answer if row["part"] not in (GROUP, OTHER)]
    total = add(sums for _, sums in states)
    rows = []
    if query.by:
        groups = sorted(
            (row for row in answer if row["part"] in (GROUP, OTHER)),
            key=lambda row: (row["part"], row["place"]),
        )
        _check_footing(add(_sums(row, summed) for row in groups), total, summed)
        rows = [_row(query, row, _sums(row, summed)) for row in groups]
    else:
        rows = [_measured(query, total)]
    return SpendReport(
        rows=rows,
        totals=_measured(query, total),
        completeness=_completeness(states, read_freshness(reader), query.until),
        query=query,
    )


def add(sums: Iterable[Sums]) -> Sums:
    """Add sums column by column; unknown and unknown stays unknown."""
    total: Sums = {}
    for one in sums:
        for name, value in one.items():
            if value is not None:
                total[name] = (total.get(name) or 0) + value
            else:
                total.setdefault(name, None)
    return total


def _sums(row: dict[str, Any], names: tuple[str, ...]) -> Sums:
    return {
        name: pico_from_usd(value) if isinstance(value := row[name], Decimal) else value
        for name in names
    }


def _check_footing(rows: Sums, total: Sums, names: tuple[str, ...]) -> None:
    for name in names:
        if (rows.get(name) or 0) != (total.get(name) or 0):
            raise FootingError(f"{name}: rows {rows.get(name)}, total {total.get(name)}")


def _row(query: SpendQuery, row: dict[str, Any], sums: Sums) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for at, name in enumerate(query.by):
        named[name] = None if row["part"] == OTHER else label(query, name, row[f"d{at}"])
    if row["part"] == OTHER:
        named |= {"is_other": True, "groups": row["place"]}
    measured = _measured(query, sums)
    if measures.COST in measured and not sums.get(measures.CALLS):
        # Parts of calls count no call; where none of them has a price, their cost is unknown.
        cost = sums.get(measures.COST)
        measured[measures.COST] = None if cost is None else usd_text(cost)
    return named | measured


def label(query: SpendQuery, name: str, value: Any) -> str | None:
    """Return a dimension value as the API shows it: local time, ``unknown`` tenant, or text."""
    if value is None:
        return UNKNOWN if name == "tenant" else None
    if name not in TIMES:
        return str(value)
    if name == "hour":
        return hour_label(zone_of(query.tz), value.replace(tzinfo=UTC))
    text: str = value.date().isoformat()
    return text[:7] if name == "month" else text


def _measured(query: SpendQuery, sums: Sums) -> dict[str, Any]:
    return {name: _measure(name, sums) for name in query.measures}


def _measure(name: str, sums: Sums) -> int | str | None:
    if name == measures.COST:
        return cost_text(sums)
    if name in measures.FIGURES:
        value = sums.get(name)
        return None if value is None else usd_text(value)
    if name in measures.COMPONENTS or name in LAYER_COSTS:
        value = sums.get(name)
        is_nothing = not value and not sums.get(measures.CALLS)
        return None if value is None or is_nothing else usd_text(value)
    if name in measures.TOKEN_SUMS:
        parts = [sums.get(kind) for kind in measures.TOKEN_SUMS[name]]
        known = [part for part in parts if part is not None]
        return sum(known) if known or not sums.get(measures.CALLS) else None
    if name in LAYER_TOKENS and sums.get(measures.CALLS):
        return sums.get(name)  # None: no call's usage is known
    return sums.get(name) or 0


def cost_text(sums: Sums) -> str | None:
    """Return the dollars; None where there are calls and none of them has a known cost."""
    cost = sums.get(measures.COST) or 0
    if cost == 0 and sums.get(measures.CALLS) and not sums.get(measures.KNOWN_CALLS):
        return None
    return usd_text(cost)


def _completeness(
    states: list[tuple[dict[str, Any], Sums]], freshness: Freshness, until: datetime
) -> Completeness:
    def share(**wanted: object) -> Share:
        total = add(
            sums
            for row, sums in states
            if all(row[name] == value for name, value in wanted.items())
        )
        return Share(total.get(measures.CALLS) or 0, cost_text(total))

    def unpriced() -> Share:
        own = share(price_state="unpriced")
        parts = sum(sums.get(measures.UNPRICED_PARTS) or 0 for _, sums in states)
        return Share(own.calls + parts, None) if parts else own

    assert STATES == ("unattributed", "price_state", "usage_source", "status")
    complete_until = freshness.complete_until
    return Completeness(
        complete_until=min(complete_until, until) if complete_until else None,
        unattributed=share(unattributed=True),
        unpriced=unpriced(),
        estimated=share(usage_source="estimated"),
        unmetered=share(price_state="unmetered"),
        interrupted=share(status="interrupted"),
        incidents=freshness.incidents,
    )

"""The sums that rows are made of: groups of charges and groups of adjustments of one stretch."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from msgspec.structs import replace

from tollbook.chargeback.focus.unitprices import Offer
from tollbook.ledger.schema import COST_COLUMNS, Kind
from tollbook.reports.dimensions import OVER_PREFIX
from tollbook.reports.query import Filter
from tollbook.reports.wide import wide_rows
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.chargeback.focus.scope import Batch, Scope, Segment
    from tollbook.chargeback.focus.unitprices import UnitPrices
    from tollbook.desk import Desk

OWNER: Final = ("tenant", "team", "cost_center", "feature", "environment")
"""Whose a row is: the sub-account and its tags."""
_OFFER: Final = ("provider", "model", "price_tier", "region")
_CHARGE: Final = (*OWNER, *_OFFER, "price_card", "price_state", "cost_source", "usage_source")
_ADJUSTMENT: Final = (
    *OWNER, *_OFFER, "adjustment", "adjustment_id", "statement", "corrects", "reason",
)  # fmt: skip
_BILLABLE: Final = (*OWNER, *_OFFER, "billing_rule", "adjustment", "adjustment_id", "reason")
_MEASURES: Final = ("calls", "cost_usd", *KINDS, *COST_COLUMNS)
_CHARGES: Final = Filter("kind", (Kind.ADJUSTMENT.value,), negate=True)
_ADJUSTMENTS: Final = Filter("kind", (Kind.ADJUSTMENT.value,))

_SORTED: Final = frozenset({*_CHARGE, *_ADJUSTMENT, *_BILLABLE})
T = TypeVar("T", "Group", dict[str, Any])
ByDay = dict[date, list[T]]
Sums = dict[str, Any]
"""Dimensions and sums by name; money in pico."""


class Group(NamedTuple):
    """Charges that differ in nothing that a row tells."""

    sums: Sums
    exceeded: frozenset[int]
    """Steps of input that each call of it exceeds."""

    @property
    def offer(self) -> Offer:
        """What was sold."""
        return offer_of(self.sums)


def offer_of(sums: Sums) -> Offer:
    """Return what was sold of a group."""
    return Offer(*(sums[name] for name in _OFFER))


def price_edges(desk: Desk, scope: Scope, prices: UnitPrices) -> tuple[int, ...]:
    """Return every input size at which a price of the scope changes, and load its cards."""
    found: set[tuple[Offer, str | None, int]] = set()
    for period, query in scope.parts:
        by = replace(query, by=(*_OFFER, "price_card"), measures=("calls",))
        for row in wide_rows(desk.reader, by):
            # List prices may change within the period.
            for at_ns in (period.start_ns, period.end_ns - 1):
                found.add((offer_of(row), row["price_card"], at_ns))
    prices.load(card_id for _, card_id, _ in found)
    edges: set[int] = set()
    for offer, card_id, at_ns in found:
        if card_id is not None:
            edges |= prices.edges(offer, card_id, at_ns)
    return tuple(sorted(edges))


def charge_groups(desk: Desk, batch: Batch, edges: tuple[int, ...]) -> ByDay[Group]:
    """Return the groups of charges and reversals, by day."""
    names = tuple(f"{OVER_PREFIX}{edge}" for edge in edges)
    found: ByDay[Group] = {}
    for sums in _sums(desk, batch, (*_CHARGE, *names), _CHARGES):
        exceeded = frozenset(
            edge for edge, name in zip(edges, names, strict=True) if sums[name] == "true"
        )
        found.setdefault(_day(sums), []).append(Group(sums, exceeded))
    return found


def adjustment_groups(desk: Desk, batch: Batch) -> ByDay[Sums]:
    """Return the groups of adjustments, by day."""
    found: ByDay[Sums] = {}
    for sums in _sums(desk, batch, _ADJUSTMENT, _ADJUSTMENTS):
        found.setdefault(_day(sums), []).append(sums)
    return found


def billable_groups(desk: Desk, batch: Batch) -> ByDay[Sums]:
    """Return what tenants are charged, by rule and day."""
    found: ByDay[Sums] = {}
    for sums in _sums(desk, batch, _BILLABLE, None, ("calls", "billable_usd", *KINDS)):
        found.setdefault(_day(sums), []).append(sums)
    return found


def _sums(
    desk: Desk, batch: Batch, by: tuple[str, ...], only: Filter | None,
    measures: tuple[str, ...] = _MEASURES,
) -> Iterator[Sums]:  # fmt: skip
    where = batch.query.where if only is None else (*batch.query.where, only)
    query = replace(batch.query, by=("day", *by), where=where, measures=measures, tz="UTC")
    return wide_rows(desk.reader, query)


def _day(sums: Sums) -> date:
    found: date = sums["day"].date()
    return found


def of_segment(by_day: ByDay[T], segment: Segment) -> list[T]:
    """Return the groups of a segment, in an order that is always the same."""
    return sorted(by_day.get(segment.start.date(), []), key=_order)


def _order(one: Group | Sums) -> tuple[tuple[bool, str], ...]:
    sums = one.sums if isinstance(one, Group) else one
    names = (name for name in sums if name in _SORTED or name.startswith(OVER_PREFIX))
    return tuple((sums[name] is not None, str(sums[name])) for name in names)

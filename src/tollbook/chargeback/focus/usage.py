"""Rows of usage: one for each day, SKU, tenant and price.

A SKU is provider, model, meter, tier, region and step of input. Its price is a card, so a price
that changes within a day, or within a group, makes rows of its own, and unit price times quantity
is the cost. What the ledger says was billed is its sum, whatever the unit prices say.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.focus.groups import Group
from tollbook.chargeback.focus.rows import (
    ONE,
    ZERO,
    owner_cells,
    party_cells,
    period_cells,
    price_cells,
    region_cells,
)
from tollbook.chargeback.focus.unitprices import unit_price, unix_ns_of
from tollbook.chargeback.focus.units import DOLLARS, METERS, Meter
from tollbook.ledger.schema import COST_COLUMNS, CostSource, PriceState
from tollbook.money import usd_decimal
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.focus.columns import Row
    from tollbook.chargeback.focus.groups import Sums
    from tollbook.chargeback.focus.parties import Parties
    from tollbook.chargeback.focus.scope import Segment
    from tollbook.chargeback.focus.unitprices import Offer, Prices, UnitPrices

_REQUESTS: Final = "requests"
_SUMMED: Final = ("calls", "known_calls", "cost_usd", *KINDS, *COST_COLUMNS)
_UNKNOWN: Final = frozenset({PriceState.UNPRICED.value, PriceState.UNMETERED.value})
NO_PRICE: Final = "unpriced"


def usage_rows(
    segment: Segment, groups: Iterable[Group], prices: UnitPrices, parties: Parties
) -> Iterator[Row]:
    """Yield the rows of a stretch's charges.

    Args:
        segment: the stretch.
        groups: its charges.
        prices: finds unit prices.
        parties: who bills.
    """
    at_ns = unix_ns_of(segment.start)
    for group, price in _merged(groups, prices, at_ns):
        shared = _shared(segment, group, parties)
        rows = list(_rows_of(group, price, shared))
        if rows:
            # Requests are counted once for a group, so that they add up over all rows.
            rows[0]["x_RequestCount"] = Decimal(group.sums["calls"] or 0)
            rows[0]["x_UnknownCostRequestCount"] = Decimal(_unknown_calls(group.sums))
        yield from rows


def _merged(
    groups: Iterable[Group], prices: UnitPrices, at_ns: int
) -> Iterator[tuple[Group, Prices | None]]:
    """Yield groups with their prices; those that differ in other cards' steps alone are one."""
    found: dict[tuple[Any, ...], tuple[Group, Prices | None]] = {}
    for group in groups:
        card_id = group.sums["price_card"]
        is_known = group.sums["price_state"] not in _UNKNOWN
        price = prices.find(group.offer, card_id, at_ns, group.exceeded) if is_known else None
        relevant = group.exceeded & prices.edges(group.offer, card_id, at_ns)
        key = (
            relevant,
            *(
                value for name, value in group.sums.items()
                if name not in _SUMMED and not name.startswith("input_over:")
            ),
        )  # fmt: skip
        held = found.get(key)
        if held is None:
            found[key] = (Group(group.sums, frozenset(relevant)), price)
        else:
            _add(held[0].sums, group.sums)
    yield from found.values()


def _add(total: Sums, more: Sums) -> None:
    for name in _SUMMED:
        if more[name] is not None:
            total[name] = (total[name] or 0) + more[name]


def _unknown_calls(sums: Sums) -> int:
    return int(sums["calls"] or 0) - int(sums["known_calls"] or 0)


def _shared(segment: Segment, group: Group, parties: Parties) -> Row:
    sums = group.sums
    return {
        **owner_cells(sums), **period_cells(segment), **party_cells(parties.of(sums["provider"])),
        **region_cells(sums["region"]), "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based", "PricingCategory": "Standard",
        "x_RequestCount": ZERO, "x_UnknownCostRequestCount": ZERO,
        "x_CostBasis": cost_basis(sums), "x_PriceCardIds": sums["price_card"],
    }  # fmt: skip


def cost_basis(sums: Sums) -> str:
    """Return what the cost of a group rests on, in a word."""
    if sums["price_state"] in _UNKNOWN:
        return "unknown"
    if sums["price_state"] != PriceState.PRICED:
        return str(sums["price_state"]).replace("_", "-")  # free, cached, not-billed
    if sums["cost_source"] == CostSource.PROVIDER:
        return "provider-reported"
    return "estimated" if sums["usage_source"] == "estimated" else "rated"


def _rows_of(group: Group, price: Prices | None, shared: Row) -> Iterator[Row]:
    sums = group.sums
    rest = sums["cost_usd"] or 0
    has_rows = False
    for kind, column in zip(KINDS, COST_COLUMNS, strict=True):
        quantity, cost = int(sums[kind] or 0), sums[column] or 0
        if kind == _REQUESTS and not cost:
            continue  # one for each call, without a fee: no charge of its own
        if quantity or cost:
            rest -= cost
            has_rows = True
            yield shared | _charge(group, price, kind, quantity, cost)
    calls = int(sums["calls"] or 0)
    if rest or (calls and not has_rows):
        # Calls without usage, and cost that is of no kind.
        yield shared | _charge(group, None, _REQUESTS, calls, rest)


def _charge(group: Group, price: Prices | None, kind: str, quantity: int, cost: int) -> Row:
    meter, offer = METERS[kind], group.offer
    sku = sku_id(offer, kind, group.exceeded)
    listed = contracted = None
    if price is not None:
        listed = unit_price(price.listed, kind, meter.per)
        contracted = unit_price(price.contracted, kind, meter.per)
    has_price = listed is not None and contracted is not None and bool(quantity)
    row: Row = {
        "SkuId": sku,
        "SkuMeter": meter.name,
        "ChargeDescription": description(offer, meter),
        "ConsumedQuantity": meter.consumed(quantity),
        "ConsumedUnit": meter.consumed_unit,
        "BilledCost": usd_decimal(cost),
        "EffectiveCost": usd_decimal(cost),
    }
    details = sku_details(offer, kind, group.exceeded)
    if has_price:
        assert price is not None
        assert listed is not None
        assert contracted is not None
        return row | price_cells(listed, contracted, meter.priced(quantity)) | {
            "PricingUnit": meter.pricing_unit,
            "SkuPriceId": f"{sku}@{price.price_id}",
            "SkuPriceDetails": details,
            "x_ListPriceBasis": price.basis,
        }  # fmt: skip
    return row | unpriced_cells(sku, meter, quantity, cost) | {"SkuPriceDetails": details}


def unpriced_cells(sku: str, meter: Meter, quantity: int, cost: int) -> Row:
    """Return the prices of what no card prices.

    Its amount is its quantity, at one dollar for a dollar; what costs nothing, or nobody knows
    what, is its usage at a unit price of zero (``x_CostBasis`` says which of the two).
    """
    if cost:
        return price_cells(ONE, ONE, usd_decimal(cost)) | {
            "PricingUnit": DOLLARS, "SkuPriceId": f"{sku}@as-billed", "x_ListPriceBasis": "billed",
        }  # fmt: skip
    return price_cells(ZERO, ZERO, meter.priced(quantity)) | {
        "PricingUnit": meter.pricing_unit, "SkuPriceId": f"{sku}@{NO_PRICE}",
        "x_ListPriceBasis": "none",
    }  # fmt: skip


def sku_id(offer: Offer, kind: str, exceeded: frozenset[int] = frozenset()) -> str:
    """Return the SKU: what is sold, whoever buys it and whatever it costs."""
    parts = [offer.provider or "internal", offer.model or "any", kind]
    if offer.tier is not None:
        parts.append(f"tier={offer.tier}")
    if offer.region is not None:
        parts.append(f"region={offer.region}")
    if exceeded:
        parts.append(f"input>{max(exceeded)}")
    return "/".join(parts)


def sku_details(offer: Offer, kind: str, exceeded: frozenset[int] = frozenset()) -> dict[str, Any]:
    """Return the properties of a SKU, those that 1.5 drafts included, under ``x_``."""
    found: dict[str, Any] = dict(METERS[kind].details)
    if offer.model is not None:
        found["x_ModelId"] = offer.model
    if offer.tier is not None:
        found["x_ServiceTier"] = offer.tier
    if exceeded:
        found["x_InputTokensOver"] = max(exceeded)
    return dict(sorted(found.items())) or {"x_Meter": METERS[kind].name}


def description(offer: Offer, meter: Meter) -> str:
    """Return a row's words: ``gpt-4o Input Tokens (batch)``."""
    words = f"{offer.model or 'Any model'} {meter.name}"
    return f"{words} ({offer.tier})" if offer.tier is not None else words

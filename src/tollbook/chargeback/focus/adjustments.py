"""Rows of adjustments: what is owed or moved without being any call's.

Categories are FOCUS's. What an invoice bills of usage that no call reported is usage; what it
states in money alone is an adjustment, which has no SKU. A commitment is paid by one purchase row
a day, whose effective cost is zero, and consumed by rows of usage, used and unused, that bear its
effective cost: both columns add up to the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.chargeback.focus.groups import offer_of
from tollbook.chargeback.focus.rows import (
    CURRENCY,
    ONE,
    ZERO,
    cost_cells,
    owner_cells,
    party_cells,
    period_cells,
    price_cells,
    region_cells,
)
from tollbook.chargeback.focus.units import DOLLARS, METERS
from tollbook.chargeback.focus.usage import sku_details, sku_id
from tollbook.ledger.adjust import AdjustmentType
from tollbook.money import usd_decimal
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal

    from tollbook.chargeback.focus.columns import Row
    from tollbook.chargeback.focus.groups import Sums
    from tollbook.chargeback.focus.parties import Parties
    from tollbook.chargeback.focus.scope import Segment

_TAX_CREDIT: Final = {
    AdjustmentType.TAX.value: "Tax",
    AdjustmentType.CREDIT.value: "Credit",
}
_COMMITMENTS: Final = {
    AdjustmentType.COMMITMENT.value: "Used",
    AdjustmentType.IDLE_COMMITMENT.value: "Unused",
}
_INVOICED: Final = frozenset({
    AdjustmentType.TRUE_UP.value, AdjustmentType.TAX.value, AdjustmentType.CREDIT.value,
    AdjustmentType.ROUNDING.value,
})  # fmt: skip
_FREQUENCY: Final = {AdjustmentType.FEE.value: "Recurring"}
_WORDS: Final = {
    AdjustmentType.TRUE_UP.value: "True-up to the provider's invoice",
    AdjustmentType.VOLUME_TIER.value: "Price by volume",
    AdjustmentType.FREE_QUOTA.value: "Free quota",
    AdjustmentType.MINIMUM.value: "Minimum charge",
    AdjustmentType.COMMITMENT.value: "Commitment, used part",
    AdjustmentType.IDLE_COMMITMENT.value: "Commitment, unused part",
    AdjustmentType.CREDIT.value: "Credit",
    AdjustmentType.TAX.value: "Tax",
    AdjustmentType.FEE.value: "Fee",
    AdjustmentType.ROUNDING.value: "Rounding of the invoice",
    AdjustmentType.ALLOCATION.value: "Allocation of shared cost",
}
_Commitment = tuple[str | None, str]
"""Provider, and the id of the commitment."""
_TERMS: Final = "terms"
_TERMS_PARTS: Final = 4


def adjustment_rows(segment: Segment, groups: Iterable[Sums], parties: Parties) -> Iterator[Row]:
    """Yield the rows of a stretch's adjustments."""
    paid: dict[_Commitment, int] = {}
    for sums in groups:
        if sums["adjustment"] in _COMMITMENTS:
            key = (sums["provider"], commitment_id(sums))
            paid[key] = paid.get(key, 0) + (sums["cost_usd"] or 0)
            yield from _consumed(segment, sums, parties)
        else:
            yield from _rows_of(segment, sums, parties)
    for key, pico in paid.items():
        yield _purchase(segment, parties, key, pico)


def shared_cells(segment: Segment, sums: Sums, parties: Parties) -> Row:
    """Return what every row of an adjustment has."""
    kind = sums["adjustment"]
    return {
        **owner_cells(sums), **period_cells(segment), **party_cells(parties.of(sums["provider"])),
        **region_cells(sums["region"]),
        "ChargeDescription": _described(sums), "ChargeFrequency": _FREQUENCY.get(kind, "One-Time"),
        "x_RequestCount": ZERO, "x_UnknownCostRequestCount": ZERO,
        "x_CostBasis": "invoiced" if kind in _INVOICED else "adjusted",
        "x_AdjustmentType": kind, "x_AdjustmentId": sums["adjustment_id"],
        "x_StatementId": sums["statement"], "x_Corrects": sums["corrects"],
        "x_Reason": sums["reason"],
    }  # fmt: skip


def _described(sums: Sums) -> str:
    words = _WORDS.get(sums["adjustment"], "Adjustment")
    return f"{words}: {sums['model']}" if sums["model"] else words


def _rows_of(segment: Segment, sums: Sums, parties: Parties) -> Iterator[Row]:
    shared = shared_cells(segment, sums, parties)
    cost = sums["cost_usd"] or 0
    quantities = {kind: int(sums[kind] or 0) for kind in KINDS if sums[kind]}
    if sums["adjustment"] == AdjustmentType.TRUE_UP and quantities:
        yield from _unseen_usage(shared, sums, quantities, cost)
    elif cost:
        category = _TAX_CREDIT.get(sums["adjustment"], "Adjustment")
        yield shared | cost_cells(cost) | {"ChargeCategory": category}


def _unseen_usage(shared: Row, sums: Sums, quantities: dict[str, int], cost: int) -> Iterator[Row]:
    """Yield usage that the provider billed and no call reported, or the other way about."""
    offer = offer_of(sums)
    rest = cost
    for kind, quantity in quantities.items():
        is_last = kind == list(quantities)[-1]
        amount = rest if is_last else sums[f"{kind}_cost_usd"] or 0
        rest -= amount
        sku, meter = sku_id(offer, kind), METERS[kind]
        yield shared | price_cells(ONE, ONE, usd_decimal(amount)) | {
            "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based",
            "PricingCategory": "Standard", "PricingUnit": DOLLARS, "SkuId": sku,
            "SkuMeter": meter.name, "SkuPriceId": f"{sku}@as-billed",
            "SkuPriceDetails": sku_details(offer, kind),
            "ConsumedQuantity": meter.consumed(quantity), "ConsumedUnit": meter.consumed_unit,
            "BilledCost": usd_decimal(amount), "EffectiveCost": usd_decimal(amount),
            "x_ListPriceBasis": "billed",
        }  # fmt: skip


def commitment_id(sums: Sums) -> str:
    """Return which commitment an adjustment is of: the same in every period.

    Runs of price terms are ``terms:PERIOD:NAME:SEQUENCE``; of any other run it is the run.
    """
    parts = str(sums["adjustment_id"]).split(":")
    if parts[0] == _TERMS and len(parts) >= _TERMS_PARTS:
        return parts[2]
    return str(sums["adjustment_id"])


def _commitment_cells(segment: Segment, name: str, pico: int) -> Row:
    cells: Row = {
        "CommitmentDiscountId": name, "CommitmentDiscountName": name,
        "CommitmentDiscountCategory": "Spend", "CommitmentDiscountType": "Provisioned Throughput",
    }  # fmt: skip
    if not segment.is_correction:
        cells |= {
            "CommitmentDiscountQuantity": usd_decimal(pico), "CommitmentDiscountUnit": CURRENCY,
        }  # fmt: skip
    return cells


def _consumed(segment: Segment, sums: Sums, parties: Parties) -> Iterator[Row]:
    """Yield the used or unused part of a commitment: effective cost, nothing billed."""
    pico = sums["cost_usd"] or 0
    quantities = [(kind, int(sums[kind])) for kind in KINDS if sums[kind]]
    if not pico and not quantities:
        return
    status = _COMMITMENTS[sums["adjustment"]]
    sku = _commitment_sku(sums["provider"], sums["model"])
    amount = usd_decimal(pico)
    row = shared_cells(segment, sums, parties) | price_cells(ONE, ONE, amount) | {
        "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Committed", "PricingUnit": DOLLARS,
        "SkuId": sku, "SkuMeter": "Commitment", "SkuPriceId": f"{sku}@commitment",
        "SkuPriceDetails": {"x_Meter": "Commitment"},
        "BilledCost": ZERO, "EffectiveCost": amount,
        "CommitmentDiscountStatus": status, "x_ListPriceBasis": "commitment",
        **_commitment_cells(segment, commitment_id(sums), pico),
    }  # fmt: skip
    if status == "Used":
        row |= _consumption(quantities, amount)
    yield row


def _consumption(quantities: list[tuple[str, int]], amount: Decimal) -> Row:
    if len(quantities) == 1:
        kind, quantity = quantities[0]
        meter = METERS[kind]
        return {"ConsumedQuantity": meter.consumed(quantity), "ConsumedUnit": meter.consumed_unit}
    return {"ConsumedQuantity": amount, "ConsumedUnit": DOLLARS}


def _commitment_sku(provider: str | None, model: str | None) -> str:
    return "/".join([provider or "internal", model or "any", "commitment"])


def _purchase(segment: Segment, parties: Parties, key: _Commitment, pico: int) -> Row:
    """Return what a commitment costs in a stretch, as billed."""
    provider, name = key
    sku = _commitment_sku(provider, None)
    amount = usd_decimal(pico)
    nobody = dict.fromkeys(("tenant", "team", "cost_center", "feature", "environment"))
    return {
        **owner_cells(nobody), **period_cells(segment), **party_cells(parties.of(provider)),
        **price_cells(ONE, ONE, amount),
        **_commitment_cells(segment, name, pico),
        "ChargeCategory": "Purchase", "ChargeFrequency": "Recurring",
        "ChargeDescription": f"Commitment: {name}", "PricingCategory": "Standard",
        "PricingUnit": DOLLARS, "SkuId": sku, "SkuMeter": "Commitment",
        "SkuPriceId": f"{sku}@commitment-purchase", "SkuPriceDetails": {"x_Meter": "Commitment"},
        "BilledCost": amount, "EffectiveCost": ZERO, "x_ListPriceBasis": "commitment",
        "x_RequestCount": ZERO, "x_UnknownCostRequestCount": ZERO, "x_CostBasis": "adjusted",
        "x_AdjustmentType": "commitment",
    }  # fmt: skip

"""Rows of what tenants are charged: the second dataset, in which this company sends the invoice.

A billing rule prices calls, not always kinds of tokens, so a row is a day, tenant, model and rule.
Its tokens are its consumption; its price is one dollar for a dollar, because a rule has no unit
price of its own that holds for every call.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.focus.rows import (
    ONE,
    ZERO,
    cost_cells,
    owner_cells,
    party_cells,
    period_cells,
    price_cells,
    region_cells,
)
from tollbook.chargeback.focus.units import DOLLARS
from tollbook.money import usd_decimal
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.focus.columns import Row
    from tollbook.chargeback.focus.groups import Sums
    from tollbook.chargeback.focus.parties import Parties
    from tollbook.chargeback.focus.scope import Segment

_METER: Final = "Metered Calls"


def charged_rows(segment: Segment, groups: Iterable[Sums], parties: Parties) -> Iterator[Row]:
    """Yield the rows of a stretch; calls that no rule is for are none of them."""
    for sums in groups:
        pico = sums["billable_usd"]
        if pico is None or not (pico or sums["calls"]):
            continue
        shared: Row = {
            **owner_cells(sums), **period_cells(segment), **party_cells(parties.of(None)),
            **region_cells(sums["region"]), **cost_cells(pico),
            "HostProviderName": parties.of(sums["provider"]).name,
            "x_RequestCount": Decimal(sums["calls"] or 0), "x_UnknownCostRequestCount": ZERO,
            "x_CostBasis": "billing-rule", "x_AdjustmentType": sums["adjustment"],
            "x_AdjustmentId": sums["adjustment_id"], "x_Reason": sums["reason"],
        }  # fmt: skip
        if sums["adjustment"] is not None:
            yield shared | {
                "ChargeCategory": "Adjustment", "ChargeFrequency": "One-Time",
                "ChargeDescription": f"Billing: {sums['reason'] or sums['adjustment']}",
            }  # fmt: skip
        else:
            yield shared | _usage(sums, pico)


def _usage(sums: Sums, pico: int) -> Row:
    model, rule = sums["model"] or "any", sums["billing_rule"] or "no-rule"
    amount = usd_decimal(pico)
    sku = f"{sums['provider'] or 'internal'}/{model}/metered"
    tokens = sum(int(sums[kind] or 0) for kind in TOKEN_KINDS)
    return price_cells(ONE, ONE, amount) | {
        "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based",
        "ChargeDescription": f"{model} calls by {rule}", "PricingCategory": "Standard",
        "PricingUnit": DOLLARS, "SkuId": sku, "SkuMeter": _METER, "SkuPriceId": f"{sku}@{rule}",
        "SkuPriceDetails": {"x_ModelId": model, "x_BillingRule": rule},
        "ConsumedQuantity": Decimal(tokens), "ConsumedUnit": "Tokens",
        "x_ListPriceBasis": "billing-rule",
    }  # fmt: skip

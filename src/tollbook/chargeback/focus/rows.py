"""What every row of Cost and Usage has: whose it is, who bills it, when, and in which period."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.focus.parties import SERVICE_CATEGORY, SERVICE_SUBCATEGORY
from tollbook.chargeback.focus.unitprices import EXACT
from tollbook.money import usd_decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.chargeback.focus.columns import Row
    from tollbook.chargeback.focus.parties import Party
    from tollbook.chargeback.focus.scope import Segment

CURRENCY: Final = "USD"
PROVIDER: Final = "_provider"
"""Key of a row for the provider as configured; no column."""
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
_TAGS: Final = (
    ("cost_center", "cost_center"),
    ("environment", "environment"),
    ("feature", "feature"),
    ("team", "team"),
)


def owner_cells(sums: Mapping[str, Any]) -> Row:
    """Return whose a row is: the tenant as sub-account, the rest as tags."""
    tenant = sums["tenant"]
    return {
        "SubAccountId": tenant,
        "SubAccountName": tenant,
        "SubAccountType": None if tenant is None else "Tenant",
        "Tags": tags_of(sums),
        "x_TenantId": tenant,
        "x_Feature": sums["feature"],
        "x_Team": sums["team"],
        "x_CostCenter": sums["cost_center"],
        "x_Environment": sums["environment"],
    }


def tags_of(sums: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the tags that are set, None where none is."""
    return {tag: sums[name] for tag, name in _TAGS if sums[name]} or None


def period_cells(segment: Segment) -> Row:
    """Return when a row was charged for, and in which period it is billed."""
    return {
        "BillingPeriodStart": segment.period.start,
        "BillingPeriodEnd": segment.period.end,
        "ChargePeriodStart": segment.start,
        "ChargePeriodEnd": segment.end,
        "ChargeClass": "Correction" if segment.is_correction else None,
    }


def party_cells(party: Party) -> Row:
    """Return who provides, publishes and bills."""
    return {
        PROVIDER: party.provider,
        "BillingAccountId": party.account_id,
        "BillingAccountName": party.account_name,
        "BillingAccountType": "Organization",
        "BillingCurrency": CURRENCY,
        "PricingCurrency": CURRENCY,
        "InvoiceIssuerName": party.name,
        "ProviderName": party.name,
        "PublisherName": party.publisher,
        "ServiceProviderName": party.name,
        "HostProviderName": party.name,
        "ServiceCategory": SERVICE_CATEGORY,
        "ServiceName": party.service,
        "ServiceSubcategory": SERVICE_SUBCATEGORY,
    }


def region_cells(region: str | None) -> Row:
    """Return where it was served; providers have no other name for it than its id."""
    return {"RegionId": region, "RegionName": region}


def price_cells(list_price: Decimal, contracted_price: Decimal, quantity: Decimal) -> Row:
    """Return unit prices and the costs that are exactly those times the quantity."""
    return {
        "ListUnitPrice": list_price,
        "ListCost": EXACT.multiply(list_price, quantity),
        "ContractedUnitPrice": contracted_price,
        "ContractedCost": EXACT.multiply(contracted_price, quantity),
        "PricingQuantity": quantity,
    }


def cost_cells(pico: int) -> Row:
    """Return an amount that has no unit price: all four costs are what is billed."""
    amount = usd_decimal(pico)
    return dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), amount)

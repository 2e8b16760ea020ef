"""Rules on the cells of one row of Cost and Usage, and how cells depend on one another."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.focus.checkcells import json_object, moment, number
from tollbook.chargeback.focus.checkmodel import PARENTS
from tollbook.chargeback.focus.unitprices import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Broken = tuple[str, str, str]
"""Rule, column, words."""

TOLERANCE: Final = Decimal("1E-9")
"""Relative, as focus-validator compares products."""
_PRICED: Final = (
    "SkuId", "SkuPriceId", "ListUnitPrice", "ContractedUnitPrice", "PricingQuantity",
    "PricingCategory",
)  # fmt: skip
_UNITS: Final = (
    ("PricingQuantity", "PricingUnit"),
    ("ConsumedQuantity", "ConsumedUnit"),
    ("CommitmentDiscountQuantity", "CommitmentDiscountUnit"),
)
_PRODUCTS: Final = (
    ("ListCost", "ListUnitPrice"),
    ("ContractedCost", "ContractedUnitPrice"),
)
_NAMED: Final = (
    ("SubAccountId", "SubAccountName"), ("SubAccountId", "SubAccountType"),
    ("RegionId", "RegionName"), ("BillingAccountId", "BillingAccountType"),
    ("CommitmentDiscountId", "CommitmentDiscountCategory"),
    ("CommitmentDiscountId", "CommitmentDiscountType"),
    ("SkuId", "SkuMeter"),
)  # fmt: skip
_COSTS: Final = ("ListCost", "ContractedCost", "EffectiveCost")
_SINGLE_CURRENCY: Final = ("ContractedUnitPrice", "ListUnitPrice", "EffectiveCost")


def row_problems(row: Mapping[str, str | None], version: str) -> Iterator[Broken]:
    """Yield what a row of Cost and Usage breaks; cells that are no numbers are told elsewhere."""
    category = row.get("ChargeCategory")
    is_correction = row.get("ChargeClass") == "Correction"
    is_priced = category in {"Usage", "Purchase"}
    yield from _presence(row, category, is_priced=is_priced and not is_correction)
    yield from _consumption(row, category, is_correction=is_correction)
    yield from _pairs(row)
    # 1.2 excuses corrections from the products, 1.4 does not.
    if version != "1.2" or not is_correction:
        yield from _products(row)
    yield from _effective(row, category)
    yield from _commitments(row, category, is_correction=is_correction)
    yield from _periods(row)
    yield from _service(row)
    if version != "1.2":
        yield from _allocated(row)


def _presence(
    row: Mapping[str, str | None], category: str | None, *, is_priced: bool
) -> Iterator[Broken]:
    for name in _PRICED:
        if name not in row:
            continue
        if category == "Tax" and row[name] is not None:
            yield "null-for-tax", name, "must be null for a tax"
        if is_priced and row[name] is None:
            yield "priced-charge", name, f"must not be null for {category}"
    if row.get("SkuPriceId") is not None:
        for name in ("SkuId", "ListUnitPrice", "ContractedUnitPrice"):
            if name in row and row[name] is None:
                yield "sku-price", name, "must not be null where SkuPriceId is set"
    if row.get("SkuPriceId") is None and row.get("SkuPriceDetails") is not None:
        yield "sku-price-details", "SkuPriceDetails", "must be null where SkuPriceId is null"
    if category == "Purchase" and row.get("ChargeFrequency") == "Usage-Based":
        yield "purchase-frequency", "ChargeFrequency", "a purchase is not Usage-Based"


def _consumption(
    row: Mapping[str, str | None], category: str | None, *, is_correction: bool
) -> Iterator[Broken]:
    if "ConsumedQuantity" not in row:
        return
    is_consuming = category == "Usage" and row.get("CommitmentDiscountStatus") != "Unused"
    is_set = row["ConsumedQuantity"] is not None
    if is_set and not is_consuming:
        yield "consumption", "ConsumedQuantity", "must be null: nothing was consumed"
    if is_consuming and not is_set and not is_correction:
        yield "consumption", "ConsumedQuantity", "must not be null for usage"


def _pairs(row: Mapping[str, str | None]) -> Iterator[Broken]:
    for quantity, unit in _UNITS:
        if quantity in row and unit in row and (row[quantity] is None) != (row[unit] is None):
            yield "quantity-and-unit", unit, f"must be null exactly where {quantity} is"
    for key, name in _NAMED:
        if key in row and name in row and (row[key] is None) != (row[name] is None):
            yield "id-and-name", name, f"must be null exactly where {key} is"
    if row.get("CommitmentDiscountId") is None and row.get("CommitmentDiscountName") is not None:
        yield "id-and-name", "CommitmentDiscountName", "must be null where there is no id"


def _products(row: Mapping[str, str | None]) -> Iterator[Broken]:
    quantity = number(row.get("PricingQuantity"))
    for cost_name, price_name in _PRODUCTS:
        price, cost = number(row.get(price_name)), number(row.get(cost_name))
        if quantity is None or price is None or cost is None:
            continue
        product = EXACT.multiply(price, quantity)
        if abs(EXACT.subtract(product, cost)) > TOLERANCE * max(abs(cost), abs(product)):
            yield (
                "cost-is-price-times-quantity", cost_name,
                f"{cost:f} is not {price_name} {price:f} times {quantity:f}",
            )  # fmt: skip
    if row.get("PricingCurrency") is not None and (
        row["PricingCurrency"] == row.get("BillingCurrency")
    ):
        for name in _SINGLE_CURRENCY:
            other = f"PricingCurrency{name}"
            if other in row and number(row[other]) != number(row.get(name)):
                yield "pricing-currency", other, f"is not {name} though the currency is the same"


def _effective(row: Mapping[str, str | None], category: str | None) -> Iterator[Broken]:
    billed = number(row.get("BilledCost"))
    if category in {"Tax", "Credit"} and billed is not None:
        # A tax follows other charges in list and contracted cost; a credit follows none.
        names = _COSTS if category == "Credit" else ("EffectiveCost",)
        for name in names:
            if number(row.get(name)) not in {None, billed}:
                yield "credit-and-tax-costs", name, f"must be BilledCost for a {category}"
    if category == "Purchase" and row.get("CommitmentDiscountId") is not None and (
        number(row.get("EffectiveCost")) != 0
    ):  # fmt: skip
        yield "purchase-effective-cost", "EffectiveCost", "must be 0: usage bears it"


def _commitments(
    row: Mapping[str, str | None], category: str | None, *, is_correction: bool
) -> Iterator[Broken]:
    has_id = row.get("CommitmentDiscountId") is not None
    status = row.get("CommitmentDiscountStatus")
    if status is not None and not has_id:
        yield "commitment", "CommitmentDiscountStatus", "must be null where there is no id"
    if has_id and category == "Usage" and status is None:
        yield "commitment", "CommitmentDiscountStatus", "must not be null for usage"
    if "CommitmentDiscountQuantity" not in row:
        return
    is_due = has_id and category in {"Usage", "Purchase"}
    is_set = row["CommitmentDiscountQuantity"] is not None
    if is_due and not is_set and not is_correction:
        yield "commitment", "CommitmentDiscountQuantity", "must not be null"
    if is_set and not is_due:
        yield "commitment", "CommitmentDiscountQuantity", "must be null"
    if is_due and status is not None and row.get("PricingCategory") not in {"Committed", None}:
        yield "commitment", "PricingCategory", "is Committed where a commitment is used"


def _periods(row: Mapping[str, str | None]) -> Iterator[Broken]:
    for name in ("Charge", "Billing"):
        start, end = moment(row.get(f"{name}PeriodStart")), moment(row.get(f"{name}PeriodEnd"))
        if start is not None and end is not None and start >= end:
            yield "period-order", f"{name}PeriodEnd", "is not after its start"
    charged = moment(row.get("ChargePeriodStart"))
    billed = moment(row.get("BillingPeriodStart"))
    if row.get("ChargeClass") == "Correction" and charged is not None and billed is not None and (
        charged >= billed
    ):  # fmt: skip
        yield "correction-period", "ChargeClass", "corrects no period before the one it is in"


def _service(row: Mapping[str, str | None]) -> Iterator[Broken]:
    sub, category = row.get("ServiceSubcategory"), row.get("ServiceCategory")
    if sub in PARENTS and PARENTS[sub] != category:
        yield "subcategory", "ServiceSubcategory", f"belongs to {PARENTS[sub]}, not {category}"


def _allocated(row: Mapping[str, str | None]) -> Iterator[Broken]:
    method = row.get("AllocatedMethodId")
    for name in ("AllocatedMethodDetails", "AllocatedResourceId", "AllocatedResourceName"):
        if method is None and row.get(name) is not None:
            yield "allocation", name, "must be null where AllocatedMethodId is null"
    if method is None:
        return
    if row.get("AllocatedResourceId") is None:
        yield "allocation", "AllocatedResourceId", "must not be null for an allocated charge"
    details = json_object(row.get("AllocatedMethodDetails"))
    if details is None:
        yield "allocation", "AllocatedMethodDetails", "must be an object for an allocated charge"
        return
    for words in _detail_problems(details):
        yield "allocation-details", "AllocatedMethodDetails", words


def _detail_problems(details: dict[str, object]) -> Iterator[str]:
    elements = details.get("Elements")
    if not isinstance(elements, list) or not elements:
        yield "has no Elements"
        return
    if any(key != "Elements" and not key.startswith("x_") for key in details):
        yield "has a key that is neither Elements nor x_..."
    for one in elements:
        if not isinstance(one, dict):
            yield "has an element that is no object"
            continue
        ratio, quantity = one.get("AllocatedRatio"), one.get("UsageQuantity")
        if not isinstance(ratio, Decimal) or not 0 <= ratio <= 1:
            yield "AllocatedRatio is no number between 0 and 1"
        if quantity is not None and not isinstance(quantity, Decimal):
            yield "UsageQuantity is no number"
        if quantity is not None and not isinstance(one.get("UsageUnit"), str):
            yield "UsageQuantity has no UsageUnit"
        known = {"AllocatedRatio", "UsageQuantity", "UsageUnit"}
        if any(key not in known and not key.startswith("x_") for key in one):
            yield "an element has a key that is not of FOCUS and does not begin with x_"

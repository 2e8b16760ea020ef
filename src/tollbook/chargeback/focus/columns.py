"""The columns of the datasets: names, order and kinds, by version of the specification.

Sources: FOCUS 1.2 (tag v1.2, ``specification/columns``) and 1.4 (data model of 4 June 2026). What
a column may hold is checked by :mod:`.check`; here is only what is written.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tollbook.chargeback.focus.layout import Version

Cell = str | Decimal | datetime | dict[str, Any] | None
Row = dict[str, Cell]
"""Cells by column; a column that is absent is null."""


class Dataset(StrEnum):
    """Datasets of FOCUS that are exported, by the names of their files."""

    COST_AND_USAGE = "cost_and_usage"
    INVOICE_DETAIL = "invoice_detail"
    BILLING_PERIOD = "billing_period"


class Kind(StrEnum):
    """What the cells of a column are."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    JSON = "json"


_BOTH: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType",
    "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName",
    "CommitmentDiscountQuantity", "CommitmentDiscountStatus", "CommitmentDiscountType",
    "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
    "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost",
    "ListUnitPrice", "PricingCategory", "PricingCurrency",
    "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit",
    "RegionId", "RegionName", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId",
    "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName",
    "SubAccountType", "Tags",
)  # fmt: skip
_ONLY_1_2: Final = ("ProviderName", "PublisherName")
NEWER: Final = (
    "AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName",
    "AllocatedTags", "InvoiceDetailId",
)  # fmt: skip
"""Columns of 1.4 that an export of 1.2 has as custom columns, ``x_`` before the name."""
PRICED_IN_CURRENCY: Final = ("ContractedUnitPrice", "EffectiveCost", "ListUnitPrice")
"""Columns that stand a second time under ``PricingCurrency...``."""
_ONLY_1_4: Final = (*NEWER, "HostProviderName", "ServiceProviderName")
CUSTOM: Final = (
    "x_TenantId", "x_Feature", "x_Team", "x_CostCenter", "x_Environment", "x_RequestCount",
    "x_UnknownCostRequestCount", "x_CostBasis", "x_ListPriceBasis", "x_PriceCardIds",
    "x_AdjustmentType", "x_AdjustmentId", "x_StatementId", "x_Corrects", "x_Reason",
    "x_SplitOriginId", "x_SplitOriginCost",
)  # fmt: skip
_INVOICE_DETAIL: Final = (
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "InvoiceDetailCreated", "InvoiceDetailDescription", "InvoiceDetailGrain",
    "InvoiceDetailId", "InvoiceDetailLastUpdated", "InvoiceId", "InvoiceIssueDate",
    "InvoiceIssueStatus", "InvoiceIssuerName", "PaymentDueDate", "PaymentTerms",
    "PurchaseOrderNumber", "ReferenceInvoiceId", "x_StatementId",
)  # fmt: skip
_BILLING_PERIOD: Final = (
    "BillingPeriodCreated", "BillingPeriodEnd", "BillingPeriodLastUpdated", "BillingPeriodStart",
    "BillingPeriodStatus", "InvoiceIssuerName",
)  # fmt: skip

NUMBERS: Final = frozenset({
    "BilledCost", "CommitmentDiscountQuantity", "ConsumedQuantity", "ContractedCost",
    "ContractedUnitPrice", "EffectiveCost", "ListCost", "ListUnitPrice",
    "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity",
    "x_RequestCount", "x_UnknownCostRequestCount", "x_SplitOriginCost",
})  # fmt: skip
TIMES: Final = frozenset({
    "BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart",
    "BillingPeriodCreated", "BillingPeriodLastUpdated", "InvoiceDetailCreated",
    "InvoiceDetailLastUpdated", "InvoiceIssueDate", "PaymentDueDate",
})  # fmt: skip
JSONS: Final = frozenset({
    "AllocatedMethodDetails", "AllocatedTags", "InvoiceDetailGrain", "SkuPriceDetails", "Tags",
})  # fmt: skip


def columns_of(dataset: Dataset, version: Version) -> tuple[str, ...]:
    """Return the columns of a file, in order; custom ones come last, as FOCUS asks."""
    if dataset is Dataset.INVOICE_DETAIL:
        return _INVOICE_DETAIL
    if dataset is Dataset.BILLING_PERIOD:
        return _BILLING_PERIOD
    own = _ONLY_1_2 if version == "1.2" else _ONLY_1_4
    newer = tuple(f"x_{name}" for name in NEWER) if version == "1.2" else ()
    return (*sorted((*_BOTH, *own)), *CUSTOM, *newer)


def datasets_of(version: Version) -> tuple[Dataset, ...]:
    """Return the datasets that a version has; 1.2 has one."""
    return (Dataset.COST_AND_USAGE,) if version == "1.2" else tuple(Dataset)


def kind_of(column: str) -> Kind:
    """Return what the cells of a column are; of a custom copy, as of the column itself."""
    name = column if column in NUMBERS else column.removeprefix("x_")
    if name in NUMBERS or column in NUMBERS:
        return Kind.NUMBER
    if name in TIMES:
        return Kind.TIME
    return Kind.JSON if name in JSONS else Kind.TEXT

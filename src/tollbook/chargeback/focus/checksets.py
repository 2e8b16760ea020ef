"""Rules over all rows of a file: what must be the same everywhere, and what must add up."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.focus.checkcells import json_object, number
from tollbook.chargeback.focus.checkmodel import SUBUNIT_DIGITS
from tollbook.chargeback.focus.unitprices import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Told = tuple[str, str, int | None, str]
"""Rule, column, row, words."""
_ONE: Final = (
    ("SkuPriceId", "SkuId", "sku-price-parent"),
    ("SkuPriceId", "SkuPriceDetails", "sku-price-details-same"),
    ("SkuId", "SkuMeter", "sku-meter-same"),
    ("ServiceName", "ServiceCategory", "service-category-same"),
    ("BillingAccountId", "BillingAccountName", "account-name-same"),
    ("SubAccountId", "SubAccountName", "sub-account-name-same"),
    ("CommitmentDiscountId", "CommitmentDiscountCategory", "commitment-category-same"),
    ("InvoiceDetailId", "InvoiceId", "invoice-detail-parent"),
)  # fmt: skip
_RATIO_TOLERANCE: Final = Decimal("1E-9")
_NOTHING: Final = Decimal(0)


def subunit(currency: str | None) -> Decimal:
    """Return the smallest unit of a currency: 0.01 US dollars, 1 yen."""
    return Decimal(1).scaleb(-SUBUNIT_DIGITS.get(currency or "", 2))


def tolerance(currency: str | None, rows: int) -> Decimal:
    """Return how far an invoice and its rows may differ.

    FOCUS 1.4, appendix rounding variance tolerance: MAX(100 x subunit, SQRT(rows) x 0.5 x subunit).
    """
    unit = subunit(currency)
    return max(100 * unit, EXACT.multiply(EXACT.sqrt(Decimal(rows)), unit / 2))


class SetRules:
    """Collects over the rows of Cost and Usage what single rows cannot tell."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._same: dict[tuple[str, str], tuple[str | None, int]] = {}
        self._told: set[tuple[str, str]] = set()
        self._ratios: dict[str, Decimal] = {}
        self._shared: dict[str, tuple[Decimal, Decimal | None]] = {}
        self._resources: set[tuple[str, str]] = set()
        self._bought: dict[tuple[str, str], Decimal] = {}
        self._used: dict[tuple[str, str], Decimal] = {}
        self.billed: dict[tuple[str, str, str], tuple[Decimal, int]] = {}
        """By column (InvoiceId or InvoiceDetailId), its value and issuer: billed, and rows."""
        self.periods: set[tuple[str, str, str]] = set()
        self.details: dict[str, tuple[str | None, ...]] = {}

    def add(self, at: int, row: Mapping[str, str | None]) -> Iterator[Told]:
        """Take in a row, and yield where it contradicts an earlier one."""
        for key, name, rule in _ONE:
            if row.get(key) is not None and name in row:
                yield from self._held(at, rule, key, name, row)
        if self._version != "1.2":
            yield from self._allocation(at, row)
        self._commitment(row)
        self._invoice(row)

    def _held(
        self, at: int, rule: str, key: str, name: str, row: Mapping[str, str | None]
    ) -> Iterator[Told]:
        value = str(row[key])
        first = self._same.setdefault((rule, value), (row[name], at))
        if first[0] != row[name] and (rule, value) not in self._told:
            self._told.add((rule, value))
            yield rule, name, at, f"differs from row {first[1]} for {key} {value[:64]!r}"

    def _allocation(self, at: int, row: Mapping[str, str | None]) -> Iterator[Told]:
        if row.get("AllocatedMethodId") is None:
            return
        origin = row.get("x_SplitOriginId") or str(row["AllocatedMethodId"])
        details = json_object(row.get("AllocatedMethodDetails")) or {}
        elements = details.get("Elements")
        for one in elements if isinstance(elements, list) else ():
            ratio = one.get("AllocatedRatio") if isinstance(one, dict) else None
            if isinstance(ratio, Decimal):
                self._ratios[origin] = self._ratios.get(origin, _NOTHING) + ratio
        total, stated = self._shared.get(origin, (_NOTHING, number(row.get("x_SplitOriginCost"))))
        billed = number(row.get("BilledCost")) or _NOTHING
        self._shared[origin] = (EXACT.add(total, billed), stated)
        resource = (origin, str(row.get("AllocatedResourceId")))
        if resource in self._resources:
            yield "allocation-resource", "AllocatedResourceId", at, "is there twice for one origin"
        self._resources.add(resource)

    def _commitment(self, row: Mapping[str, str | None]) -> None:
        name = row.get("CommitmentDiscountId")
        if name is None:
            return
        key = (name, str(row.get("BillingPeriodStart")))
        if row.get("ChargeCategory") == "Purchase":
            billed = number(row.get("BilledCost")) or _NOTHING
            self._bought[key] = EXACT.add(self._bought.get(key, _NOTHING), billed)
        elif row.get("ChargeCategory") == "Usage":
            cost = number(row.get("EffectiveCost")) or _NOTHING
            self._used[key] = EXACT.add(self._used.get(key, _NOTHING), cost)

    def _invoice(self, row: Mapping[str, str | None]) -> None:
        issuer = str(row.get("InvoiceIssuerName"))
        self.periods.add(
            (str(row.get("BillingPeriodStart")), str(row.get("BillingPeriodEnd")), issuer)
        )
        for column in ("InvoiceId", "InvoiceDetailId"):
            value = row.get(column)
            if value is not None and row.get("ChargeCategory") != "Tax":
                total, rows = self.billed.get((column, value, issuer), (_NOTHING, 0))
                billed = number(row.get("BilledCost")) or _NOTHING
                self.billed[column, value, issuer] = (EXACT.add(total, billed), rows + 1)
        detail = row.get("InvoiceDetailId")
        if detail is not None:
            self.details.setdefault(detail, linked_cells(row))

    def finish(self) -> Iterator[Told]:
        """Yield what does not add up, after all rows."""
        for origin, ratio in self._ratios.items():
            if abs(ratio - 1) > _RATIO_TOLERANCE:
                words = f"of origin {origin[:64]!r} add up to {ratio:f}, not 1"
                yield "allocation-ratios", "AllocatedMethodDetails", None, words
        for origin, (total, stated) in self._shared.items():
            if stated is not None and total != stated:
                words = f"of origin {origin[:64]!r} add up to {total:f}, not {stated:f}"
                yield "allocation-sum", "BilledCost", None, words
        for key in self._bought.keys() & self._used.keys():
            if self._bought[key] != self._used[key]:
                words = (
                    f"of commitment {key[0][:64]!r}: {self._used[key]:f} used and unused, "
                    f"{self._bought[key]:f} bought"
                )
                yield "commitment-sum", "EffectiveCost", None, words


LINKED: Final = (
    "InvoiceId", "ChargeCategory", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd",
    "InvoiceIssuerName", "BillingAccountId",
)  # fmt: skip
"""What a row and its line of Invoice Detail have in common."""


def linked_cells(row: Mapping[str, str | None]) -> tuple[str | None, ...]:
    """Return the cells that a row shares with its line of Invoice Detail."""
    return tuple(row.get(name) for name in LINKED)

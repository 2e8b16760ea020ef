"""The checker: a good file passes, and each defect on its own is found."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.focus.kit import exported, fill, invoice, make_world

from tollbook.chargeback.focus.check import NoFocusFileError, check
from tollbook.chargeback.focus.checkcells import json_object, moment, number
from tollbook.chargeback.focus.checksets import tolerance
from tollbook.chargeback.statements.model import Category

if TYPE_CHECKING:
    from collections.abc import Callable

    Row = dict[str, str]

COST = "cost_and_usage"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good export of each version."""
    with make_world(tmp_path_factory.mktemp("good")) as world:
        fill(world)
        invoice(world.desk.books, {Category.USAGE: "3.93", Category.TAX: "3.21"})
        return {
            version: Path(exported(world, period="2026-10", version=version)[0]["directory"])
            for version in ("1.2", "1.4")
        }


def _changed(good: Path, target: Path, dataset: str, change: Callable[[list[Row]], None]) -> Path:
    """Copy an export with one file's rows changed."""
    for path in good.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if dataset in path.name:
            change(rows)
        with (target / path.name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return target


def _rules(path: Path) -> set[str]:
    return {one.rule for one in check(path).findings}


@pytest.mark.parametrize("version", ["1.2", "1.4"])
def test_a_good_export_has_no_finding(good: dict[str, Path], version: str) -> None:
    assert check(good[version]).findings == []


def _set(column: str, value: str, **where: str) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        wanted = {"ChargeCategory": "Usage", "ChargeClass": "", "x_CostBasis": "rated"} | where
        row = next(
            row for row in rows
            if all(row.get(name) == value for name, value in wanted.items())
        )  # fmt: skip
        assert row[column] != value, "no change"
        row[column] = value

    return change


_ANY = {"x_CostBasis": "invoiced"}
BOTH = [
    ("cost-is-price-times-quantity", _set("ListCost", "0.5")),
    ("cost-is-price-times-quantity", _set("ContractedCost", "0.0026")),
    ("time-form", _set("ChargePeriodStart", "2026-10-05")),
    ("time-form", _set("ChargePeriodStart", "2026-10-05T00:00:00+02:00")),
    ("time-form", _set("BillingPeriodEnd", "2026-11-01 00:00:00")),
    ("time-form", _set("BillingPeriodEnd", "2026-13-01T00:00:00Z")),
    ("priced-charge", _set("SkuId", "")),
    ("priced-charge", _set("PricingQuantity", "")),
    ("priced-charge", _set("PricingCategory", "")),
    ("id-and-name", _set("SkuMeter", "")),
    ("id-and-name", _set("SubAccountName", "", SubAccountId="acme")),
    ("tags-form", _set("Tags", '{"feature":["chat"]}')),
    ("tags-form", _set("Tags", '{"feature":{"a":1}}')),
    ("tags-form", _set("Tags", "feature=chat")),
    ("tags-form", _set("Tags", '{"feature":1,"feature":2}')),
    ("tags-form", _set("SkuPriceDetails", '{"TokenDirection":"Input"}')),
    ("sku-price-details-same", _set("SkuPriceDetails", '{"x_Other":"value"}')),
    ("sku-price-parent", _set("SkuId", "another")),
    ("currency-form", _set("BillingCurrency", "usd")),
    ("currency-form", _set("BillingCurrency", "EURO")),
    ("allowed-values", _set("ChargeCategory", "usage")),
    ("allowed-values", _set("ChargeClass", "Korrektur")),
    ("allowed-values", _set("ServiceSubcategory", "LLM")),
    ("subcategory", _set("ServiceCategory", "Compute")),
    ("service-category-same", _set("ServiceCategory", "Compute")),
    ("price-form", _set("ListUnitPrice", "-2.5")),
    ("decimal-form", _set("BilledCost", "1,000")),
    ("decimal-form", _set("BilledCost", "+1")),
    ("decimal-form", _set("BilledCost", "$1")),
    ("decimal-form", _set("BilledCost", "1E+3")),
    ("decimal-form", _set("BilledCost", "1E-9999999")),
    ("unit-form", _set("PricingUnit", "1M tokens")),
    ("unit-form", _set("ConsumedUnit", "tokens")),
    ("quantity-and-unit", _set("ConsumedUnit", "")),
    ("quantity-and-unit", _set("PricingUnit", "")),
    ("consumption", _set("ConsumedQuantity", "")),
    ("null-as-text", _set("ChargeDescription", "Not Applicable")),
    ("null-as-text", _set("RegionId", "NULL")),
    ("not-null", _set("BilledCost", "")),
    ("not-null", _set("BillingAccountId", "")),
    ("period-order", _set("ChargePeriodEnd", "2026-10-05T00:00:00Z")),
    ("correction-period", _set("ChargeClass", "Correction", x_Feature="'=cmd()")),
    ("pricing-currency", _set("PricingCurrencyListUnitPrice", "7.0")),
    ("credit-and-tax-costs", _set("EffectiveCost", "-1.0", ChargeCategory="Credit", **_ANY)),
    ("credit-and-tax-costs", _set("ListCost", "-1.0", ChargeCategory="Credit", **_ANY)),
    ("credit-and-tax-costs", _set("EffectiveCost", "3.0", ChargeCategory="Tax", **_ANY)),
    ("null-for-tax", _set("SkuId", "x", ChargeCategory="Tax", **_ANY)),
    ("null-for-tax", _set("PricingCategory", "Standard", ChargeCategory="Tax", **_ANY)),
    ("consumption", _set("ConsumedQuantity", "1.0", ChargeCategory="Credit", **_ANY)),
    ("sku-price-details", _set("SkuPriceDetails", '{"x_A":1}', ChargeCategory="Credit", **_ANY)),
    (
        "purchase-frequency",
        _set("ChargeFrequency", "Usage-Based", ChargeCategory="Purchase", x_CostBasis="adjusted"),
    ),
    (
        "purchase-effective-cost",
        _set("EffectiveCost", "96.5", ChargeCategory="Purchase", x_CostBasis="adjusted"),
    ),
    (
        "commitment-sum",
        _set("EffectiveCost", "1.0", CommitmentDiscountStatus="Unused", x_CostBasis="adjusted"),
    ),
    (
        "consumption",
        _set("ConsumedQuantity", "1.0", CommitmentDiscountStatus="Unused", x_CostBasis="adjusted"),
    ),
    (
        "commitment",
        _set("CommitmentDiscountStatus", "", CommitmentDiscountStatus="Used",
             x_CostBasis="adjusted"),
    ),
    (
        "commitment",
        _set("CommitmentDiscountQuantity", "", CommitmentDiscountStatus="Used",
             x_CostBasis="adjusted"),
    ),
    ("commitment", _set("CommitmentDiscountStatus", "Used", x_Feature="'=cmd()")),
]  # fmt: skip


@pytest.mark.parametrize("version", ["1.2", "1.4"])
@pytest.mark.parametrize(
    ("rule", "change"), [pytest.param(*one, id=f"{at}-{one[0]}") for at, one in enumerate(BOTH)]
)
def test_one_defect_in_a_good_file_is_found(
    good: dict[str, Path], tmp_path: Path, version: str, rule: str,
    change: Callable[[list[Row]], None],
) -> None:  # fmt: skip
    assert rule in _rules(_changed(good[version], tmp_path, COST, change))


def _renamed(old: str, new: str) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        for row in rows:
            kept = {new if name == old else name: cell for name, cell in row.items()}
            row.clear()
            row.update(kept)

    return change


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("custom-column", "x_Team", "Team"),
        ("custom-column", "x_Team", "x_team_id"),
        ("custom-column", "x_Team", "x_" + "T" * 60),
        ("mandatory-column", "ListCost", "x_ListCost"),
        ("column-order", "BillingAccountId", "x_First"),
        ("custom-column", "x_Team", "ChargeId"),
    ],
)
def test_a_wrong_column_is_found(
    good: dict[str, Path], tmp_path: Path, rule: str, old: str, new: str
) -> None:
    assert rule in _rules(_changed(good["1.4"], tmp_path, COST, _renamed(old, new)))


def _shared(*ratios: str, **cells: str) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        moved = [row for row in rows if row["x_AdjustmentType"] == "allocation"]
        given = [row for row in moved if not row["BilledCost"].startswith("-")]
        for at, (row, ratio) in enumerate(zip(given, ratios, strict=True)):
            details = '{"Elements":[{"AllocatedRatio":' + ratio + "}]}"
            row.update({
                "AllocatedMethodId": "even", "AllocatedMethodDetails": details,
                "AllocatedResourceId": f"r{at}", "AllocatedResourceName": f"r{at}",
                "x_SplitOriginId": "o", "x_SplitOriginCost": "50.0",
            } | cells)  # fmt: skip

    return change


_UNKNOWN_KEY = '{"Elements":[{"AllocatedRatio":1,"Weight":2}]}'
_NO_UNIT = '{"Elements":[{"AllocatedRatio":1,"UsageQuantity":2}]}'


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (None, _shared("0.6", "0.4")),
        ("allocation-ratios", _shared("0.6", "0.5")),
        ("allocation-details", _shared("1.6", "-0.6")),
        ("allocation-details", _shared('"0.6"', "0.4")),
        ("allocation-details", _shared("0.6", "0.4", AllocatedMethodDetails=_UNKNOWN_KEY)),
        ("allocation-details", _shared("0.6", "0.4", AllocatedMethodDetails=_NO_UNIT)),
        ("allocation-details", _shared("0.6", "0.4", AllocatedMethodDetails='{"Elements":[]}')),
        ("allocation", _shared("0.6", "0.4", AllocatedMethodDetails="")),
        ("allocation", _shared("0.6", "0.4", AllocatedResourceId="")),
        ("allocation", _shared("0.6", "0.4", AllocatedMethodId="")),
        ("allocation-resource", _shared("0.6", "0.4", AllocatedResourceId="same")),
        ("allocation-sum", _shared("0.6", "0.4", x_SplitOriginCost="51.0")),
    ],
)
def test_split_cost_is_held_to_its_origin(
    good: dict[str, Path], tmp_path: Path, rule: str | None, change: Callable[[list[Row]], None]
) -> None:
    found = _rules(_changed(good["1.4"], tmp_path, COST, change))
    assert found == set() if rule is None else rule in found


def _first(column: str, value: str) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        assert rows[-1][column] != value
        rows[-1][column] = value

    return change


def _without_last(rows: list[Row]) -> None:
    rows.pop()


def _twice(rows: list[Row]) -> None:
    rows.append(dict(rows[-1]))


@pytest.mark.parametrize(
    ("rule", "dataset", "change"),
    [
        ("invoice-reconciliation", "invoice_detail", _first("BilledCost", "9.5")),
        ("invoice-detail-missing", "invoice_detail", _without_last),
        ("invoice-detail-twice", "invoice_detail", _twice),
        ("invoice-detail-differs", "invoice_detail", _first("ChargeCategory", "Purchase")),
        ("invoice-detail-differs", "invoice_detail", _first("BillingAccountId", "org-2")),
        ("allowed-values", "invoice_detail", _first("InvoiceIssueStatus", "Paid")),
        ("not-null", "invoice_detail", _first("PaymentTerms", "")),
        ("tags-form", "invoice_detail", _first("InvoiceDetailGrain", '{"Category":"Usage"}')),
        (
            "updated-after-created", "invoice_detail",
            _first("InvoiceDetailLastUpdated", "2020-01-01T00:00:00Z"),
        ),
        ("period-missing", "billing_period", _without_last),
        ("period-twice", "billing_period", _twice),
        ("allowed-values", "billing_period", _first("BillingPeriodStatus", "closed")),
        (
            "updated-after-created", "billing_period",
            _first("BillingPeriodLastUpdated", "2020-01-01T00:00:00Z"),
        ),
    ],
)  # fmt: skip
def test_datasets_are_held_to_one_another(
    good: dict[str, Path], tmp_path: Path, rule: str, dataset: str,
    change: Callable[[list[Row]], None],
) -> None:  # fmt: skip
    assert rule in _rules(_changed(good["1.4"], tmp_path, dataset, change))


def test_tax_and_open_invoices_are_not_reconciled(good: dict[str, Path], tmp_path: Path) -> None:
    def change(rows: list[Row]) -> None:
        for row in rows:
            row["InvoiceIssueStatus"] = "Open"
        rows[-1]["BilledCost"] = "1000.0"

    assert _rules(_changed(good["1.4"], tmp_path, "invoice_detail", change)) == set()


@pytest.mark.parametrize(
    ("currency", "rows", "allowed"),
    [("USD", 1, "1"), ("USD", 40_000, "1"), ("USD", 1_000_000, "5"), ("JPY", 10_000, "100")],
)
def test_the_tolerance_is_that_of_the_specification(currency: str, rows: int, allowed: str) -> None:
    assert tolerance(currency, rows) == Decimal(allowed)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "BilledCost", "ends in .csv or .parquet"),
        ("a.csv", "a,b\n1,2\n", "no dataset of FOCUS"),
        ("a.csv", "", "no dataset of FOCUS"),
        ("a.csv", "BilledCost,ChargeCategory\n1\n", "row 1 has 1 cells, expected 2"),
        ("a.parquet", "no parquet", "a.parquet"),
    ],
)
def test_what_is_no_file_of_focus_is_one_line(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(NoFocusFileError, match=words) as caught:
        check(path)
    assert "\n" not in caught.value.message


def test_findings_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("BilledCost,ChargeCategory\n" + "x,y\n" * 2000)
    report = check(path)
    assert len(report.findings) == 1000
    assert report.has_more


@given(st.text(max_size=40))
def test_any_cell_is_read_or_refused_without_a_fault(text: str) -> None:
    value = number(text)
    assert value is None or value == Decimal(text)
    at = moment(text)
    assert at is None or at.utcoffset() is not None
    found = json_object(text)
    assert found is None or isinstance(json.loads(text), dict)

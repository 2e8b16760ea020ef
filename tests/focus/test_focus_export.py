"""What an export says is what the ledger says, row by row and in sum."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from tests.focus.kit import (
    LONG_MODEL,
    NOVEMBER,
    OCTOBER,
    World,
    contract,
    exported,
    fill,
    invoice,
    make_world,
    total,
)

from tollbook.chargeback.focus.check import check
from tollbook.chargeback.focus.export import NothingToExportError
from tollbook.chargeback.focus.operations import (
    ExportChangedError,
    FileRequest,
    FocusRequest,
    ListRequest,
    NoExportError,
    ShowRequest,
    export_focus,
    export_told,
    exports_listed,
    sent_file,
)
from tollbook.chargeback.periods import as_billed
from tollbook.chargeback.statements.model import Category
from tollbook.ledger.schema import COST_COLUMNS
from tollbook.reports.errors import QueryError
from tollbook.reports.query import LATEST, SpendQuery
from tollbook.reports.spend import run_spend
from tollbook.reports.zone import EPOCH
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A ledger that is only read."""
    with make_world(tmp_path_factory.mktemp("shared"), prices=[contract()]) as made:
        fill(made)
        yield made


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A ledger and books of one test, which it may change."""
    with make_world(tmp_path, prices=[contract()]) as made:
        fill(made)
        yield made


def _report(world: World, by: tuple[str, ...] = ()) -> dict[str, Decimal]:
    query = SpendQuery(since=EPOCH, until=LATEST, by=by, billing_period="2026-10")
    report = run_spend(world.desk.reader, as_billed(world.desk.books, world.desk.config, query))
    return {row[by[0]] if by else "": Decimal(row["cost_usd"] or 0) for row in report.rows}


def test_the_sum_is_the_report_to_the_last_digit_in_all_and_by_tenant(world: World) -> None:
    answer, rows = exported(world, period="2026-10", version="1.2")
    whole = _report(world)[""]
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost") == whole
    assert Decimal(answer["totals"]["billed_cost"]) == whole
    for tenant, cost in _report(world, ("tenant",)).items():
        wanted = "" if tenant == "unknown" else tenant
        assert total(rows, "EffectiveCost", SubAccountId=wanted) == cost, tenant


def test_a_cost_is_exactly_its_unit_price_times_its_quantity(world: World) -> None:
    _, rows = exported(world, period="2026-10", version="1.4")
    priced = [row for row in rows if row["PricingQuantity"]]
    assert len(priced) > 20
    for row in priced:
        quantity = Decimal(row["PricingQuantity"])
        assert Decimal(row["ListUnitPrice"]) * quantity == Decimal(row["ListCost"])
        assert Decimal(row["ContractedUnitPrice"]) * quantity == Decimal(row["ContractedCost"])
    rated = [row for row in rows if row["x_CostBasis"] == "rated"]
    assert rated
    for row in rated:
        assert Decimal(row["ContractedCost"]) == Decimal(row["BilledCost"]), row["SkuId"]


def test_a_discount_stands_between_the_list_price_and_the_contracted_one(world: World) -> None:
    _, rows = exported(world, period="2026-10")
    mini = [row for row in rows if row["SkuId"].startswith("openai/gpt-4o-mini/")]
    assert {row["SkuMeter"] for row in mini} == {"Input Tokens", "Output Tokens"}
    for row in mini:
        listed = Decimal(row["ListUnitPrice"])
        assert Decimal(row["ContractedUnitPrice"]) == listed * Decimal("0.925")
        assert row["x_ListPriceBasis"] == "list"
        assert row["x_PriceCardIds"] not in row["SkuPriceId"]  # the id is that of the list price


def test_a_price_step_makes_a_sku_of_its_own(world: World) -> None:
    _, rows = exported(world, period="2026-10")
    inputs = {
        row["SkuId"]: (Decimal(row["ListUnitPrice"]), row["ConsumedQuantity"], row["RegionId"])
        for row in rows
        if f"/{LONG_MODEL}/uncached_input_tokens" in row["SkuId"]
    }
    short = inputs[f"gemini/{LONG_MODEL}/uncached_input_tokens/region=europe-west4"]
    above = inputs[f"gemini/{LONG_MODEL}/uncached_input_tokens/region=europe-west4/input>200000"]
    assert short[1:] == ("1000.0", "europe-west4")
    assert above[1:] == ("300000.0", "europe-west4")
    assert above[0] == 2 * short[0]


def test_tokens_are_consumed_units_and_calls_are_counted_once(world: World) -> None:
    answer, rows = exported(world, period="2026-10")
    claude = {row["SkuMeter"]: row for row in rows if row["SkuId"].startswith("anthropic/")}
    assert {name: row["ConsumedQuantity"] for name, row in claude.items()} == {
        "Input Tokens": "3.0", "Cache Read Input Tokens": "10000.0",
        "Cache Write Input Tokens": "500.0", "Cache Write 1 Hour Input Tokens": "70.0",
        "Output Tokens": "40.0", "Web Searches": "2.0",
    }  # fmt: skip
    read = claude["Cache Read Input Tokens"]
    assert (read["ConsumedUnit"], read["PricingUnit"]) == ("Tokens", "1000000 Tokens")
    assert read["PricingQuantity"] == "0.01"
    assert json.loads(read["SkuPriceDetails"]) == {
        "x_ModelId": "claude-sonnet-4-5", "x_TokenCacheAction": "Read",
        "x_TokenDirection": "Input",
    }  # fmt: skip
    assert total(rows, "x_RequestCount") == answer["totals"]["request_count"] == 13


def test_a_late_call_of_a_closed_month_is_a_correction_in_the_month_it_landed_in(
    world: World,
) -> None:
    _, rows = exported(world, period="2026-10")
    corrections = [row for row in rows if row["ChargeClass"]]
    assert {row["ChargeClass"] for row in corrections} == {"Correction"}
    assert {row["ChargePeriodStart"] for row in corrections} == {
        "2026-09-30T00:00:00Z", "2026-09-12T00:00:00Z",
    }  # fmt: skip
    assert {row["BillingPeriodStart"] for row in rows} == {"2026-10-01T00:00:00Z"}
    (moved,) = [row for row in corrections if row["x_Corrects"]]
    assert (moved["x_AdjustmentType"], moved["x_Corrects"]) == ("true_up", "2026-09")
    # The month that was closed keeps what it had.
    _, before = exported(world, period="2026-09")
    assert {row["ChargePeriodStart"] for row in before} == {"2026-09-12T00:00:00Z"}
    assert not any(row["ChargeClass"] for row in before)


def test_as_known_now_a_month_has_its_late_calls_under_the_period_they_landed_in(
    world: World,
) -> None:
    _, rows = exported(world, period="2026-09", view="known")
    assert {(row["ChargePeriodStart"], row["BillingPeriodStart"]) for row in rows} == {
        ("2026-09-12T00:00:00Z", "2026-09-01T00:00:00Z"),
        ("2026-09-12T00:00:00Z", "2026-10-01T00:00:00Z"),
        ("2026-09-30T00:00:00Z", "2026-10-01T00:00:00Z"),
    }
    report = run_spend(
        world.desk.reader, SpendQuery(since=datetime(2026, 9, 1, tzinfo=UTC), until=OCTOBER)
    )
    assert total(rows, "BilledCost") == Decimal(report.totals["cost_usd"])


def test_any_cut_of_a_range_adds_up_to_the_range(world: World) -> None:
    begin, middle, end = "2026-09-01", "2026-10-05T03:30:00Z", "2026-11-01"
    _, whole = exported(world, since=begin, until=end)
    _, first = exported(world, since=begin, until=middle)
    _, second = exported(world, since=middle, until=end)
    for column in ("BilledCost", "EffectiveCost", "x_RequestCount"):
        assert total(first, column) + total(second, column) == total(whole, column)
    assert first
    assert second


def test_unknown_cost_is_said_and_its_usage_is_there(world: World) -> None:
    answer, rows = exported(world, period="2026-10")
    (unknown,) = [row for row in rows if row["x_CostBasis"] == "unknown"]
    assert unknown["ConsumedQuantity"] == "12345.0"
    assert unknown["SkuPriceId"].endswith("@unpriced")
    assert (unknown["BilledCost"], unknown["x_UnknownCostRequestCount"]) == ("0.0", "1.0")
    assert answer["totals"]["unknown_cost_request_count"] == 1
    assert answer["completeness"]["unpriced"]["calls"] == 1
    assert any("x_CostBasis unknown" in note for note in answer["notes"])


def test_each_basis_of_a_cost_has_its_word(world: World) -> None:
    _, rows = exported(world, period="2026-10")
    assert {row["x_CostBasis"] for row in rows} == {
        "rated", "estimated", "provider-reported", "not-billed", "unknown", "invoiced", "adjusted",
    }  # fmt: skip
    (reported,) = [row for row in rows if row["x_CostBasis"] == "provider-reported"][-1:]
    assert reported["PricingUnit"] == "US Dollars"
    assert reported["ListCost"] == reported["BilledCost"] == "0.00123456789"


def test_a_commitment_is_bought_once_and_consumed_by_its_users(world: World) -> None:
    _, rows = exported(world, period="2026-10", version="1.2")
    rows = [row for row in rows if row["CommitmentDiscountId"]]
    assert {row["CommitmentDiscountId"] for row in rows} == {"ptu-east"}
    (bought,) = [row for row in rows if row["ChargeCategory"] == "Purchase"]
    assert (bought["BilledCost"], bought["EffectiveCost"]) == ("96.5", "0.0")
    used = [
        (row["CommitmentDiscountStatus"], row["SubAccountId"], row["EffectiveCost"],
         row["ConsumedQuantity"])
        for row in rows if row["ChargeCategory"] == "Usage"
    ]  # fmt: skip
    assert sorted(used) == [
        ("Unused", "", "16.5", ""), ("Used", "acme", "60.0", "1000000.0"),
        ("Used", "globex", "20.0", "20.0"),
    ]  # fmt: skip
    assert all(row["BilledCost"] == "0.0" for row in rows if row is not bought)


def test_adjustments_have_the_categories_of_focus(world: World) -> None:
    _, rows = exported(world, period="2026-10")
    found = {(row["x_AdjustmentType"], row["ChargeCategory"]) for row in rows}
    assert found >= {
        ("true_up", "Usage"), ("true_up", "Adjustment"), ("credit", "Credit"), ("tax", "Tax"),
        ("rounding", "Adjustment"), ("volume_tier", "Adjustment"), ("free_quota", "Adjustment"),
        ("minimum", "Adjustment"), ("fee", "Adjustment"), ("allocation", "Adjustment"),
        ("commitment", "Purchase"), ("commitment", "Usage"), ("idle_commitment", "Usage"),
    }  # fmt: skip


def test_rows_name_the_invoice_and_its_lines_add_up_to_it(own_world: World) -> None:
    invoice(own_world.desk.books, {Category.USAGE: "3.930194250007", Category.TAX: "3.21"})
    answer, rows = exported(own_world, period="2026-10")
    on_it = [row for row in rows if row["InvoiceId"]]
    assert {row["InvoiceIssuerName"] for row in on_it} == {"OpenAI"}
    assert {row["BillingAccountId"] for row in on_it} == {"org-1"}
    assert {row["InvoiceDetailId"] for row in on_it} == {
        "INV-1/usage", "INV-1/tax", "INV-1/credit", "INV-1/adjustment",
    }  # fmt: skip
    report = check(Path(answer["directory"]))
    assert report.findings == []
    assert [one["dataset"] for one in report.files] == [
        "billing_period", "cost_and_usage", "invoice_detail",
    ]  # fmt: skip


def test_several_invoices_of_a_provider_are_not_guessed_among(own_world: World) -> None:
    for number in ("1", "2"):
        invoice(
            own_world.desk.books, {Category.USAGE: "1"}, invoice_id=f"INV-{number}",
            statement_id=f"st-{number}", account=f"org-{number}",
        )  # fmt: skip
    answer, rows = exported(own_world, period="2026-10")
    assert {row["InvoiceId"] for row in rows} == {"", "INV-1"}
    assert {row["x_StatementId"] for row in rows if row["InvoiceId"]} == {"st-1"}
    assert any("openai has several invoices" in note for note in answer["notes"])


def test_parquet_has_the_same_cells(world: World) -> None:
    _, rows = exported(world, period="2026-10", version="1.4")
    answer = export_focus(world.desk, FocusRequest(period="2026-10", files="parquet"))
    assert check(Path(answer["directory"])).findings == []
    table = pq.read_table(Path(answer["directory"]) / "focus_1.4_cost_and_usage.parquet")
    assert table.column_names == list(rows[0])
    costs = table.column("BilledCost").to_pylist()
    assert costs == [Decimal(row["BilledCost"]) for row in rows]
    starts = table.column("ChargePeriodStart").to_pylist()
    assert [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in starts] == [
        row["ChargePeriodStart"] for row in rows
    ]


def test_text_is_no_formula_and_a_negative_number_stays_one(world: World) -> None:
    _, rows = exported(world, period="2026-10")
    assert {row["x_Feature"] for row in rows if row["SubAccountId"] == "initech"} == {"'=cmd()"}
    assert "-2.0" in {row["BilledCost"] for row in rows}


def test_filters_of_reports_apply(world: World) -> None:
    _, rows = exported(world, period="2026-10", where=["tenant=acme"])
    assert {row["SubAccountId"] for row in rows} == {"acme", ""}  # what it bought is nobody's
    assert total(rows, "BilledCost") == _report(world, ("tenant",))["acme"]
    with pytest.raises(QueryError, match="kind tells entries apart"):
        exported(world, period="2026-10", where=["kind=charge"])


def test_what_tenants_are_charged_is_a_dataset_of_its_own(own_world: World) -> None:
    at = OCTOBER + timedelta(days=9)
    own_world.ledger.add(
        own_world.call(at, billable_usd=Decimal("0.5"), billing_rule_id="billing_rule/std/1"),
        own_world.adjustment(
            at, "billing", "0", tenant_id="acme", billable_usd=Decimal("-0.25"),
            reason="allowance",
        ),
    )  # fmt: skip
    answer, rows = exported(own_world, period="2026-10", perspective="billable")
    assert total(rows, "BilledCost") == Decimal("0.25")
    assert {row["InvoiceIssuerName"] for row in rows} == {"Internal"}
    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Adjustment"}
    assert check(Path(answer["directory"])).findings == []


def test_an_export_is_stamped_listed_and_watched_over(own_world: World) -> None:
    answer, _ = exported(own_world, period="2026-10")
    listed = exports_listed(own_world.desk, ListRequest(period="2026-10"))["rows"]
    assert [one["export_id"] for one in listed] == [answer["export_id"]]
    assert (listed[0]["author"], listed[0]["version"]) == ("ada", "1.4")
    sources = answer["prices"]["sources"]
    assert set(sources) == {"contract"} | {name for name in sources if "genai-prices" in name}
    assert answer["billing_periods"] == {"2026-10": "open"}
    assert answer["query"]["billing_period"] == "2026-10"
    name = answer["files"][0]["name"]
    asked = FileRequest(export_id=answer["export_id"], name=name)
    sent = sent_file(own_world.desk, asked)
    assert sent.media_type == "text/csv"
    manifest = sent_file(own_world.desk, FileRequest(export_id=answer["export_id"])).path
    assert json.loads(manifest.read_text())["totals"] == answer["totals"]
    sent.path.write_text(sent.path.read_text().replace("acme", "evil"))
    with pytest.raises(ExportChangedError, match="is not what was exported"):
        sent_file(own_world.desk, asked)
    told = export_told(own_world.desk, ShowRequest(export_id=answer["export_id"]))
    assert [row["state"] for row in told["rows"]] == ["changed", "unchanged"]


@pytest.mark.parametrize(
    ("export_id", "name"),
    [("nobody", "manifest.json"), ("{id}", "../books.sqlite"), ("{id}", "other.csv")],
)
def test_only_files_of_exports_are_sent(world: World, export_id: str, name: str) -> None:
    answer, _ = exported(world, period="2026-10")
    asked = FileRequest(export_id=export_id.format(id=answer["export_id"]), name=name)
    with pytest.raises(NoExportError, match="no export"):
        sent_file(world.desk, asked)


def test_nothing_to_export_leaves_nothing_behind(own_world: World) -> None:
    for asked in (
        FocusRequest(period="2031-01"), FocusRequest(since="2031-01-01", until="2031-02-01"),
    ):  # fmt: skip
        with pytest.raises(NothingToExportError, match="nothing to export"):
            export_focus(own_world.desk, asked)
    assert list((own_world.desk.data_dir / "exports").glob("*")) == []
    assert exports_listed(own_world.desk, ListRequest())["rows"] == []


@pytest.mark.parametrize("asked", [{}, {"period": "2026-10", "since": "2026-10-01"}])
def test_a_period_or_a_range_is_needed(world: World, asked: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match="--period"):
        export_focus(world.desk, FocusRequest(**asked))


def test_a_group_that_nets_to_nothing_is_no_row_and_a_moved_call_is_its_new_owners(
    tmp_path: Path,
) -> None:
    with make_world(tmp_path) as world:
        at = OCTOBER + timedelta(hours=5)
        wrong = world.call(at, tenant_id="wrong")
        world.ledger.add(wrong, world.reversal(wrong), world.call(at, tenant_id="right"))
        _, rows = exported(world, period="2026-10")
        assert {row["SubAccountId"] for row in rows} == {"right"}


def test_a_month_in_another_zone_begins_and_ends_there(tmp_path: Path) -> None:
    with make_world(tmp_path, timezone="Europe/Berlin") as world:
        edge = datetime(2026, 9, 30, 22, 0, tzinfo=UTC)
        world.ledger.add(
            world.call(edge - timedelta(seconds=1)), world.call(edge),
            world.call(NOVEMBER - timedelta(hours=1, seconds=1)),
            world.call(NOVEMBER - timedelta(hours=1)),
        )  # fmt: skip
        _, rows = exported(world, period="2026-10")
        assert total(rows, "x_RequestCount") == 2
        assert {row["BillingPeriodStart"] for row in rows} == {"2026-09-30T22:00:00Z"}
        assert {(row["ChargePeriodStart"], row["ChargePeriodEnd"]) for row in rows} == {
            ("2026-09-30T22:00:00Z", "2026-10-01T00:00:00Z"),
            ("2026-10-31T00:00:00Z", "2026-10-31T23:00:00Z"),
        }


def test_every_kind_of_usage_has_a_row(tmp_path: Path) -> None:
    with make_world(tmp_path) as world:
        costs = {name: Decimal(at + 1) / 1000 for at, name in enumerate(COST_COLUMNS)}
        world.ledger.add(
            world.ledger.entry(
                OCTOBER, tenant_id="acme", model_actual="m", cost_usd=sum(costs.values()),
                cost_source="card", **dict(zip(KINDS, Kinds(*range(1, 23)), strict=True)), **costs,
            )
        )  # fmt: skip
        answer, rows = exported(world, period="2026-10")
        assert len(rows) == len(KINDS)
        assert total(rows, "BilledCost") == sum(costs.values())
        assert check(Path(answer["directory"])).findings == []

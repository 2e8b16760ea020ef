"""Exports against other people's validators: the official one for 1.2, the toolkit for 1.4."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from focus_data_toolkit.model.validator import lint_focus_1_4_structure
from focus_data_toolkit.validate.bundle import validate_dataset_bundle
from tests.focus.kit import (
    OCTOBER,
    World,
    allocate,
    contract,
    exported,
    fill,
    invoice,
    make_world,
)

from tollbook.chargeback.focus.check import check
from tollbook.chargeback.focus.checkreading import tables_in
from tollbook.chargeback.statements.model import Category

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "clients" / "scripts" / "focus_official.py"
CRITERIA = ",".join(
    f"{name}_SUPPORTED"
    for name in (
        "ACCOUNT_NAMING", "MULTIPLE_PRICING_CATEGORIES", "NEGOTIATED_PRICING", "PUBLIC_PRICE_LIST",
        "USAGE_MEASUREMENT", "UNIT_PRICING", "SUB_ACCOUNT", "MULTIPLE_SUB_ACCOUNT_TYPES",
        "MULTIPLE_BILLING_ACCOUNT_TYPES", "TAGGING", "REGION", "COMMITMENT_DISCOUNT",
        "PRICING_BILLING_CURRENCY_DIFFERENCES", "VIRTUAL_CURRENCY",
    )
)  # fmt: skip
PAIR = {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}
"""InvoiceId must be null, and must not be null: both are held against every row."""
MIXED = PAIR | {"InvoiceId-C-003-C", "InvoiceId-C-000-O", "CostAndUsage-D-002-M"}
"""What follows from the pair where some rows are on an invoice and others are not."""
STATUS = {
    "CommitmentDiscountStatus-C-004-C", "CommitmentDiscountStatus-C-002-C",
    "CommitmentDiscountStatus-C-000-C",
}  # fmt: skip
"""Asks for a status where CommitmentDiscountId is null, against its own text."""
NAMES = {
    "cost_and_usage": "Cost and Usage", "invoice_detail": "Invoice Detail",
    "billing_period": "Billing Period",
}  # fmt: skip


@pytest.fixture(scope="module")
def python312() -> Path:
    """Return the Python that has the official validator."""
    subprocess.run([ROOT / "tools" / "setup_clients.sh"], check=True)
    python = ROOT / ".clients" / "focus312" / "bin" / "python"
    if not python.exists():
        pytest.skip("the official FOCUS validator needs Python 3.12, which was not found")
    return python


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with make_world(tmp_path_factory.mktemp("rich"), prices=[contract()]) as made:
        fill(made)
        allocate(made)
        invoice(made.desk.books, {Category.USAGE: "3.930194250007", Category.TAX: "3.21"})
        yield made


def _official(python: Path, *asked: tuple[str, Path]) -> list[dict[str, Any]]:
    given = [text for criteria, path in asked for text in (criteria, str(path))]
    done = subprocess.run(
        [python, SCRIPT, *given], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _file(answer: dict[str, Any]) -> Path:
    return Path(answer["directory"]) / str(answer["rows"][0]["name"])


@pytest.mark.slow
def test_the_official_validator_accepts_1_2(python312: Path, world: World, tmp_path: Path) -> None:
    rich = _file(exported(world, period="2026-10", version="1.2")[0])
    with make_world(tmp_path) as plain:
        plain.ledger.add(plain.call(OCTOBER), plain.call(OCTOBER, tenant_id="globex"))
        csv_file = _file(exported(plain, period="2026-10", version="1.2")[0])
    of_rich, of_plain = _official(python312, (CRITERIA, rich), ("", csv_file))
    assert of_rich["rules"] > 500
    assert set(of_rich["failed"]) <= MIXED | STATUS
    # Before there are invoices nothing but the pair fails.
    assert set(of_plain["failed"]) <= PAIR


def test_the_toolkit_accepts_1_4(world: World) -> None:
    answer, _ = exported(world, period="2026-10", version="1.4")
    directory = Path(answer["directory"])
    assert check(directory).findings == []
    bundle = {
        NAMES[table.dataset]: [
            {name: cell or "" for name, cell in row.items()} for row in table.rows()
        ]
        for table in tables_in(directory)
    }
    assert set(bundle) == set(NAMES.values())
    supported = {"SupportsUnitPricing", "SupportsMultiplePricingCategories"}
    for name, rows in bundle.items():
        report = lint_focus_1_4_structure(name, rows, supported_conditions=supported)
        assert report.messages() == []
        assert report.row_count == len(rows)
    joined = validate_dataset_bundle(bundle, invoice_detail_authoritative=True)
    assert [one.code for one in joined.diagnostics if one.severity.name == "ERROR"] == []
    assert "reconcile_invoice_detail" in joined.checks_run

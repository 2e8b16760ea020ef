"""Whatever is in the ledger: rows add up to the report, are exact, and break no rule."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.focus.kit import OCTOBER, World, contract, exported, make_world, total

from tollbook.chargeback.focus.check import check
from tollbook.chargeback.focus.export import NothingToExportError
from tollbook.chargeback.focus.writers import number_text
from tollbook.chargeback.periods import as_billed
from tollbook.ledger.adjust import AdjustmentType
from tollbook.reports.query import LATEST, SpendQuery
from tollbook.reports.spend import run_spend
from tollbook.reports.zone import EPOCH
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS = [
    ("openai", "gpt-4o", None), ("openai", "gpt-4o", "batch"), ("openai", "gpt-4o-mini", None),
    ("anthropic", "claude-sonnet-4-5", None), ("gemini", "gemini-2.5-pro", None),
]  # fmt: skip
COUNTS = st.one_of(st.integers(0, 5_000), st.integers(190_000, 210_000))
WHEN = st.integers(-40 * 24, 29 * 24)
OWNERS = st.sampled_from(["acme", "globex", None, "-1+1", 'ÄÖ, "x"\n'])
CALLS = st.tuples(
    st.just("call"), WHEN, OWNERS, st.sampled_from(MODELS),
    st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), st.booleans(),
)  # fmt: skip
ADJUSTMENTS = st.tuples(
    st.just("adjustment"), WHEN, OWNERS, st.sampled_from([one.value for one in AdjustmentType]),
    st.integers(-(10**15), 10**15), st.booleans(),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with make_world(tmp_path_factory.mktemp("any"), prices=[contract("33.3333")]) as made:
        made.ledger.add(made.call(OCTOBER - timedelta(days=20)))
        made.close("2026-09")
        yield made


def _entries(world: World, told: tuple[Any, ...]) -> list[dict[str, Any]]:
    kind, hours, owner, what, amount, flag = told
    at = OCTOBER + timedelta(hours=hours)
    if kind == "adjustment":
        named = {"provider": "openai", "billing_period": "2026-10"} if flag else {}
        return [
            world.adjustment(at, what, f"{Decimal(amount).scaleb(-12):f}", tenant_id=owner, **named)
        ]
    provider, model, tier = what
    kinds = Kinds(
        uncached_input_tokens=amount[0], cache_read_tokens=amount[1],
        visible_output_tokens=amount[2], reasoning_tokens=amount[3],
    )  # fmt: skip
    call = world.call(at, provider=provider, model=model, tier=tier, kinds=kinds, tenant_id=owner)
    return [call, world.reversal(call)] if flag else [call]


@settings(max_examples=8)
@given(st.lists(st.one_of(CALLS, ADJUSTMENTS), min_size=1, max_size=12))
def test_rows_add_up_to_the_report_and_break_no_rule(
    world: World, told: list[tuple[Any, ...]]
) -> None:
    world.ledger.clear()
    for one in told:
        world.ledger.add(*_entries(world, one))
    query = SpendQuery(since=EPOCH, until=LATEST, billing_period="2026-10")
    report = run_spend(world.desk.reader, as_billed(world.desk.books, world.desk.config, query))
    whole = Decimal(report.totals["cost_usd"] or 0)
    try:
        answer, rows = exported(world, period="2026-10", version="1.4")
    except NothingToExportError:
        assert whole == 0
        return
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost") == whole
    assert total(rows, "x_RequestCount") == report.totals["calls"]
    assert check(Path(answer["directory"])).findings == []
    for row in rows:
        if row["x_CostBasis"] == "rated":
            # A rate that no decimal text holds is rounded at its twelfth digit.
            off = abs(Decimal(row["ContractedCost"]) - Decimal(row["BilledCost"]))
            assert off <= Decimal(row["PricingQuantity"]).copy_abs() * Decimal("1E-12") + 12 * (
                Decimal("1E-12")
            )


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18))
def test_a_number_is_written_digit_by_digit(value: Decimal) -> None:
    text = number_text(value)
    assert Decimal(text) == value
    assert "." in text
    assert "E" not in text
    assert not text.startswith(("+", "."))

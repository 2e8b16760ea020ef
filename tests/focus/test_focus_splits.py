"""Allocations in the split-cost columns of FOCUS 1.3 and later."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.focus.kit import NOVEMBER, World, allocate, exported, make_world, total

from tollbook.chargeback.focus.check import check

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with make_world(tmp_path) as made:
        allocate(made)
        yield made


def test_shares_bear_their_ratios_and_the_origin_what_it_gave(world: World) -> None:
    answer, rows = exported(world, period="2026-10")
    assert total(rows, "BilledCost") == 0
    (taken,) = [row for row in rows if not row["AllocatedMethodId"]]
    assert (taken["SubAccountId"], taken["BilledCost"]) == ("platform", "-100.0")
    shares = {row["SubAccountId"]: row for row in rows if row["AllocatedMethodId"]}
    assert json.loads(shares["acme"]["AllocatedMethodDetails"], parse_float=Decimal) == {
        "Elements": [
            {
                "AllocatedRatio": Decimal("0.666666666667"), "UsageQuantity": 20000,
                "UsageUnit": "Tokens",
            }
        ]
    }  # fmt: skip
    assert {row["AllocatedMethodId"] for row in shares.values()} == {
        "allocation_policy/default/1#shared"
    }
    assert shares["globex"]["AllocatedResourceId"] == "tenant=globex/feature=chat"
    assert json.loads(shares["globex"]["AllocatedTags"]) == {"feature": "chat"}
    assert {row["x_SplitOriginCost"] for row in shares.values()} == {"100.0"}
    assert check(Path(answer["directory"])).findings == []


def test_an_export_of_1_2_has_the_columns_as_custom_ones(world: World) -> None:
    answer, rows = exported(world, period="2026-10", version="1.2")
    assert {row["x_AllocatedMethodId"] for row in rows} == {
        "", "allocation_policy/default/1#shared"
    }  # fmt: skip
    assert list(rows[0]).index("x_AllocatedMethodId") > list(rows[0]).index("Tags")
    assert check(Path(answer["directory"])).findings == []


def test_entries_that_the_run_does_not_explain_are_told_as_they_are(world: World) -> None:
    # As after a crash between the books and the ledger.
    extra = world.adjustment(
        NOVEMBER - timedelta(microseconds=1), "allocation", "5", tenant_id="initech",
        adjustment_id="allocation:2026-10:2:shared", billing_period="2026-10",
    )  # fmt: skip
    world.ledger.add(extra)
    _, rows = exported(world, period="2026-10")
    assert total(rows, "BilledCost") == 5
    assert {row["SubAccountId"] for row in rows} == {"platform", "acme", "globex", "initech"}
    assert not any(row["AllocatedMethodId"] for row in rows)


def test_a_part_of_an_allocation_has_no_ratios(world: World) -> None:
    _, rows = exported(world, period="2026-10", where=["tenant=acme"])
    assert [(row["SubAccountId"], row["AllocatedMethodId"]) for row in rows] == [("acme", "")]

"""A running house: a rule that is imported bills the next call, cached answers as it says."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest
from tests.e2e.conftest import make_house, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_house"]  # the fixture

RULES = """
[[rules]]
name = "default"
effective_from = "2026-01-01"
kind = "rule"
basis = "cost_plus"
markup_percent = "100"
cached_percent = "25"
"""


@pytest.mark.slow
def test_a_rule_bills_the_next_call(make_house: Callable[..., Any]) -> None:
    house = make_house()
    path = house.config_path.parent / "rules.toml"
    path.write_text(RULES)
    key = house.key("app", tenant_id="acme")

    def spend(*words: str) -> list[dict[str, Any]]:
        told = house.cli("report spend", "--since", "today", "--measures",
                         "calls,cost_usd,billable_usd", "--format", "json", *words)  # fmt: skip
        rows: list[dict[str, Any]] = json.loads(told.stdout)["rows"]
        return rows

    with openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=key) as client:

        def call() -> None:
            client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Say something."}]
            )

        call()
        wait_until(lambda: sum(row["calls"] for row in spend()) == 1, 30)
        done = house.cli("billing rules import", str(path), "--reason", "house", "--format", "json")
        assert done.returncode == 0, done.stderr
        call()
        wait_until(lambda: sum(row["calls"] for row in spend()) == 2, 30)
    by_rule = {row["billing_rule"]: row for row in spend("--by", "billing_rule")}
    assert by_rule[None]["billable_usd"] is None
    ours = by_rule["billing_rule/default/1"]
    assert Decimal(ours["billable_usd"]) == 2 * Decimal(ours["cost_usd"]) > 0
    booked = house.cli(
        "billing rerate", "--since", "today", "--apply", "--reason", "from today on",
        "--format", "json",
    )  # fmt: skip
    assert json.loads(booked.stdout)["totals"]["calls"] == 1
    (row,) = spend()
    assert Decimal(row["billable_usd"]) == 2 * Decimal(row["cost_usd"])
    assert house.cli("verify").returncode == 0
    page = house.cli("calls", "--format", "json")
    call_id = json.loads(page.stdout)["rows"][0]["call_id"]
    told = house.cli("explain", call_id, "--format", "table").stdout
    assert "Billable (billing_rule/default/1)" in told
    assert "x (100 + 100) %" in " ".join(told.split())

"""``tollbook billing`` and the API's operations, on the files of a data directory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.billable.billing_kit import Ledger

from tollbook.cli.main import cli
from tollbook.console.finance import carry_out
from tollbook.desk.registry import operations
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.desk import Desk

RULES = """
[[rules]]
name = "default"
effective_from = 2026-01-01
kind = "rule"
basis = "cost_plus"
markup_percent = 12.5

[[rules]]
name = "plans"
effective_from = "2026-01-01"
kind = "plans"
tenants = { acme = "pro", "*" = "free" }

[[rules]]
name = "pro"
effective_from = "2026-01-01"
kind = "terms"
match = { plan = "pro" }
minimum_usd = "49"
"""


def _run(root: Path, *words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, [*words, "--data", str(root), "--format", "json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if code == 0 else result.output


def test_from_a_file_to_a_booked_month(tmp_path: Path) -> None:
    made = Ledger(tmp_path)
    (call_id,) = made.book(made.call("acme"))
    made.close()
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    effect = _run(tmp_path, "billing", "rules", "import", str(path), "--dry-run")
    assert effect["totals"]["change_usd"] == "0.006750000000"
    assert _run(tmp_path, "billing", "rules", "show")["rows"] == []
    kept = _run(tmp_path, "billing", "rules", "import", str(path), "--reason", "price list")
    assert [one["is_new"] for one in kept["rows"]] == [True] * 3
    again = _run(tmp_path, "billing", "rules", "import", str(path), "--reason", "price list")
    assert [one["is_new"] for one in again["rows"]] == [False] * 3
    shown = _run(tmp_path, "billing", "rules", "show")["rows"]
    assert [one["name"] for one in shown] == ["default", "plans", "pro"]
    assert shown[0]["says"] == {"basis": "cost_plus", "markup_percent": "12.5"}
    assert _run(tmp_path, "billing", "preview", "--since", "all")["totals"] == effect["totals"]
    booked = _run(
        tmp_path, "billing", "rerate", "--since", "all", "--apply", "--reason", "agreed"
    )  # fmt: skip
    assert booked["is_booked"]
    due = _run(tmp_path, "billing", "allowances", "--period", "2026-10")
    assert due["totals"]["due_usd"] == "48.993250000000"
    month = _run(tmp_path, "billing", "apply", "--period", "2026-10")
    assert month["adjustment_ids"] == ["billing:2026-10:minimum:1"]
    spend = _run(
        tmp_path, "report", "spend", "--since", "2026-10", "--by", "tenant",
        "--measures", "calls,cost_usd,billable_usd",
    )  # fmt: skip
    assert spend["rows"] == [
        {"tenant": "acme", "calls": 1, "cost_usd": "0.006000000000",
         "billable_usd": "49.000000000000"}
    ]  # fmt: skip
    told = _run(tmp_path, "explain", call_id)["billable"]
    assert told["amount_usd"] == "0.006750000000"


def test_a_rule_that_cannot_be_used_keeps_none(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    path = tmp_path / "rules.toml"
    path.write_text(RULES + '\n[[rules]]\nname = "x"\neffective_from = "2026-01-01"\n'
                    'kind = "rule"\nbasis = "own_rates"\n')  # fmt: skip
    told = _run(tmp_path, "billing", "rules", "import", str(path), "--reason", "r", code=2)
    assert "rules[3] (x): rates: is missing" in told
    assert _run(tmp_path, "billing", "rules", "show", "--history")["rows"] == []


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"effective_from": "2026-01-01", "kind": "rule", "basis": "free"}, "name: is missing"),
        ({"name": "a", "kind": "rule", "basis": "free"}, "effective_from: is missing"),
        ({"name": "a", "effective_from": "soon", "kind": "rule", "basis": "free"}, "soon"),
        ({"name": "a", "effective_from": "2026-01-01", "kind": "moon"}, "kind"),
        (
            {"name": "a", "effective_from": "2026-01-01", "kind": "rule", "basis": "cost_plus",
             "markup_percent": "-101"},
            "markup_percent",
        ),
        (
            {"name": "a", "effective_from": "2026-01-01", "kind": "rule", "basis": "cost_plus",
             "units": {"moon": "1"}},
            "units.moon",
        ),
        (
            {"name": "a", "effective_from": "2026-01-01", "kind": "rule", "basis": "free",
             "matches": {}},
            "matches",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(desk: Desk, rule: dict[str, Any], problem: str) -> None:
    with pytest.raises(TollbookError, match=problem) as caught:
        carry_out(operations()["billable.import"], desk, {"rules": [rule], "reason": "r"})
    assert "\n" not in str(caught.value)


def test_a_reason_is_needed(desk: Desk) -> None:
    rule = {"name": "a", "effective_from": "2026-01-01", "kind": "rule", "basis": "free"}
    with pytest.raises(TollbookError, match="reason"):
        carry_out(operations()["billable.import"], desk, {"rules": [rule]})
    with pytest.raises(TollbookError, match="reason"):
        carry_out(operations()["billable.rerate"], desk, {"since": "all", "reason": " "})

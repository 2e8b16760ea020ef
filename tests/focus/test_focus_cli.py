"""``tollbook export`` on the files of a ledger, and what its page shows."""

from __future__ import annotations

import json
import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.focus.kit import OCTOBER

from tollbook.books.events import list_events
from tollbook.books.store import open_books
from tollbook.cli.main import cli
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.ledger.store import LEDGER_FILE, open_store

PAGE = Path(__file__).resolve().parents[2] / "docs" / "finance" / "focus.md"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two adjustments."""
    at_ns = int((OCTOBER + timedelta(days=3)).timestamp()) * 10**9
    with open_store(tmp_path / LEDGER_FILE) as store:
        book_adjustments(store, "fee:1", [
            Adjustment(
                adjustment=AdjustmentType.FEE, at_ns=at_ns, cost=cost, reason="a fee",
                identity={"tenant_id": tenant},
            )
            for tenant, cost in (("acme", 5 * 10**12), ("globex", 7))
        ])  # fmt: skip
    open_books(tmp_path).close()
    return tmp_path


def _run(data: Path, line: str) -> str:
    words = shlex.split(line)
    assert words[:2] == ["tollbook", "export"]
    place = [] if "--check" in words else ["--data", str(data)]
    result = CliRunner().invoke(cli, [*words[1:], *place], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_files_are_copied_and_nothing_is_written_over(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    line = f"tollbook export focus --period 2026-10 --output {target} --format json"
    answer = json.loads(_run(data, line))
    assert sorted(path.name for path in target.iterdir()) == [
        "focus_1.4_billing_period.csv", "focus_1.4_cost_and_usage.csv", "manifest.json",
    ]  # fmt: skip
    assert answer["totals"]["billed_cost"] == "5.000000000007"
    again = CliRunner().invoke(cli, [*shlex.split(line)[1:], "--data", str(data)])
    assert again.exit_code == 2
    assert "is there already; choose another directory" in again.output
    with open_books(data) as books:
        assert [event.action for event in list_events(books)] == ["exports.focus"] * 2


def test_a_check_that_finds_something_ends_with_1(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    _run(data, f"tollbook export focus --period 2026-10 --output {target}")
    bad = target / "focus_1.4_cost_and_usage.csv"
    bad.write_text(bad.read_text().replace("USD", "usd"))
    for path in (bad, target):
        found = CliRunner().invoke(
            cli, ["export", "focus", "--check", str(path), "--format", "table"]
        )
        assert found.exit_code == 1
        assert "currency-form" in found.output
        assert "4 findings found" in found.output


def test_what_was_exported_is_shown_with_its_state(data: Path) -> None:
    answer = json.loads(_run(data, "tollbook export focus --period 2026-10 --format json"))
    assert "unchanged" in _run(data, f"tollbook export show {answer['export_id']} --format csv")
    (Path(answer["directory"]) / "focus_1.4_cost_and_usage.csv").unlink()
    shown = CliRunner().invoke(
        cli, ["export", "show", answer["export_id"], "--data", str(data), "--format", "csv"]
    )
    assert shown.exit_code == 1
    assert "changed or missing" in shown.output


def test_the_commands_of_the_page_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [
        line.removeprefix("$ ") for block in blocks for line in block.splitlines()
        if line.startswith("$ ")
    ]  # fmt: skip
    assert len(lines) >= 5
    for line in lines:
        _run(data, line)


def test_the_page_names_every_rule_and_custom_column() -> None:
    from tollbook.chargeback.focus.columns import CUSTOM  # noqa: PLC0415 -- only here

    text = PAGE.read_text()
    assert [name for name in CUSTOM if f"`{name}`" not in text] == []

"""The page of journals: its commands run, its example is a mapping."""

from __future__ import annotations

import json
import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.focus.kit import OCTOBER

from tollbook.books.store import open_books
from tollbook.chargeback.journal.mapping import read_mapping
from tollbook.cli.main import cli
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.ledger.store import LEDGER_FILE, open_store

PAGE = Path(__file__).resolve().parents[2] / "docs" / "finance" / "journal.md"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with one fee in October."""
    at_ns = int((OCTOBER + timedelta(days=3)).timestamp()) * 10**9
    with open_store(tmp_path / LEDGER_FILE) as store:
        book_adjustments(store, "fee:1", [
            Adjustment(
                adjustment=AdjustmentType.FEE, at_ns=at_ns, cost=5 * 10**12, reason="a fee",
                identity={"tenant_id": "acme", "cost_center": "4711"}, provider="openai",
            )
        ])  # fmt: skip
    open_books(tmp_path).close()
    return tmp_path


def test_commands_of_the_page_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (mapping,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert read_mapping(mapping, "page").accounts
    monkeypatch.chdir(tmp_path)
    (tmp_path / "accounts.json").write_text(mapping, encoding="utf-8")
    (commands,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ tollbook ") for line in commands.splitlines()]
    assert len(lines) == 4
    answers = []
    for line in lines:
        words = [*shlex.split(line), "--data", str(data), "--format", "json"]
        result = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        answers.append(json.loads(result.output))
    assert {row["account"] for row in answers[0]["rows"]} == {"LLM-COST", "LLM-ACCRUED-openai"}
    assert {one.name for one in (tmp_path / "books").iterdir()} == {
        "journal-2026-10.csv", "journal-2026-10.beancount", "manifest.json",
    }  # fmt: skip
    assert [row["document"] for row in answers[3]["rows"]] == ["account_mapping/default/1"]
    words = [*shlex.split(lines[0]), "--data", str(data), "--format", "json"]
    rows = json.loads(CliRunner().invoke(cli, words).output)["rows"]
    assert {row["account"] for row in rows} == {"6410", "LLM-ACCRUED-openai"}
    assert {row["text"] for row in rows} >= {"LLM acme 2026-10"}
    again = CliRunner().invoke(cli, [*shlex.split(lines[1]), "--data", str(data)])
    assert again.exit_code == 2
    assert "is there already" in again.output

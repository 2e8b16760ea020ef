"""H and I: nothing is lost, history does not change."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.accuracy.bodies import completion, usage
from tests.accuracy.kit import CASES, case, json_answer

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow


def test_nothing_was_lost_on_the_way(book: Book) -> None:
    calls = {name: sum(row["calls"] for row in book.rows.get(name, [])) for name in CASES}
    assert calls == dict.fromkeys(CASES, 1)
    assert book.house.rows("SELECT kind, detail FROM incidents") == []


H8 = case("H8", [json_answer(completion(usage(10, 1)))])


def test_H8_parts_of_a_cent_are_shown(book: Book) -> None:
    done = book.house.cli("calls", "--where", "tenant=H8", "--format", "table")
    assert done.returncode == 0, done.stderr
    assert "0.00003" in done.stdout


def test_H5_I1_I2_more_runs_and_new_prices_change_no_booked_number(book: Book) -> None:
    def report() -> Any:
        done = subprocess.run(
            [
                sys.executable, "-m", "tollbook", "report", "spend", "--by", "tenant,model",
                "--since", "2020-01-01", "--limit", "1000", "--format", "json",
                "--config", str(book.house.config_path), "--data", str(book.house.data_dir),
            ],
            env=book.house.environ, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["rows"]

    before = report()
    entries = book.house.rows("SELECT * FROM entries ORDER BY entry_id")
    assert {row["tenant"] for row in before} == set(CASES)
    settings = book.house.config_path.read_text()
    book.house.config_path.write_text(settings.replace("input = 2\n", "input = 3\n"))
    book.house.start()
    book.house.settle()
    book.house.stop()
    assert report() == before
    assert book.house.rows("SELECT * FROM entries ORDER BY entry_id") == entries
    assert book.house.cli("verify").returncode == 0


def test_H6_every_way_to_sum_comes_to_the_same(book: Book) -> None:
    def summed(by: str) -> tuple[int, Decimal]:
        done = book.house.cli(
            "report spend", "--by", by, "--since", "2020-01-01", "--limit", "1000",
            "--format", "json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["rows"]
        return (
            sum(row["calls"] for row in rows),
            sum((Decimal(row["cost_usd"] or 0) for row in rows), Decimal()),
        )

    ledger = book.house.rows("SELECT sum(calls), sum(cost_usd) FROM entries")[0]
    assert ledger[0] >= len(CASES)
    for by in ("tenant", "model", "provider", "operation", "status", "day", "api_key", "user"):
        assert summed(by) == ledger, by

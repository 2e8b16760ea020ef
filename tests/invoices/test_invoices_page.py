"""The page of statements: its commands run, on files and on a running ledger."""

from __future__ import annotations

import http.client
import json
import re
import shlex
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from tests.console.conftest import LedgerThread, Running, write_calls

from tollbook import clock
from tollbook.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "finance" / "statements-of-tenants.md"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data_dir = tmp_path_factory.mktemp("data")
    write_calls(data_dir, ["acme", "acme", "globex", None])
    thread = LedgerThread(data_dir)
    running = thread.start()
    running.api.catch_up()
    yield running
    assert thread.end() == 0


def _tollbook(ledger: Running, *words: str) -> Any:
    place = ["--data", str(ledger.data_dir), "--format", "json"]
    result = CliRunner().invoke(cli, [*words, *place], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_commands_of_the_page_are_understood() -> None:
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        words = shlex.split(line.removeprefix("$ tollbook "))
        result = CliRunner().invoke(cli, [*words, "--data", "/nowhere/at/all"])
        assert result.exit_code == 2
        assert "/nowhere/at/all" in result.output, result.output
        assert "Usage" not in result.output


def test_a_running_ledger_states_and_proves(ledger: Running, tmp_path: Path) -> None:
    period = f"{clock.utc_now():%Y-%m}"
    target = tmp_path / "out"
    made = _tollbook(
        ledger, "export", "statements", "--period", period, "--all", "--files", "csv",
        "--output", str(target),
    )  # fmt: skip
    assert made["totals"]["statements"] == 3
    spent = _tollbook(ledger, "report", "spend", "--billing-period", period)
    assert Decimal(made["totals"]["exact_usd"]) == Decimal(spent["totals"]["cost_usd"]) > 0
    names = {row["name"] for row in made["rows"]}
    assert {one.name for one in target.iterdir()} == {*names, "manifest.json"}
    shown = _get(ledger, "/exports/statements", period=period, owner="acme")
    proof = _tollbook(ledger, "export", "evidence", shown["rows"][0]["line_id"])
    assert proof["totals"]["calls"] == 2
    assert Decimal(proof["totals"]["cost_usd"]) == Decimal(shown["exact_usd"])
    by_api = _get(ledger, "/exports/evidence", line_id=shown["rows"][0]["line_id"])
    assert by_api["rows"] == proof["rows"]
    call = _tollbook(ledger, "explain", proof["rows"][0]["call_id"])
    assert call["call_id"] == proof["rows"][0]["call_id"]


def _get(ledger: Running, path: str, **pairs: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", ledger.port, timeout=30)
    connection.request(
        "GET", f"/api/v1{path}?{urlencode(pairs)}",
        headers={"authorization": f"Bearer {ledger.token}"},
    )  # fmt: skip
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 200, body
    return json.loads(body)

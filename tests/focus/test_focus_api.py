"""Exports of a running ledger: made over its API, fetched as files, checked."""

from __future__ import annotations

import hashlib
import http.client
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from tests.console.conftest import LedgerThread, Running, write_calls

from tollbook import clock
from tollbook.chargeback.focus.check import check
from tollbook.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data_dir = tmp_path_factory.mktemp("data")
    write_calls(data_dir, ["acme", "acme", "globex", None])
    thread = LedgerThread(data_dir)
    running = thread.start()
    running.api.catch_up()
    yield running
    assert thread.end() == 0


def _get(ledger: Running, path: str, **pairs: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", ledger.port, timeout=30)
    connection.request(
        "GET", f"/api/v1{path}?{urlencode(pairs)}",
        headers={"authorization": f"Bearer {ledger.token}"},
    )  # fmt: skip
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body


def _tollbook(ledger: Running, *words: str) -> Any:
    result = CliRunner().invoke(
        cli, [*words, "--data", str(ledger.data_dir), "--format", "json"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_running_ledger_exports_and_sends_its_files(ledger: Running, tmp_path: Path) -> None:
    period = f"{clock.utc_now():%Y-%m}"
    target = tmp_path / "out"
    made = _tollbook(ledger, "export", "focus", "--period", period, "--output", str(target))
    spent = _tollbook(ledger, "report", "spend", "--billing-period", period)
    assert Decimal(made["totals"]["billed_cost"]) == Decimal(spent["totals"]["cost_usd"]) > 0
    assert made["totals"]["request_count"] == spent["totals"]["calls"] == 4
    assert check(target).findings == []
    for file in made["files"]:
        status, headers, body = _get(
            ledger, "/exports/file", export_id=made["export_id"], name=file["name"]
        )
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/csv")
        assert headers["x-content-type-options"] == "nosniff"
        assert f'filename="{file["name"]}"' in headers["content-disposition"]
        assert hashlib.sha256(body).hexdigest() == file["sha256"]
        assert body == (target / file["name"]).read_bytes()
    listed = _tollbook(ledger, "export", "list", "--kind", "focus")
    assert [row["export_id"] for row in listed["rows"]] == [made["export_id"]]
    shown = _tollbook(ledger, "export", "show", made["export_id"])
    assert {row["state"] for row in shown["rows"]} == {"unchanged"}


@pytest.mark.parametrize(
    ("path", "pairs", "words"),
    [
        ("/exports/file", {"export_id": "x", "name": "../books.sqlite"}, "no export"),
        ("/exports/file", {"export_id": "x", "other": "y"}, "other"),
        ("/exports/show", {"export_id": "x"}, "no export"),
    ],
)
def test_what_is_not_there_is_a_problem_with_words(
    ledger: Running, path: str, pairs: dict[str, str], words: str
) -> None:
    status, headers, body = _get(ledger, path, **pairs)
    assert status == 400
    assert headers["content-type"].startswith("application/problem+json")
    assert words in json.loads(body)["detail"]


def test_files_need_the_token(ledger: Running) -> None:
    status, _, _ = _get(ledger._replace(token="wrong"), "/exports/file", export_id="x")
    assert status == 401

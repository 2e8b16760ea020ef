"""SQL over the API, on the page, and as a command; each question is in the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from click.testing import CliRunner
from tests.console.conftest import LedgerThread, Running, write_calls

from tollbook.books.events import list_events
from tollbook.books.store import open_books
from tollbook.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

SUMS = "SELECT tenant_id, sum(calls)::INT AS calls FROM entries GROUP BY 1 ORDER BY 1 NULLS LAST"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running ledger with two calls of acme and one of globex."""
    data_dir = tmp_path_factory.mktemp("sql")
    write_calls(data_dir, ["acme", "acme", "globex"])
    thread = LedgerThread(data_dir)
    found = thread.start()
    found.api.catch_up()
    yield found
    assert thread.end() == 0


def _get(running: Running, path: str, **params: str) -> httpx2.Response:
    return httpx2.get(
        f"http://127.0.0.1:{running.port}{path}", params=params,
        headers={"authorization": f"Bearer {running.token}"},
    )  # fmt: skip


def _ask(running: Running, **body: Any) -> httpx2.Response:
    return httpx2.post(
        f"http://127.0.0.1:{running.port}/api/v1/sql", json=body,
        headers={"authorization": f"Bearer {running.token}"},
    )  # fmt: skip


def test_the_api_answers_and_notes_who_asked(running: Running) -> None:
    answer = _ask(running, sql=SUMS)
    assert answer.status_code == 200
    assert answer.json()["rows"] == [
        {"tenant_id": "acme", "calls": 2}, {"tenant_id": "globex", "calls": 1},
    ]  # fmt: skip
    assert _ask(running, sql=SUMS, tenant="globex").json()["rows"] == [
        {"tenant_id": "globex", "calls": 1}
    ]
    with open_books(running.data_dir) as books:
        events = list_events(books, action="sql.query")
    said = {(event.detail["sql"], event.detail["tenant"]) for event in events}
    assert {(SUMS, None), (SUMS, "globex")} <= said


def test_refusals_are_problems_that_name_the_parameter(running: Running) -> None:
    refused = _ask(running, sql="DROP TABLE entries")
    assert refused.status_code == 400
    assert refused.json()["parameter"] == "sql"
    assert _ask(running, sql="SELECT nothing FROM entries").status_code == 400
    assert _ask(running, sql=SUMS, more=1).status_code == 400


def test_the_page_has_its_query_in_the_url(running: Running) -> None:
    page = _get(running, "/sql", sql=SUMS)
    assert page.status_code == 200
    assert "globex" in page.text
    assert "tollbook sql" in page.text
    assert _get(running, "/sql.csv", sql=SUMS).text.splitlines()[1] == "acme,2"
    refused = _get(running, "/sql", sql="DROP TABLE entries")
    assert refused.status_code == 200
    assert "expected one SELECT" in refused.text


def test_the_command_asks_the_running_ledger_or_the_file(running: Running) -> None:
    result = CliRunner().invoke(
        cli, ["sql", SUMS, "--data", str(running.data_dir), "--format", "json"]
    )
    assert result.exit_code == 0, result.output
    assert '"globex"' in result.output
    refused = CliRunner().invoke(
        cli, ["sql", "DELETE FROM entries", "--data", str(running.data_dir)]
    )
    assert refused.exit_code == 2

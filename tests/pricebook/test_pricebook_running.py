"""The price book of a running ledger, by commands and over the API; and one before any call."""

from __future__ import annotations

import csv
import http.client
import io
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.console.conftest import LedgerThread, Running, write_calls

from tollbook.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CARDS = (
    '[[prices]]\nname = "house"\nprovider = "openai"\nmodel = "house-*"\n'
    "effective_from = 2020-01-01\ninput = 1\noutput = 2\n"
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cards.toml").write_text(CARDS)
    return tmp_path


@pytest.fixture
def running(here: Path) -> Iterator[Running]:
    write_calls(here, ["acme"], model_actual="house-1")
    thread = LedgerThread(here)
    found = thread.start()
    found.api.catch_up()
    yield found
    assert thread.end() == 0


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["prices", *words, "--data", "."])


def answer(*words: str) -> dict[str, Any]:
    done = run(*words)
    assert done.exit_code == 0, done.output
    return msgspec.json.decode(done.stdout, type=dict[str, Any])


def get(running: Running, path: str, accept: str = "application/json") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    headers = {"authorization": f"Bearer {running.token}", "accept": accept}
    connection.request("GET", f"/api/v1{path}", headers=headers)
    response = connection.getresponse()
    found = response.status, response.read().decode()
    connection.close()
    return found


def test_cards_of_a_running_ledger(running: Running) -> None:
    waiting = run("unpriced")
    assert waiting.exit_code == 1
    assert msgspec.json.decode(waiting.stdout)["rows"][0]["model"] == "house-1"
    assert answer("import", "cards.toml", "--reason", "form 1", "--author", "dora")["counts"]["new"]
    write_calls(running.data_dir, ["acme"], model_actual="house-2")
    running.api.catch_up()
    spend = running.api.ask("spend", [("by", "model"), ("since", "all")])["rows"]
    assert {row["model"]: row["cost_usd"] for row in spend} == {
        "house-1": None, "house-2": "0.001200000000",
    }  # fmt: skip
    assert answer("history")["rows"][0]["author"] == "dora"
    shown = run("rerate", "--by", "tenant", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(shown.stdout))
    assert (row["tenant"], row["change_usd"]) == ("acme", "0.001200000000")
    booked = answer("rerate", "--apply", "--reason", "form 1")
    assert booked["totals"]["change_usd"] == "0.001200000000"
    assert booked["tenants"][0]["tenant"] == "acme"
    assert msgspec.json.decode(run("check").stdout)["unpriced"] == []


def test_the_api_answers_json_and_csv_and_refuses_in_one_line(running: Running) -> None:
    answer("import", "cards.toml", "--reason", "form 1")
    status, text = get(running, "/prices/history?card=house")
    assert (status, msgspec.json.decode(text)["rows"][0]["card"]) == (200, "house")
    status, text = get(running, "/prices?provider=openai&model=house-1", "text/csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert (status, rows[0]["kind"], rows[0]["usd"]) == (200, "uncached_input_tokens", "1")
    status, text = get(running, "/prices/diff?colour=red")
    assert (status, "colour" in text) == (400, True)
    status, text = get(running, "/prices/history?card=none")
    assert (status, "no card 'none'" in text) == (400, True)


def test_cards_may_be_there_before_the_first_call(here: Path) -> None:
    assert answer("show", "--provider", "openai", "--model", "gpt-4o")["cards"]
    assert not (here / "books.sqlite").exists()  # looking makes nothing
    answer("import", "cards.toml", "--reason", "form 1")
    assert answer("show", "--provider", "openai", "--model", "house-9")["rows"][0]["usd"] == "1"
    assert not (here / "ledger.duckdb").exists()
    checked = run("check")
    assert (checked.exit_code, msgspec.json.decode(checked.stdout)["book_cards"]) == (0, 1)
    missing = run("unpriced")
    assert missing.exit_code == 2
    assert "no ledger here yet" in missing.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("import none.toml", "none.toml: cannot be read: no such file or directory"),
        ("import cards.toml", "cards.toml: line 1 (model house-*).reason: is missing"),
        ("import cards.toml --as json --reason r", "cards.toml: is no JSON"),
        ("import .", ".: cannot be read: is a directory"),
        ("withdraw none --since now --reason r", "--card: no card 'none' in the books"),
        ("diff", "--since: give two moments"),
        ("history --card none", "--card: no card 'none'"),
        ("fx import cards.toml --reason r", "cards.toml: line 1: expected the heading date"),
        ("fx list --since soon", "--since: 'soon' is not a time"),
    ],
)
def test_wrong_input_is_one_line(here: Path, words: str, problem: str) -> None:
    assert here.exists()
    done = run(*words.split())
    assert done.exit_code == 2
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_tables_for_people(here: Path) -> None:
    assert here.exists()
    assert (
        "Nothing is imported yet: 1 new."
        in run("import", "cards.toml", "--reason", "r", "--dry-run", "--format", "table").stdout
    )
    assert "The books have no price card" in run("history", "--format", "table").stdout
    assert "No exchange rates yet" in run("fx", "list", "--format", "table").stdout
    imported = run("import", "cards.toml", "--reason", "r", "--format", "table").stdout
    assert "Imported: 1 new." in imported
    assert "with tollbook prices rerate --since 2020-01-01." in imported
    shown = run("show", "--format", "table").stdout
    assert "Cards in force" in shown
    assert "No call has been priced yet." in shown
    assert "input - -> 1" in run("history", "--format", "table").stdout
    assert "Nothing differs." in run("diff", "--since", "2026-01-01", "--format", "table").stdout
    ended = run("withdraw", "house", "--since", "2026-01-01", "--reason", "r", "--format", "table")
    assert "withdrawn" in ended.stdout
    assert (
        "0 price card(s) in the settings, 1 in the books."
        in run("check", "--format", "table").stdout
    )

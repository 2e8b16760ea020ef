"""What a person may type wrongly: one line on stderr, exit code 2, and nothing made on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from tollbook.books.store import open_books
from tollbook.chargeback.pricebook.restated import restatement
from tollbook.ledger.rerate import RerateReport, RerateRow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("nope", "no such command 'nope'; see tollbook --help"),
        ("--nope", "no such option '--nope'; see tollbook --help"),
        ("keys nope", "see tollbook keys --help"),
        ("keys revoke", "missing argument 'NAME'; see tollbook keys revoke --help"),
        ("keys revoke ghost", "no virtual key"),
        ("keys create x --tenant {", "--tenant: looks like JSON"),
        ("keys create x --expires soon", "--expires: 'soon' is not a time"),
        ("keys create x --expires 2020-01-01", "--expires: lies in the past"),
        ("keys create x --expires 99999w", "--expires: lies after 2200"),
        ("keys create x --expires 9998-01-01", "--expires: lies after 2200"),
        ("keys create x --expires 4d --tz Mars", "--tz"),
        ("report spend extra", "unexpected extra argument (extra)"),
        ("report spend --format xml", "'xml' is not one of"),
        ("report spend --limit", "--limit"),
        ("tail --count 0", "--count"),
        ("prices show --provider openai", "give both --provider and --model"),
        ("prices show --provider openai --model x --at never", "--at: 'never' is not a time"),
        ("up --config nowhere.toml", "nowhere.toml: no such file"),
        ("report spend --data nowhere", "no ledger here yet"),
    ],
)
def test_a_wrong_command_line_is_one_line(run: Run, words: str, expected: str) -> None:
    result = run(*words.split(" "))

    assert result.exit_code == 2
    assert result.stdout == ""
    assert expected in result.stderr
    assert result.stderr.startswith("tollbook: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words", ["keys list", "keys revoke x", "prices show", "prices check", "verify", "calls"]
)
def test_asking_makes_no_directory(run: Run, tmp_path: Path, words: str) -> None:
    run(*words.split(" "), "--data", tmp_path / "mistyped")

    assert not (tmp_path / "mistyped").exists()


def test_an_expiry_without_a_date_counts_from_now(run: Run, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    result = run("keys", "create", "x", "--expires", "90d", "--data", tmp_path, "--format", "json")
    at = datetime.fromisoformat(msgspec.json.decode(result.stdout)["expires_at"])

    assert timedelta(days=90) <= at - before < timedelta(days=90, minutes=5)


def test_a_table_of_keys_shows_only_what_some_key_has(run: Run, tmp_path: Path) -> None:
    run("keys", "create", "x", "--team", "core", "--data", tmp_path)
    text = run("keys", "list", "--format", "table", "--data", tmp_path).stdout

    assert "team id" in text
    assert "cost center" not in text


def test_rerating_shows_unknown_tenants_once(tmp_path: Path) -> None:
    def row(tenant_id: str | None, old_cost: int, new_cost: int) -> RerateRow:
        return RerateRow(
            tenant_id=tenant_id, provider="openai", model="m", calls=2, old_cost=old_cost,
            new_cost=new_cost, old_unpriced_calls=1, new_unpriced_calls=0,
            old_card_ids=("a",), new_card_ids=("b",),
        )  # fmt: skip

    rows = (row(None, 10, 7), row("acme", 50, 10), row("unknown", 4, 3))
    with open_books(tmp_path) as books:
        answer = restatement(books, RerateReport(rows), is_applied=False)

    assert [one["tenant"] for one in answer["rows"]] == ["acme", "unknown"]
    assert answer["rows"][1]["calls"] == 4
    assert answer["rows"][1]["change_usd"] == "-0.000000000004"
    assert answer["rows"][1]["cards_after"] == ["b"]
    assert answer["totals"]["change_usd"] == "-0.000000000044"
    assert answer["totals"]["unpriced_before"] == 3

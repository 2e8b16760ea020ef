"""The commands and the API, on a data directory as a team has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.console.conftest import LedgerThread
from tests.reconcile.reconcile_kit import (
    IN,
    OUT,
    RATES,
    Call,
    Place,
    invoice_line,
    lines_of,
    month_of_calls,
    ns,
)

from tollbook.chargeback.reconcile.run import NOTHING_TOLD, ZONE_APART
from tollbook.chargeback.reconcile.shelf import run_history
from tollbook.chargeback.statements.model import Basis, Category
from tollbook.cli.main import cli
from tollbook.money import usd_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A month with a wrong card, something unexplained and a credit."""
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o700)
    place = Place(data)
    calls = list(month_of_calls())
    more = Call("2026-10-04T08:00", {IN: 2_000_000})
    place.book(calls)
    told = lines_of([*calls, more], money=True, rates=RATES | {OUT: 9_000_000})
    place.state(Basis.USAGE, lines_of([*calls, more], money=False))
    place.state(Basis.COST, told)
    usage = usd_text(sum(line["amount"] for line in told))
    place.state(Basis.INVOICE, [invoice_line(usage), invoice_line("-1", Category.CREDIT, "Grant")])
    place.close()
    return data


def _run(data: Path, *arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(
        cli, ["reconcile", *arguments, "--format", "json", "--data", str(data)]
    )
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if result.stdout.startswith("{") else result.stderr


def test_a_month_from_run_to_true_up(directory: Path) -> None:
    answer = _run(directory, "run", "--period", "2026-10")
    (row,) = answer["rows"]
    assert (row["provider"], row["period"], row["basis"]) == ("openai", "2026-10", "invoice")
    assert row["unexplained_usd"] == "4.000000000000"
    found = _run(directory, "differences", "--period", "2026-10")["rows"]
    assert [one["cause"] for one in found] == ["unexplained", "credit", *["wrong_card"] * 2]
    unexplained = found[0]["id"]

    _run(directory, "assign", unexplained, "--owner", "bob", "--note", "asked OpenAI")
    _run(directory, "note", unexplained[:8], "they answered", "--state", "disputed")
    (one,) = _run(directory, "differences", "--state", "disputed")["rows"]
    assert (one["id"], one["owner"], one["note"]) == (unexplained, "bob", "they answered")
    evidence = _run(directory, "evidence", unexplained)
    assert [said["note"] for said in evidence["remarks"]] == ["asked OpenAI", "they answered"]
    assert evidence["days"] == ["2026-10-04"]

    preview = _run(directory, "true-up", "--period", "2026-10")
    assert preview["applied"] is False
    done = _run(directory, "true-up", "--period", "2026-10", "--apply")
    assert done["rows"] == preview["rows"]
    assert done["totals"][0]["left_usd"] == "0.000000000000"
    assert _run(directory, "true-up", "--period", "2026-10", "--apply")["rows"] == []

    _run(directory, "accept", "--period", "2026-10", "--note", "signed off")
    (row,) = _run(directory, "show", "--period", "2026-10")["rows"]
    assert row["state"] == "accepted"
    rollup = CliRunner().invoke(
        cli, ["report", "rollup", "--period", "2026-10", "--format", "json",
              "--data", str(directory)],
    )  # fmt: skip
    report = json.loads(rollup.stdout)
    assert report["reconciliation"] == "reconciled"
    assert report["totals"]["reconciled_usd"] == row["billed_usd"]


def test_check_ends_with_one_where_too_much_is_unexplained(directory: Path) -> None:
    _run(directory, "run", "--period", "2026-10", "--check", code=1)
    _run(directory, "run", "--period", "2026-10", "--check", "--tolerance", "4")


def test_the_same_run_again_is_the_same_and_keeps_what_was_said(directory: Path) -> None:
    first = _run(directory, "run", "--period", "2026-10")["rows"][0]["run_id"]
    _run(directory, "accept", "--period", "2026-10")
    again = _run(directory, "run", "--period", "2026-10")["rows"][0]
    assert (again["run_id"], again["state"]) == (first, "accepted")
    place = Place(directory)
    try:
        assert len(run_history(place.books, "2026-10", "openai")) == 1
        place.state(Basis.INVOICE, [invoice_line("77")])
        assert place.reconcile().run_id != first
        runs = run_history(place.books, "2026-10", "openai")
        kept = {one.fingerprint for one in runs[0].differences}
        assert len(runs) == 2
        assert kept & {one.fingerprint for one in runs[1].differences}
    finally:
        place.close()


def test_weeks_leave_the_invoice_out_and_add_up(directory: Path) -> None:
    rows = _run(directory, "run", "--period", "2026-10", "--weekly")["rows"]
    assert [row["period"] for row in rows] == [
        "2026-10-01/2026-10-05", "2026-10-05/2026-10-12", "2026-10-12/2026-10-19",
        "2026-10-19/2026-10-26", "2026-10-26/2026-11-01",
    ]  # fmt: skip
    assert {row["basis"] for row in rows} == {"cost"}
    month = _run(directory, "run", "--period", "2026-10")["rows"][0]
    weeks = sum(int(row["ledger_usd"].replace(".", "")) for row in rows)
    assert weeks == int(month["ledger_usd"].replace(".", ""))


def test_providers_of_which_nothing_is_there_are_left_out(directory: Path) -> None:
    place = Place(directory)
    # Covers October, but all that it tells is of September; and one that tells nothing at all.
    at = {"start_ns": ns("2026-09-05T00:00"), "end_ns": ns("2026-09-06T00:00")}
    late = {**invoice_line("1"), **at}
    place.state(Basis.COST, [late], provider="elsewhere")
    place.state(Basis.USAGE, [], provider="silent")
    place.state(Basis.INVOICE, [late], provider="billed-late")
    place.close()
    answer = _run(directory, "run", "--period", "2026-10")
    assert [row["provider"] for row in answer["rows"]] == ["billed-late", "openai"]
    true_up = _run(directory, "true-up", "--period", "2026-10")
    assert [row["provider"] for row in true_up["totals"]] == ["billed-late", "openai"]
    named = _run(directory, "run", "--period", "2026-10", "--provider", "silent")
    assert named["runs"][0]["words"] == [NOTHING_TOLD]


def test_months_of_another_zone_are_told(directory: Path, tmp_path: Path) -> None:
    assert _run(directory, "run", "--period", "2026-10")["runs"][0]["words"] == []
    settings = tmp_path / "zone.toml"
    settings.write_text('[finance]\ntimezone = "Europe/Berlin"\n')
    given = ("--period", "2026-10", "--config", str(settings))
    (words,) = _run(directory, "run", *given)["runs"][0]["words"]
    assert words == ZONE_APART.format(zone="Europe/Berlin")
    assert _run(directory, "true-up", *given)["words"] == [f"openai 2026-10: {words}"]


def test_a_provider_that_nobody_knows_is_refused(directory: Path) -> None:
    for deed in ("run", "true-up"):
        told = _run(directory, deed, "--period", "2026-10", "--provider", "opnai", code=2)
        assert "--provider" in told
        assert "did you mean openai" in told


def test_wrong_words_are_one_line(directory: Path) -> None:
    for arguments, words in (
        (("run", "--period", "October"), "is not a month"),
        (("run", "--period", "2026-10", "--tolerance", "abc"), "--tolerance: 'abc' is not"),
        (("note", "abcdef", "x"), "there is none"),
        (("note", "../x", "x"), "expected the id"),
        (("accept",), "name a difference or a period"),
        (("true-up", "--period", "2026-10", "--provider", "cohere"), "nothing to true up to"),
    ):
        told = _run(directory, *arguments, code=2)
        assert words in told
        assert told.count("\n") == 1


def test_a_table_names_causes(directory: Path) -> None:
    result = CliRunner().invoke(
        cli, ["reconcile", "run", "--period", "2026-10", "--format", "table",
              "--data", str(directory)],
    )  # fmt: skip
    assert result.exit_code == 0
    assert "wrong_card" in result.stdout
    assert "unexplained" in result.stdout


def test_a_policy_is_kept_and_shown(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{"causes": {"bypass": "tenant:platform"}}')
    _run(
        directory, "policy", "--set", str(path), "--from", "2026-10-01", "--reason", "agreed",
    )  # fmt: skip
    answer = _run(directory, "policy", "--provider", "openai")
    assert {"cause": "bypass", "target": "tenant:platform"} in answer["rows"]
    assert _run(directory, "policy", "--set", str(path), code=2).count("--reason") == 1


def test_a_running_ledger_answers_the_same_commands(directory: Path) -> None:
    thread = LedgerThread(directory)
    running = thread.start()
    try:
        answer = _run(directory, "run", "--period", "2026-10")
        assert [row["provider"] for row in answer["rows"]] == ["openai"]
        told = running.api.finance("GET", "/reconciliations/differences", {"cause": "credit"})
        assert [row["amount_usd"] for row in told["rows"]] == ["-1.000000000000"]
        done = _run(directory, "true-up", "--period", "2026-10", "--apply")
        assert done["totals"][0]["left_usd"] == "0.000000000000"
    finally:
        assert thread.end() == 0

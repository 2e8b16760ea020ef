from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec
import pytest
from tests.console.conftest import LedgerThread, write_calls

from tollbook.call import Status
from tollbook.cli.main import cli, commands
from tollbook.cli.tables import cell, money
from tollbook.reports.tabular import csv_text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

COSTS = {
    "acme": "0.000630000000", "globex": "0.000210000000", "=HYPERLINK(1)": "0.000210000000",
    "unknown": "0.000210000000",
}  # fmt: skip


def _all_commands() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found: list[tuple[str, click.Command]] = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", one) for sub, one in command.commands.items()]
    return found


@pytest.mark.parametrize("data", ["closed_ledger", "open_ledger"])
def test_spend_as_json_is_the_public_shape(
    run: Run, data: str, request: pytest.FixtureRequest
) -> None:
    data_dir: Path = request.getfixturevalue(data)
    result = run(
        "report", "spend", "--by", "tenant,model", "--since", "today", "--tz", "Europe/Berlin",
        "--format", "json", "--data", data_dir,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = msgspec.json.decode(result.stdout)
    assert {row["tenant"]: row["cost_usd"] for row in report["rows"]} == COSTS
    assert list(report["rows"][0]) == [
        "tenant", "model", "calls", "input_tokens", "output_tokens", "cache_read_tokens",
        "cache_write_tokens", "cost_usd",
    ]  # fmt: skip
    assert report["totals"]["cost_usd"] == "0.001260000000"
    for name in ("unattributed", "unpriced", "estimated"):
        assert set(report["completeness"][name]) == {"calls", "cost_usd"}
    assert report["query"]["tz"] == "Europe/Berlin"


def test_a_table_shows_sub_cent_amounts_totals_and_completeness(
    run: Run, closed_ledger: Path
) -> None:
    result = run("report", "spend", "--by", "tenant", "--format", "table", "--data", closed_ledger)
    assert result.exit_code == 0, result.output
    assert "0.00063" in result.stdout
    assert "0.00126" in result.stdout
    assert "total" in result.stdout
    assert "Complete until " in result.stdout
    assert "1 call without a tenant (shown as unknown), 0.00021 USD." in result.stdout


def test_csv_does_not_run_in_a_spreadsheet(run: Run, closed_ledger: Path) -> None:
    result = run("report", "spend", "--by", "tenant", "--format", "csv", "--data", closed_ledger)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {row["tenant"]: row["cost_usd"] for row in rows} == {
        name.replace("=", "'="): cost for name, cost in COSTS.items()
    }
    assert "Complete until" in result.stderr


@pytest.mark.parametrize("report", ["spend --by tenant", "layers --by tenant", "rollup"])
def test_csv_without_rows_has_the_same_header(run: Run, closed_ledger: Path, report: str) -> None:
    asked = ("report", *report.split(), "--format", "csv", "--data", closed_ledger)
    full = run(*asked).stdout.splitlines()
    empty = run(*asked, "--until", "2026-11-02", "--since", "2026-11-01").stdout.splitlines()
    assert len(full) > len(empty) == 1
    assert empty[0] == full[0]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_formula_text_is_defused_and_numbers_are_not(start: str) -> None:
    text = csv_text(
        [{"tenant": f"{start}1", "n": -1, "change_usd": "-0.5"}], ("tenant", "n", "change_usd")
    )
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row == {"tenant": f"'{start}1", "n": "-1", "change_usd": "-0.5"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.000123000000", "0.000123"), ("12.500000000000", "12.50"), (None, "unknown"),
        ("0.000000000000", "0.00"), ("-0.000000000001", "-0.000000000001"),
        ("1234567.100000000000", "1,234,567.10"),
    ],
)  # fmt: skip
def test_money_in_tables_keeps_every_digit_that_counts(text: str | None, shown: str) -> None:
    assert money(text) == shown


def test_a_name_cannot_move_the_cursor() -> None:
    assert "\x1b" not in cell("tenant", "\x1b[2Jacme")


def test_rollup_in_all_formats(run: Run, closed_ledger: Path) -> None:
    table = run("report", "rollup", "--format", "table", "--data", closed_ledger)
    assert "unknown, no statement imported" in table.stdout
    text = run("report", "rollup", "--format", "csv", "--data", closed_ledger).stdout
    assert all(row["reconciled_usd"] == "" for row in csv.DictReader(io.StringIO(text)))
    report = msgspec.json.decode(
        run("report", "rollup", "--format", "json", "--data", closed_ledger).stdout
    )
    assert report["totals"]["invoice_delta_usd"] is None


def test_calls_and_explain(run: Run, closed_ledger: Path) -> None:
    listed = run("calls", "--where", "tenant=acme", "--format", "json", "--data", closed_ledger)
    rows = msgspec.json.decode(listed.stdout)["rows"]
    assert len(rows) == 3
    table = run("calls", "--limit", "2", "--format", "table", "--data", closed_ledger)
    assert "More: --before" in table.stdout
    told = run("explain", rows[0]["call_id"], "--format", "table", "--data", closed_ledger)
    assert told.exit_code == 0, told.output
    for words in ("tenant_id: acme  (from tollbook_header)", "as reported: {", "0.15 USD per MTok",
                  "booked: 0.00021 USD", "tag plan: gold", "half to even"):  # fmt: skip
        assert words in told.stdout
    missing = run("explain", "nothing", "--data", closed_ledger)
    assert missing.exit_code == 1
    assert missing.stderr.startswith("tollbook: no call 'nothing'")


def test_tail_follows_from_a_time(run: Run, open_ledger: Path) -> None:
    result = run(
        "tail", "--since", "today", "--count", "6", "--format", "json", "--data", open_ledger
    )
    rows = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert [row["entry_id"] for row in rows] == [1, 2, 3, 4, 5, 6]
    table = run(
        "tail", "--since", "today", "--count", "1", "--format", "table", "--data", open_ledger
    )
    assert "1,000 in 100 out  0.00021 USD" in table.stdout


@pytest.mark.parametrize("data", ["closed_ledger", "open_ledger"])
def test_verify_finds_nothing_in_a_sound_ledger(
    run: Run, data: str, request: pytest.FixtureRequest
) -> None:
    result = run("verify", "--format", "table", "--data", request.getfixturevalue(data))
    assert result.exit_code == 0, result.output
    assert "6 entries in 1 batches verified: nothing differs." in result.stdout


def test_verify_ends_with_1_when_an_entry_was_changed(run: Run, tmp_path: Path) -> None:
    import duckdb  # noqa: PLC0415 -- only to damage a file

    write_calls(tmp_path, ["acme"])
    thread = LedgerThread(tmp_path)
    thread.start()
    thread.end()
    with duckdb.connect(str(tmp_path / "ledger.duckdb")) as connection:
        connection.execute("UPDATE entries SET tenant_id = 'globex'")
    result = run("verify", "--format", "json", "--data", tmp_path)
    assert result.exit_code == 1
    assert msgspec.json.decode(result.stdout)["findings"][0]["check"] == "hash"


def test_prices_check_and_rerate_price_an_unknown_model(run: Run, tmp_path: Path) -> None:
    write_calls(tmp_path, ["acme", "acme"], model_actual="house-model")
    thread = LedgerThread(tmp_path)
    thread.start()
    thread.end()
    data = ("--data", tmp_path)
    unpriced = run("prices", "check", "--format", "table", *data)
    assert unpriced.exit_code == 1
    assert "house-model" in unpriced.stdout
    (tmp_path / "tollbook.toml").write_text(
        '[[prices]]\nprovider = "openai"\nmodel = "house-*"\neffective_from = "2020-01-01"\n'
        "input = 1.0\noutput = 2.0\n"
    )
    settings = ("--config", tmp_path / "tollbook.toml", *data)
    preview = msgspec.json.decode(run("prices", "rerate", "--format", "json", *settings).stdout)
    assert preview["applied"] is False
    assert preview["totals"]["change_usd"] == "0.002400000000"
    before = run("report", "spend", "--format", "json", *data)
    assert msgspec.json.decode(before.stdout)["totals"]["cost_usd"] is None
    silent = run("prices", "rerate", "--apply", *settings)
    assert silent.exit_code == 2
    assert "--reason: say why it is booked" in silent.stderr
    why = ("--apply", "--reason", "card 7")
    applied = run("prices", "rerate", *why, "--format", "table", *settings)
    assert "Booked: 2 calls, change 0.0024 USD." in applied.stdout
    after = msgspec.json.decode(run("report", "spend", "--format", "json", *data).stdout)
    assert after["totals"]["cost_usd"] == "0.002400000000"
    assert after["totals"]["calls"] == 2
    assert run("prices", "check", "--format", "json", *settings).exit_code == 0
    again = run("prices", "rerate", *why, "--format", "table", *settings)
    assert "No call changes its price." in again.stdout
    assert run("verify", "--format", "json", *data).exit_code == 0


def test_a_running_ledger_previews_changed_cards_and_books_only_its_own(
    run: Run, open_ledger: Path
) -> None:
    preview = run("prices", "rerate", "--format", "json", "--data", open_ledger)
    assert preview.exit_code == 0, preview.output
    assert msgspec.json.decode(preview.stdout)["totals"]["calls"] == 0


def test_prices_show(run: Run, closed_ledger: Path) -> None:
    used = run("prices", "show", "--format", "json", "--data", closed_ledger)
    assert [card["model"] for card in msgspec.json.decode(used.stdout)["cards"]] == ["gpt-4o-mini"]
    named = run(
        "prices", "show", "--provider", "openai", "--model", "gpt-4o-mini", "--format", "csv",
        "--data", closed_ledger,
    )  # fmt: skip
    rates = {row["kind"]: row["usd"] for row in csv.DictReader(io.StringIO(named.stdout))}
    assert rates["uncached_input_tokens"] == "0.15"
    unknown = run("prices", "show", "--provider", "openai", "--model", "x", "--data", closed_ledger)
    assert unknown.exit_code == 1


def test_keys_are_created_listed_and_revoked(run: Run, tmp_path: Path) -> None:
    data = ("--data", tmp_path)
    made = run("keys", "create", "my-app", "--tenant", "acme", "--format", "json", *data)
    secret = msgspec.json.decode(made.stdout)["secret"]
    assert secret.startswith("tb_")
    listed = run("keys", "list", "--format", "json", *data)
    (row,) = msgspec.json.decode(listed.stdout)["rows"]
    assert (row["label"], row["tenant_id"], row["state"]) == ("my-app", "acme", "active")
    assert secret not in listed.stdout
    assert run("keys", "revoke", "my-app", "--format", "table", *data).exit_code == 0
    (row,) = msgspec.json.decode(run("keys", "list", "--format", "json", *data).stdout)["rows"]
    assert row["state"] == "revoked"
    again = run("keys", "create", "my-app", *data)
    assert again.exit_code == 2
    assert again.stderr.startswith("tollbook: label my-app: already names")


def test_doctor_tells_origins_and_never_a_key(
    run: Run, closed_ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    monkeypatch.setenv("TOLLBOOK_GATEWAY__PORT", "18765")
    result = run("doctor", "--format", "json", "--data", closed_ledger)
    answer = msgspec.json.decode(result.stdout)
    origins = {row["key"]: (row["value"], row["origin"]) for row in answer["settings"]}
    assert origins["gateway.port"] == ("18765", "TOLLBOOK_GATEWAY__PORT")
    assert origins["console.port"] == ("8081", "default")
    details = [row["detail"] for row in answer["checks"]]
    assert "OPENAI_API_KEY is set" in details
    assert any(text.startswith("ANTHROPIC_API_KEY is not set") for text in details) or (
        "ANTHROPIC_API_KEY" in os.environ
    )
    assert "sk-secret-value" not in result.output


def test_doctor_skips_damage_when_told_to(run: Run, tmp_path: Path) -> None:
    write_calls(tmp_path, ["acme", "acme", "acme"])
    (segment,) = (tmp_path / "spool").glob("*/*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    thread = LedgerThread(tmp_path)
    with pytest.raises(AssertionError, match="corrupt"):
        thread.start()
    found = run("doctor", "--format", "json", "--data", tmp_path)
    assert found.exit_code == 1
    skipped = run("doctor", "--skip-corrupt", "--format", "json", "--data", tmp_path)
    checks = msgspec.json.decode(skipped.stdout)["checks"]
    assert any(row["detail"].endswith("bytes given up") for row in checks)
    assert not [row for row in checks if row["check"] == "spool" and row["state"] == "fail"]
    totals = msgspec.json.decode(
        run("report", "spend", "--format", "json", "--data", tmp_path).stdout
    )
    assert totals["completeness"]["incidents"] >= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "spend", "--by", "tennant"], "did you mean tenant?"),
        (["report", "spend", "--tz", "Nowhere"], "IANA"),
        (["report", "spend", "--since", "soon"], "is not a time"),
        (["calls", "--limit", "99999"], "between 1 and 1000"),
        (["report", "spend", "--wait"], "tollbook up"),
        (["prices", "show", "--provider", "nobody", "--model", "m"], "not in the settings"),
        (["keys", "revoke", "nobody"], "nobody"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run: Run, closed_ledger: Path, arguments: list[str], words: str
) -> None:
    result = run(*arguments, "--data", closed_ledger)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.startswith("tollbook: ")
    assert result.stderr.count("\n") == 1


def test_a_missing_ledger_is_one_line(run: Run, tmp_path: Path) -> None:
    for command in (["report", "spend"], ["verify"], ["prices", "rerate"], ["explain", "x"]):
        result = run(*command, "--data", tmp_path / "none")
        assert result.exit_code == 2
        assert "no ledger here yet" in result.stderr


def test_a_wrong_setting_names_file_and_key(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("[gateway]\nprot = 1\n")
    result = run("report", "spend", "--config", tmp_path / "t.toml")
    assert result.exit_code == 2
    assert "t.toml: gateway.prot: no such setting; did you mean port?" in result.stderr


def test_every_command_and_option_is_documented() -> None:
    found = _all_commands()
    assert {"report spend", "report rollup", "calls", "tail", "explain", "verify", "keys create",
            "prices rerate", "doctor"} <= {name for name, _ in found}  # fmt: skip
    for name, command in found:
        assert command.help, name
        if name in {"up", "demo", "simulate", "mcp", "audit"}:
            continue  # documented by their own rooms
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.name}"
        if not isinstance(command, click.Group):
            names = {text for option in command.params for text in option.opts}
            # Lint reads source files, which belong to no installation.
            needed = {"--format"} if name == "lint" else {"--format", "--config", "--data"}
            assert needed <= names, name


def test_the_list_of_commands_imports_none_of_them() -> None:
    heavy = ["duckdb", "ibis", "litestar", "sqlalchemy", "pyarrow", "uvicorn"]
    script = (
        "import sys; from click.testing import CliRunner; from tollbook.cli.main import cli;"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert len(commands) == len({one.name for one in commands})


def test_as_a_real_command(closed_ledger: Path, tmp_path: Path) -> None:
    tollbook = [sys.executable, "-c", "from tollbook.cli.main import main; main()"]
    environ = {"PATH": os.environ["PATH"], "NO_COLOR": "1"}
    piped = subprocess.run(
        [*tollbook, "report", "spend", "--by", "tenant", "--data", str(closed_ledger)],
        capture_output=True, text=True, check=True, env=environ, cwd=tmp_path,
    )  # fmt: skip
    assert msgspec.json.decode(piped.stdout)["totals"]["calls"] == 6
    wrong = subprocess.run(
        [*tollbook, "report", "spend", "--by", "x", "--data", str(closed_ledger)],
        capture_output=True, text=True, check=False, env=environ, cwd=tmp_path,
    )  # fmt: skip
    assert (wrong.returncode, wrong.stderr.count("\n"), wrong.stdout) == (2, 1, "")
    table = subprocess.run(
        [*tollbook, "report", "spend", "--by", "tenant", "--format", "table",
         "--data", str(closed_ledger)],
        capture_output=True, text=True, check=True, env=environ, cwd=tmp_path,
    )  # fmt: skip
    assert "\x1b" not in table.stdout


def test_an_estimated_call_is_said_to_be_one(run: Run, tmp_path: Path) -> None:
    write_calls(
        tmp_path, ["acme"], status=Status.CANCELLED, usage=(), usage_complete=False,
        output_chars=400, output_events=10,
    )  # fmt: skip
    thread = LedgerThread(tmp_path)
    thread.start()
    thread.end()
    result = run("report", "spend", "--format", "table", "--data", tmp_path)
    assert "1 call with estimated usage" in result.stdout

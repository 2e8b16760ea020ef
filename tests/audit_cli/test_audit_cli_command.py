"""``tollbook audit`` as a person or a build runs it, in this process."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from tollbook.audit.rules.catalogue import CATALOGUE
from tollbook.cli.main import cli

Run = Callable[..., Any]


def test_a_report_is_printed(run: Run, traces: Path) -> None:
    answer = run(traces)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Tollbook audit   2 calls in 3 traces")
    assert "apply_async/report --queue--> worker (celery) run/report" in answer.out
    assert f"{traces}:6" in answer.out
    assert "CeleryInstrumentor" in answer.out
    assert "\x1b" not in answer.out


def test_a_clean_trace_has_no_finding(run: Run, clean: Path) -> None:
    answer = run(clean, "--fail-on", "warning")
    assert answer.code == 0, answer.out
    assert "of 100   defensible" in answer.out


def test_standard_input_is_read(run: Run, traces: Path) -> None:
    packed = gzip.compress(traces.read_bytes())
    answer = run("-", "--format", "json", stdin=packed)
    assert answer.code == 0
    told = json.loads(answer.out)
    assert told["calls"] == 2
    assert told["inputs"][0]["source"] == "-"
    assert told["inputs"][0]["compression"] == "gzip"


def test_a_folder_is_read(run: Run, traces: Path, clean: Path) -> None:
    assert traces.parent == clean.parent
    told = json.loads(run(traces.parent, "--format", "json").out)
    assert sorted(Path(one["source"]).name for one in told["inputs"]) == [
        "clean.jsonl", "traces.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["json", "sarif", "junit", "html", "csv", "table", "text"])
def test_each_format_goes_to_standard_output(run: Run, traces: Path, form: str) -> None:
    answer = run(traces, "--format", form)
    assert (answer.code, answer.err) == (0, "")
    if form in {"json", "sarif"}:
        json.loads(answer.out)
    elif form == "junit":
        ET.fromstring(answer.out)
    elif form == "csv":
        assert len(list(csv.reader(answer.out.splitlines()))) >= 2
    elif form == "html":
        assert answer.out.startswith("<!doctype html>")
    else:
        assert "Findings" in answer.out


def test_files_are_written_by_their_names(run: Run, traces: Path, tmp_path: Path) -> None:
    names = ("a.html", "a.json", "a.sarif", "a.xml", "a.csv", "a.txt")
    outputs = [word for name in names for word in ("--output", name)]
    answer = run(traces, *outputs)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith("Score ")
    assert "Written to a.html, a.json" in answer.err
    starts = [(tmp_path / name).read_text(encoding="utf-8")[:14] for name in names]
    assert starts[0] == "<!doctype html"
    assert starts[3] == "<?xml version="
    assert starts[5] == "Tollbook audit"
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["calls"] == 2
    assert json.loads((tmp_path / "a.sarif").read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert run(traces, "--output", "b.json", "--quiet").err == ""


def test_a_format_that_is_named_goes_before_the_name(
    run: Run, traces: Path, tmp_path: Path
) -> None:
    run(traces, "--format", "csv", "--output", "a.json")
    assert (tmp_path / "a.json").read_text(encoding="utf-8").startswith("finding_id,")


def test_each_call_is_written_with_its_score(run: Run, traces: Path, tmp_path: Path) -> None:
    assert run(traces, "--calls", "calls.jsonl").code == 0
    told = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert sorted(one["tenant_id"] or "" for one in told) == ["", "acme"]
    run(traces, "--calls", "calls.csv")
    rows = list(csv.DictReader((tmp_path / "calls.csv").read_text(encoding="utf-8").splitlines()))
    assert {one["cost_usd"] for one in rows} == {"0.000270000000"}


def test_an_audit_is_shown_again(run: Run, traces: Path) -> None:
    run(traces, "--output", "audit.json", "--full")
    first = run(traces, "--format", "json", "--full").out
    again = run("audit.json", "--format", "json", "--full").out
    assert json.loads(again) | {"made_at": ""} == json.loads(first) | {"made_at": ""}
    assert run("audit.json", "--fail-on", "error").code == 1


def test_a_score_that_is_too_low_fails(run: Run, traces: Path) -> None:
    score = json.loads(run(traces, "--format", "json").out)["score"]
    assert 0 < score < 100
    assert run(traces, "--fail-under", str(score)).code == 0
    answer = run(traces, "--fail-under", "99.9")
    assert answer.code == 1
    assert answer.err == f"tollbook: the score is {score}, under 99.9\n"
    assert "Tollbook audit" in answer.out


def test_a_grave_finding_fails(run: Run, traces: Path) -> None:
    for severity in ("error", "warning", "note"):
        answer = run(traces, "--fail-on", severity)
        assert answer.code == 1
        assert f"of severity {severity}" in answer.err
    assert run(traces, "--fail-on", "error", "--ignore", "A01").code == 0


def test_without_a_call_nothing_can_be_scored(run: Run, traces: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl"
    plain.write_text(traces.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    assert run(plain).code == 0
    answer = run(plain, "--fail-under", "0")
    assert answer.code == 1
    assert "no call was found" in answer.err
    assert "No call of a model was found." in answer.out


def test_what_got_worse_fails(run: Run, traces: Path, clean: Path) -> None:
    run(clean, "--output", "old.json")
    answer = run(traces, "--compare", "old.json")
    assert answer.code == 1
    assert answer.err.startswith("tollbook: worse than old.json: ")
    run(traces, "--output", "worse.json")
    assert run(traces, "--compare", "worse.json").code == 0
    told = json.loads(run(clean, "--compare", "worse.json", "--format", "json").out)
    assert told["comparison"]["is_worse"] is False
    assert [one["change"] for one in told["comparison"]["changes"]].count("fixed") >= 1


def test_times_outside_are_left_out(run: Run, traces: Path) -> None:
    assert run(traces, "--since", "2026-11-01", "--until", "2026-12-01").code == 0
    told = json.loads(run(traces, "--until", "2026-11-18T11:06:42Z", "--format", "json").out)
    assert (told["calls"], told["spans"]) == (1, 2)
    nothing = run(traces, "--since", "2026-12-01T00:00:00Z")
    assert nothing.code == 2
    assert nothing.err == (
        "tollbook: all 6 spans that were read began outside of --since 2026-12-01T00:00:00Z;"
        " nothing is left to audit\n"
    )
    assert nothing.out == ""


def test_names_can_be_hashed(run: Run, traces: Path) -> None:
    shown = run(traces, "--calls", "shown.jsonl")
    hashed = run(traces, "--hash-names", "--calls", "hashed.jsonl", "--full")
    assert shown.code == hashed.code == 0
    assert "acme" in Path("shown.jsonl").read_text(encoding="utf-8")
    assert "acme" not in Path("hashed.jsonl").read_text(encoding="utf-8") + hashed.out
    assert "worker" in hashed.out
    redacted = run(traces, "--hash-names", "--redact-names", "--full")
    assert "run/report" not in redacted.out


@pytest.mark.parametrize("how", ["--hash-names", "--redact-names"])
def test_audits_with_hashed_names_compare_with_one_key(
    run: Run, traces: Path, tmp_path: Path, how: str
) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    (tmp_path / "other").write_text("fedcba9876543210fedcba9876543210", encoding="utf-8")
    assert run(traces, how, "--hash-key", "key", "--output", "old.json").code == 0
    text = (tmp_path / "old.json").read_text(encoding="utf-8")
    assert "0123456789abcdef" not in text
    again = run(traces, how, "--hash-key", "key", "--compare", "old.json", "--format", "json")
    assert again.code == 0
    changes = json.loads(again.out)["comparison"]["changes"]
    assert {one["change"] for one in changes} == {"same"}
    run(traces, "--output", "plain.json")
    run(traces, how, "--output", "random.json")
    for refused in (
        run(traces, how, "--hash-key", "other", "--compare", "old.json"),
        run(traces, how, "--hash-key", "key", "--compare", "plain.json"),
        run(traces, "--compare", "old.json"),
        run(traces, how, "--compare", "old.json"),
        run("random.json", "--compare", "random.json"),
    ):
        assert refused.code == 2
        assert "--hash-key FILE" in refused.err
        assert refused.err.count("\n") == 1


def test_a_key_that_is_none_is_refused(run: Run, traces: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("secret\n" + " " * 100, encoding="utf-8")
    (tmp_path / "long").write_bytes(b"x" * 4097)
    for name, said in (("short", "shorter"), ("long", "larger"), ("missing", "No such file")):
        answer = run(traces, "--hash-names", "--hash-key", name)
        assert answer.code == 2
        assert said in answer.err
        assert "openssl rand" in answer.err
    (tmp_path / "key").write_text("0123456789abcdef", encoding="utf-8")
    answer = run(traces, "--hash-key", "key")
    assert answer.code == 2
    assert "--hash-names or --redact-names" in answer.err


def test_rules_are_listed(run: Run) -> None:
    answer = run("--rules")
    assert answer.code == 0
    heads = [line.split()[0] for line in answer.out.splitlines() if not line.startswith(" ")]
    assert heads == list(CATALOGUE)
    told = json.loads(run("--rules", "--format", "json").out)
    assert [one["rule"] for one in told["rules"]] == list(CATALOGUE)


def test_help_is_the_same_through_the_command_of_all(run: Run) -> None:
    answer = run("--help")
    assert answer.code == 0
    ran = CliRunner().invoke(cli, ["audit", "--help"])
    assert ran.exit_code == 0
    assert ran.output == answer.out
    assert "--fail-under SCORE" in answer.out


def test_the_command_of_all_passes_the_exit_code_on(traces: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(cli, ["audit", str(traces)]).exit_code == 0
    assert runner.invoke(cli, ["audit", str(traces), "--fail-under", "100"]).exit_code == 1
    assert runner.invoke(cli, ["audit", str(traces), "--nope"]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing to read"),
        (["missing.jsonl"], "missing.jsonl"),
        (["--nope"], "unrecognized arguments: --nope"),
        (["-", "-"], "- can be read once only"),
        (["x", "--live", "1"], "--live listens"),
        (["--live", "0"], "no number of minutes"),
        (["--live", "nan"], "no number of minutes"),
        (["--live", "1", "--listen", "4318"], "is no address"),
        (["--live", "1", "--listen", "localhost:99999"], "is no address"),
        (["x", "--fail-under", "101"], "is no score"),
        (["x", "--fail-under", "high"], "is no score"),
        (["x", "--fail-under", "90.55"], "is no score"),
        (["x", "--fail-on", "fatal"], "invalid choice: 'fatal'"),
        (["x", "--format", "pdf"], "invalid choice: 'pdf'"),
        (["x", "--ignore", "A99"], "there is no rule 'A99'"),
        (["x", "--tenant-pattern", "("], "no regular expression"),
        (["x", "--price-age", "-1"], "no number of days"),
        (["x", "--tz", "Mars/Olympus"], "no known time zone"),
        (["x", "--since", "soon"], "'soon' is not a time"),
        (["x", "--since", "2026-11-02", "--until", "2026-11-01"], "nothing lies between"),
        (["x", "--redact-names", "--show-names"], "contradict"),
        (["x", "--compare", "missing.json"], "missing.json"),
        (["x", "--mapping", "missing.toml"], "x"),
        (["x", "--config", "missing.toml"], "missing.toml"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(run: Run, arguments: list[str], told: str) -> None:
    answer = run(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("tollbook: ")
    assert answer.err.count("\n") == 1
    assert told in answer.err


@pytest.mark.parametrize("option", ["--output", "--calls"])
def test_a_file_that_cannot_be_written_is_named(run: Run, traces: Path, option: str) -> None:
    answer = run(traces, option, "no/such/folder/a.json")
    assert answer.code == 2
    assert answer.err.startswith(f"tollbook: {option} no/such/folder/a.json: ")


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"{}", b"[]", b"\x00" * 100, b'{"resourceSpans": []}']
)
def test_where_nothing_could_be_read_it_says_so(run: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    answer = run(path)
    assert answer.code == 2
    assert "no spans were read" in answer.err
    assert answer.err.count("\n") == 1
    assert "No spans were read." in answer.out


def test_names_of_files_cannot_write_over_the_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\nb.json"
    path.write_bytes(b"nothing")
    answer = run(path)
    assert answer.code == 2
    assert "\x1b" not in answer.err + answer.out
    assert answer.err.count("\n") == 1


def test_damage_is_told_and_the_rest_is_audited(run: Run, traces: Path) -> None:
    lines = traces.read_text(encoding="utf-8").splitlines()
    traces.write_text("\n".join([lines[0], '{"broken', *lines[1:]]) + "\n", encoding="utf-8")
    answer = run(traces)
    assert answer.code == 0
    assert f"{traces}:2" in " ".join(answer.out.split())
    assert answer.out.startswith("Tollbook audit   2 calls")


def test_what_was_said_stands_in_no_report(run: Run, traces: Path, tmp_path: Path) -> None:
    secret = "the password is swordfish"
    told = traces.read_text(encoding="utf-8").replace(
        '"attributes": [{"key": "gen_ai.operation.name"',
        '"attributes": [{"key": "gen_ai.input.messages", "value": {"stringValue": "'
        + secret
        + '"}}, {"key": "gen_ai.operation.name"',
    )
    assert told.count(secret) == 2
    traces.write_text(told, encoding="utf-8")
    names = ("a.html", "a.json", "a.sarif", "a.xml", "a.csv", "a.txt")
    outputs = [word for name in names for word in ("--output", name)]
    assert run(traces, *outputs, "--full", "--show-names", "--calls", "calls.jsonl").code == 0
    for name in (*names, "calls.jsonl"):
        assert "swordfish" not in (tmp_path / name).read_text(encoding="utf-8"), name
    printed = " ".join((tmp_path / "a.txt").read_text(encoding="utf-8").split())
    assert "Dropped: 2 attributes." in printed

"""The page on stitching: its settings load, its commands run, its words are those of the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.stitch.stitch_kit import owner

from tollbook.call import Observer
from tollbook.cli.main import cli
from tollbook.config import Config, load_config
from tollbook.console.status import read_status
from tollbook.ids import to_text
from tollbook.ledger.stitch.books import LATE_WINDOW_NS, RETAIN_NS
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.stitching import MEANINGS

W = Any
PAGE = Path(__file__).resolve().parents[2] / "docs" / "stitching.md"
TEXT = PAGE.read_text(encoding="utf-8")
R1 = "chatcmpl-0123456789abcdef0123"
RANGE = ("--since", "2026-09-01", "--until", "2027-01-01")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def run(world: W, *words: str) -> Result:
    result = CliRunner().invoke(cli, [*words, "--data", str(world.root)])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def told(world: W) -> W:
    """A ledger with one call of each kind that doctor warns of, closed."""
    world.write(
        world.seen(None, "g", response_id=R1, tenant="acme"),
        world.seen(Observer.SDK, "s", response_id=R1, tenant="globex"),
        [world.seen(None, trace="x", tenant=one) for one in ("a", "b", None)],
        world.span("y", "root", None, owner("acme")),
        world.seen(None, "heir", trace="y", parent="root"),
    )
    world.store.close()
    return world


def test_the_settings_load_and_are_the_defaults(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    path = tmp_path / "tollbook.toml"
    path.write_text(block)
    ledger = load_config(path, {}).ledger
    assert ledger == Config().ledger
    assert ledger.late_identity_window_h * 3_600 * 10**9 == LATE_WINDOW_NS
    assert ledger.spans_retain_days * 86_400 * 10**9 == RETAIN_NS


@pytest.mark.parametrize("line", "".join(blocks("bash")).splitlines())
def test_the_commands_run(told: W, line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "tollbook"
    run(told, *words)


def test_every_state_is_explained() -> None:
    named = set(re.findall(r"`([a-z]+)`", "".join(re.findall(r"^\| `.*$", TEXT, re.MULTILINE))))
    assert named == set(MEANINGS)


def test_the_report_in_each_format(told: W) -> None:
    answer = msgspec.json.decode(
        run(told, "report", "stitching", *RANGE, "--format", "json").output
    )
    calls = {row["state"]: row["calls"] for row in answer["rows"] if row["calls"]}
    assert calls == {"stitched": 1, "conflicting": 1, "ambiguous": 1, "inherited": 1, "late": 1}
    assert answer["currency"] == "USD"
    shown = ("report", "stitching", *RANGE, "--show", "conflicting,inherited")
    lines = run(told, *shown, "--format", "csv").stdout.splitlines()
    assert lines[0] == "state,call_id,called_at,tenant,observers,cost_usd,detail"
    assert len(lines) == 3
    table = run(told, *shown, "--format", "table").output
    assert "Told of, the gateway aside: sdk 1." in table
    assert "conflicting" in table
    bad = CliRunner().invoke(cli, ["report", "stitching", "--show", "x", "--data",
                                    str(told.root)])  # fmt: skip
    assert bad.exit_code == 2


def test_explain_in_words(told: W) -> None:
    for wanted in (R1, to_text(told.seen(Observer.SDK, "s")[0].call_id)):
        words = run(told, "explain", wanted, "--format", "table").output
        assert "Seen by gateway, sdk" in words
        assert "stitched (matched by response id)" in words
        assert "tenant globex" in words


def test_status_counts(world: W) -> None:
    world.write(world.seen(None, "g", response_id=R1, tenant="acme"))
    connection = world.store.reader()
    try:
        counted = read_status(DuckdbReader(connection))["stitching"]
    finally:
        connection.close()
    assert counted == dict.fromkeys(MEANINGS, 0)

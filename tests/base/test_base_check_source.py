"""Each rule of tools/check_source.py catches its breach, and only its escape comment lifts it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check_source.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_source", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


check_source: Any = _load()

BREACHES = [
    ("float-money", "share = cost_pico / 3"),
    ("float-money", "share = 3 / entry.total_cost"),
    ("float-money", "x = float(price)"),
    ("float-money", "cost_usd: float = 0"),
    ("float-money", "def f(cost_usd: float): return 1"),
    ("naive-datetime", "x = datetime.utcnow()"),
    ("naive-datetime", "x = datetime.utcfromtimestamp(3)"),
    ("naive-datetime", "x = datetime.fromtimestamp(3)"),
    ("one-clock", "x = time.time()"),
    ("one-clock", "x = time.monotonic_ns"),
    ("one-clock", "x = datetime.now(tz=UTC)"),
    ("one-clock", "x = date.today()"),
    ("sql-money", 'q = "SELECT avg(cost_usd) FROM entries"'),
    ("sql-money", 'q = "select cost_usd / 3 from entries"'),
    ("sql-money", 'q = "select 3 / cost_usd from entries"'),
    ("append-only", 'q = "UPDATE entries SET a = 1"'),
    ("append-only", 'q = "delete  from entries"'),
    ("append-only", 'q = "TRUNCATE entries"'),
]
CLEAN = [
    "share = tokens / 3",
    "share = cost_pico // 3",
    "x = float(tokens)",
    "duration_s: float = 0",
    "operation = 4 / generated",  # "rate" inside a word is no rate
    "x = datetime.fromtimestamp(3, tz=UTC)",
    "x = datetime.fromtimestamp(3, UTC)",
    "x = clock.unix_ns()",
    'q = "SELECT sum(cost_usd) FROM entries"',
    'q = "the path /cost_usd"',
    'q = "DELETE FROM positions"',
]


def rules(text: str, path: str = "src/tollbook/x.py") -> list[str]:
    return [finding.rule for finding in check_source.check_file(Path(path), text + "\n")]


@pytest.mark.parametrize(("rule", "line"), BREACHES)
def test_a_breach_is_found(rule: str, line: str) -> None:
    assert rules(line) == [rule]


@pytest.mark.parametrize(("rule", "line"), BREACHES)
def test_its_escape_comment_with_a_reason_lifts_it(rule: str, line: str) -> None:
    assert rules(f"{line}  # allow: {rule} -- a reason") == []


@pytest.mark.parametrize(("rule", "line"), BREACHES)
def test_no_other_comment_lifts_it(rule: str, line: str) -> None:
    assert rules(f"{line}  # allow: {rule}") == [rule]
    assert rules(f"{line}  # allow: {rule} -- ") == [rule]
    assert rules(f"{line}  # allow: other-rule -- a reason") == [rule]


@pytest.mark.parametrize("line", CLEAN)
def test_what_is_no_breach_passes(line: str) -> None:
    assert rules(line) == []


def test_every_rule_has_a_breach_above() -> None:
    assert {rule for rule, _ in BREACHES} == set(check_source.RULES)


def test_only_the_clock_reads_the_time() -> None:
    assert rules("x = time.time()", "src/tollbook/clock.py") == []
    assert rules("x = float(price)", "src/tollbook/clock.py") == ["float-money"]


@pytest.mark.parametrize(
    "word", ["TO" + "DO", "FIX" + "ME", "XX" + "X", "Not" + "ImplementedError"]
)
def test_unfinished_work_is_found(word: str) -> None:
    assert rules(f"x = 1  # {word} later") == ["unfinished"]


def test_a_long_module_is_found() -> None:
    limit = check_source.MODULE_LINES_MAX
    assert rules("\n".join(["x = 1"] * limit)) == []
    assert rules("\n".join(["x = 1"] * (limit + 1))) == ["module-size"]


def test_a_finding_names_the_line_and_what_to_do() -> None:
    (finding,) = check_source.check_file(Path("src/tollbook/x.py"), "\n\nx = date.today()\n")
    assert finding.line == 3
    assert finding.advice == "read the time through tollbook.clock"


def test_main_ends_with_one_when_something_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").mkdir()
    file = tmp_path / "src" / "x.py"
    file.write_text("x = date.today()\n", encoding="utf-8")
    monkeypatch.setattr(check_source, "ROOT", tmp_path)
    assert check_source.main() == 1
    assert capsys.readouterr().out == (
        "src/x.py:1: one-clock: read the time through tollbook.clock\n1 files, 1 findings\n"
    )
    file.write_text("x = 1\n", encoding="utf-8")
    assert check_source.main() == 0

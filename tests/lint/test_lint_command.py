"""The command: formats, exit codes, settings, what cannot be read, ruff and SARIF."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tollbook.cli.main import cli
from tollbook.lint import known
from tollbook.lint.check import FILE_MAX_BYTES, lint
from tollbook.lint.rules import BY_ID
from tollbook.lint.settings import LintSettings

if TYPE_CHECKING:
    from pathlib import Path

BAD = "import openai\n\nclient = openai.OpenAI()\n"


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "search.py").write_text(BAD)
    (tmp_path / "app" / "llm.py").write_text(BAD)
    (tmp_path / "app" / "clean.py").write_text("x = 1\n")
    (tmp_path / "app" / "node_modules").mkdir()
    (tmp_path / "app" / "node_modules" / "x.py").write_text(BAD)
    (tmp_path / "pyproject.toml").write_text('[tool.tollbook.lint]\nallow = ["app.llm"]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["lint", *arguments])
    return done.exit_code, done.output


def test_text_names_the_place_the_reason_and_the_fix(product: Path) -> None:
    code, text = run("app")
    lines = text.splitlines()
    assert code == 1
    assert lines[0] == "app/search.py:3:10: TB001 openai.OpenAI(...) is not passed to tollbook.wrap"
    assert BY_ID["TB001"].why in text
    assert BY_ID["TB001"].fix in text
    assert lines[-1] == "1 finding in 3 files"
    assert run("app", "--format", "table") == (code, text)


def test_nothing_found_is_zero(product: Path) -> None:
    assert run("app/clean.py") == (0, "no findings in 1 file\n")
    assert run("app", "--allow", "app.search")[0] == 0
    assert run("app", "--exclude", "app/search.py")[0] == 0
    assert run("app", "--ignore", "TB001")[0] == 0
    assert run()[0] == 1


def test_json(product: Path) -> None:
    code, text = run("app", "--format", "json")
    answer = json.loads(text)
    assert code == 1
    assert (answer["files"], answer["unreadable"], answer["allowed"]) == (3, 0, 0)
    (found,) = answer["findings"]
    assert (found["file"], found["line"], found["column"]) == ("app/search.py", 3, 10)
    assert {"rule", "name", "level", "what", "why", "fix"} < set(found)


def test_what_cannot_be_read_is_a_finding_and_hides_nothing(product: Path) -> None:
    (product / "app" / "broken.py").write_text("def f(:\n")
    (product / "app" / "latin.py").write_bytes(b"x = '\xe9'\n")
    (product / "app" / "odd.py").write_bytes(b"# coding: nonsense\nx = 1\n")
    (product / "app" / "nul.py").write_bytes(b"x = 1\0\n")
    (product / "app" / "huge.py").write_bytes(b"#" * (FILE_MAX_BYTES + 1))
    (product / "app" / "deep.py").write_text("x = " + "(" * 3000 + ")" * 3000)
    (product / "app" / "gone.py").symlink_to(product / "nowhere.py")

    code, text = run("app", "--format", "json")
    answer = json.loads(text)

    assert code == 2
    assert answer["unreadable"] == 7
    rules = [one["rule"] for one in answer["findings"]]
    assert rules.count("TB000") == 7
    assert rules.count("TB001") == 1
    assert all("\n" not in one["what"] for one in answer["findings"])


def test_a_file_in_another_encoding_is_read(product: Path) -> None:
    (product / "app" / "search.py").write_bytes(b"# coding: latin-1\n# \xe9\n" + BAD.encode())
    assert run("app")[1].startswith("app/search.py:5:10: TB001")


def test_warnings_of_the_checked_code_are_not_ours(product: Path) -> None:
    (product / "app" / "clean.py").write_text("import re\nre.compile('\\d')\n")
    assert run("app/clean.py")[0] == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("allow = 1", "allow"),
        ("alow = []", "alow"),
        ('ignore = ["TB999"]', "TB999"),
        ("allow = [", "pyproject.toml"),
    ],
)
def test_a_wrong_setting_is_one_line(product: Path, settings: str, said: str) -> None:
    (product / "pyproject.toml").write_text(f"[tool.tollbook.lint]\n{settings}\n")
    code, text = run("app")
    assert code == 2
    assert text.startswith("tollbook: ")
    assert said in text
    assert "pyproject.toml: [tool.tollbook.lint]" in text
    assert len(text.splitlines()) == 1


def test_a_path_that_is_not_there_is_one_line(product: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tollbook", "lint", "nowhere"],
        check=False, capture_output=True, text=True, timeout=60, cwd=product,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_rules_are_explained() -> None:
    code, text = run("--rules")
    assert code == 0
    assert all(one in text for one in BY_ID)


def test_one_file_can_speak_for_the_process(product: Path) -> None:
    (product / "app" / "start.py").write_text("import tollbook\ntollbook.wrap_litellm()\n")
    (product / "app" / "search.py").write_text("import litellm\nlitellm.completion()\n")
    report = lint([product / "app"], LintSettings(allow=("app.llm",)), product)
    assert report.findings == []


def required(value: dict[str, Any], *names: str) -> None:
    assert not set(names) - set(value), value


def test_sarif_has_what_the_standard_requires(product: Path) -> None:
    (product / "app" / "broken file.py").write_text("def f(:\n")
    code, text = run("app", "--format", "sarif")
    log = json.loads(text)

    assert code == 2
    required(log, "version", "runs")  # SARIF 2.1.0 section 3.13
    assert log["version"] == "2.1.0"
    (part,) = log["runs"]
    required(part, "tool", "results")
    driver = part["tool"]["driver"]
    required(driver, "name")
    rules = driver["rules"]
    assert len({one["id"] for one in rules}) == len(rules)
    for rule in rules:
        required(rule, "id", "shortDescription", "helpUri")
        required(rule["shortDescription"], "text")
        assert rule["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}
    assert part["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    required(part["invocations"][0], "executionSuccessful")
    assert part["invocations"][0]["executionSuccessful"] is False
    assert len(part["results"]) == 2
    for result in part["results"]:
        required(result, "message", "ruleId", "ruleIndex", "locations")
        required(result["message"], "text")
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert " " not in place["artifactLocation"]["uri"]
        assert place["region"]["startLine"] >= 1
        assert place["region"]["startColumn"] >= 1


def test_ruff_says_the_same_of_imports(product: Path) -> None:
    code, text = run("--ruff")
    assert code == 0
    banned = tomllib.loads(text)["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert set(banned) >= known.CLIENTS | known.FRAMEWORKS

    (product / "pyproject.toml").write_text(text)
    ruff = os.path.join(os.path.dirname(sys.executable), "ruff")  # noqa: PTH118, PTH120 -- no symlink followed
    done = subprocess.run(
        [ruff, "check", "--no-cache", "--config", "pyproject.toml", "--output-format", "concise",
         "app"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    found = [line for line in done.stdout.splitlines() if "TID251" in line]
    assert [line.split(":")[0] for line in found] == ["app/search.py"]
    assert "tollbook lint (TB001)" in found[0]


def test_it_needs_no_more_than_the_base_package_and_click() -> None:
    code = """
import sys
BLOCKED = {"rich", "duckdb", "ibis", "numpy", "sqlalchemy", "uvloop", "litestar"}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
import tollbook.cli.main, tollbook.cli.lint
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

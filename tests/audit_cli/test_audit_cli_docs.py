"""What docs/audit.md shows is what happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from tollbook.audit.options import _parser

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "audit.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_runs(traces: Path, tmp_path: Path) -> None:
    (commands,) = blocks("bash")
    # The commands are those of a person; `tollbook` is this checkout's.
    called = f'set -e\ntollbook() {{ "{sys.executable}" -m tollbook "$@"; }}\n'
    assert traces.parent == tmp_path
    ran = subprocess.run(
        ["bash", "-c", called + commands],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("Tollbook audit   2 calls in 3 traces") == 5
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "audit.json").is_file()


def test_the_report_that_is_shown_is_the_one_that_is_made(
    traces: Path, run: Callable[..., Any]
) -> None:
    out = run(traces).out
    (shown,) = blocks("text")
    for line in shown.strip("\n").split("\n"):
        assert line in out


def test_the_json_that_is_shown_is_the_one_that_is_made(
    traces: Path, run: Callable[..., Any]
) -> None:
    (shown,) = blocks("json")
    told = json.loads(run(traces, "--format", "json").out)
    expected = json.loads(shown)
    (finding,) = expected.pop("findings")
    assert {name: told[name] for name in expected} == expected
    (made,) = [one for one in told["findings"] if one["finding_id"] == finding["finding_id"]]
    hop, fix = finding.pop("hop"), finding.pop("fix")
    assert {name: made[name] for name in finding} == finding
    assert made["hop"]["crossing"] == hop["crossing"]
    assert set(hop) == set(made["hop"])
    assert set(fix) <= set(made["fix"])


def test_every_option_is_described() -> None:
    options = {
        text
        for action in _parser()._actions
        for text in action.option_strings
        if text.startswith("--")
    }
    described = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert options - described == {"--help", "--rules"}
    assert described <= options
    assert "tollbook audit --rules" in PAGE


def test_configurations_are_yaml() -> None:
    collector, workflow = map(yaml.safe_load, blocks("yaml"))
    assert collector["service"]["pipelines"]["traces"]["exporters"][-1] in collector["exporters"]
    runs = [step["run"] for step in workflow["jobs"]["attribution"]["steps"] if "run" in step]
    assert any("tollbook audit" in one for one in runs)


def test_pages_that_are_linked_exist() -> None:
    for link in re.findall(r"\]\(([a-z.-]+)(?:#[a-z-]+)?\)", PAGE):
        assert (DOCS / link).is_file(), link

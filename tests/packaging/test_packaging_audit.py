"""``pipx run tollbook audit FILE``: the wheel with the base dependencies alone, prices included."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution, requires
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
sys.argv[:2] = []
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="tollbook")
sys.argv.insert(0, "tollbook")
script.load()()
"""
IMPORT_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
import importlib, pkgutil, tollbook.audit
names = [one.name for one in pkgutil.walk_packages(tollbook.audit.__path__, "tollbook.audit.")]
for name in names:
    if name not in sys.argv[2:]:
        importlib.import_module(name)
print(len(names))
"""
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def base_distributions() -> set[str]:
    """Names of what the base install brings along, and what that needs itself."""
    found: set[str] = set()
    waiting = ["tollbook"]
    while waiting:
        for requirement in requires(waiting.pop()) or []:
            head, _, marker = requirement.partition(";")
            name = re.match(r"[\w.-]+", head.strip())
            assert name
            if "extra" not in marker and "python_version" not in marker and name[0] not in found:
                found.add(name[0])
                waiting.append(name[0])
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the wheel, installed, and the base dependencies."""
    place = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(place), versions=["standard"])
    folder = place / "site"
    with ZipFile(wheel) as packed:
        packed.extractall(folder)
    for name in base_distributions():
        for file in distribution(name).files or ():
            if ".." in file.parts or file.suffix == ".pyc":
                continue
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), target)
    return folder


def run(
    site: Path, *arguments: str, program: str = RUN, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the installed command with nothing else to import."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(site), *arguments],
        capture_output=True, text=True, check=False, timeout=120, cwd=cwd,
    )  # fmt: skip


def attribute(key: str, value: str | int) -> dict[str, object]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": key, "value": {kind: str(value)}}


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    span = {
        "traceId": TRACE_ID, "spanId": SPAN_ID, "name": "chat gpt-4o", "kind": 3,
        "startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000001000000000",
        "attributes": [
            attribute("gen_ai.operation.name", "chat"),
            attribute("gen_ai.provider.name", "openai"),
            attribute("gen_ai.request.model", "gpt-4o"),
            attribute("gen_ai.response.model", "gpt-4o-2024-08-06"),
            attribute("gen_ai.usage.input_tokens", 1_000_000),
            attribute("gen_ai.usage.output_tokens", 100_000),
        ],
    }  # fmt: skip
    resource = {"attributes": [attribute("service.name", "web")]}
    scope = {"scope": {"name": "openai"}, "spans": [span]}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}
    file = tmp_path / "traces.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def test_the_base_install_is_small() -> None:
    assert base_distributions() >= {"msgspec", "opentelemetry-api"}
    assert base_distributions() <= {"msgspec", "opentelemetry-api", "typing-extensions"}


def test_the_wheel_audits_and_prices_with_the_base_install_alone(site: Path, traces: Path) -> None:
    done = run(site, "audit", str(traces), "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # 2.50 USD for a million tokens of input, 10 USD for a million of output
    assert (told["calls"], told["cost_usd"]) == (1, "3.500000000000")
    assert told["at_risk_usd"] == "3.500000000000"
    assert told["prices"].startswith("list prices, genai-prices")
    shown = run(site, "audit", traces.name, cwd=traces.parent)
    assert (shown.returncode, "$3.50" in shown.stdout) == (0, True), shown.stderr


def test_an_audit_is_a_file_that_a_later_one_is_compared_with(site: Path, traces: Path) -> None:
    kept = traces.with_name("audit.json")
    first = run(site, "audit", str(traces), "--output", str(kept))
    assert (first.returncode, kept.is_file()) == (0, True), first.stderr
    again = run(site, "audit", str(traces), "--compare", str(kept))
    assert (again.returncode, "no worse" in again.stdout) == (0, True), again.stderr


def test_own_prices_need_no_more_than_the_base_install(site: Path, traces: Path) -> None:
    config = traces.with_name("tollbook.toml")
    config.write_text(
        '[[prices]]\nprovider = "openai"\nmodel = "gpt-4o*"\neffective_from = 2026-01-01\n'
        "discount_percent = 50\n",
        encoding="utf-8",
    )
    done = run(site, "audit", str(traces), "--config", str(config), "--format", "json",
               cwd=traces.parent)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cost_usd"] == "1.750000000000"


@pytest.mark.parametrize("command", ["report", "up", "--help", ""])
def test_other_commands_say_in_one_line_what_they_need(site: Path, command: str) -> None:
    done = run(site, *command.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'tollbook[server]'" in done.stderr


def test_the_version_is_told_without_anything_else(site: Path) -> None:
    done = run(site, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tollbook, version ")


def test_every_module_of_the_audit_is_imported_with_the_base_install(site: Path) -> None:
    done = run(site, "tollbook.audit.pytest_plugin", program=IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40


PARTLY = """
import sys
sys.modules["sqlalchemy"] = None
sys.argv = ["tollbook", "keys", "list"]
from tollbook.cli.start import main
main()
"""


def test_a_command_without_one_of_its_packages_says_which_and_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARTLY], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "tollbook: this command needs the package sqlalchemy: pip install 'tollbook[server]'\n"
    )

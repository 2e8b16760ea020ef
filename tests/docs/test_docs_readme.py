"""The README and the pages it names say what the program does: commands, options, snippets."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from tollbook import clock
from tollbook.audit.options import option_names
from tollbook.budgets.rules import read_rules
from tollbook.cli.main import cli
from tollbook.config import Config, load_config
from tollbook.reports import dimensions, measures
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "bench" / "README.md",
    ROOT / "fuzz" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_COMMAND = re.compile(
    r"(?:^|[`\s(])(?:\.venv/bin/)?tollbook ((?:[a-z-]+)(?: [^`\n#|;]*)?)", re.MULTILINE
)
_BLOCK = re.compile(r"(?:^    .*\n|^\n)+", re.MULTILINE)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_AUDIT_OPTIONS = option_names()
"""The audit has a command line of its own, which needs the base install alone."""
_OPTION = re.compile(r"--[a-z][a-z-]+")


def code_of(page: Path) -> list[str]:
    """Return what a page shows as code: lines indented or fenced, and text in backquotes."""
    text = page.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    for language, block in _FENCED.findall(text):
        if language in {"", "bash"}:
            lines += block.splitlines()
    return [*lines, *(f"`{span}`" for span in re.findall(r"`([^`\n]+)`", text))]


def command_lines() -> list[tuple[str, str]]:
    """Return page and command line of every command in the documentation."""
    return [
        (page.name, match[1].strip())
        for page in PAGES
        for code in code_of(page)
        for match in _COMMAND.finditer(code)
    ]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and the words after it."""
    found: click.Command = cli
    context = click.Context(cli)
    while isinstance(found, click.Group) and words:
        below = found.get_command(context, words[0])
        assert below is not None, f"there is no command {words[0]!r}"
        found, words = below, words[1:]
    return found, words


def test_there_are_commands_in_the_documentation() -> None:
    assert len(command_lines()) > 20


@pytest.mark.parametrize("where", sorted(set(command_lines())), ids=" ".join)
def test_every_command_and_option_exists(where: tuple[str, str]) -> None:
    words = shlex.split(where[1].replace("...", ""))
    command, rest = command_of([word for word in words if word])
    known = {name for one in command.params for name in one.opts}
    if command.name == "audit":
        known |= _AUDIT_OPTIONS

    assert [word for word in rest if _OPTION.fullmatch(word) and word not in known] == []


def test_every_option_named_alone_belongs_to_some_command() -> None:
    def options(command: click.Command) -> Iterator[str]:
        for one in command.params:
            yield from one.opts
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                below = command.get_command(click.Context(command), name)
                assert below is not None
                yield from options(below)

    of_pytest = {"--tollbook-audit", "--tollbook-audit-fail-under"}
    known = {*options(cli), *_AUDIT_OPTIONS, *of_pytest, "--require-hashes"}
    named = {
        option
        for page in PAGES
        for span in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
        for option in _OPTION.findall(span)
    }

    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for page in PAGES
        for code in code_of(page)
        for name in re.findall(r"(?:^\s+|`)make ([a-z]+)", code)
    }

    assert {"demo", "test"} <= named
    assert named - targets == set()


def test_every_setting_named_exists() -> None:
    sections = {field.name: field for field in msgspec.structs.fields(Config)}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for section in ("gateway", "spool", "ledger", "console", "store"):
        known = {field.name for field in msgspec.structs.fields(sections[section].type)}
        named = set(re.findall(rf"`{section}\.([a-z_]+)`", text)) - {"duckdb", "token"}

        assert named - known == set(), section


def settings_in(page: Path) -> list[str]:
    """Return the blocks of settings that a page shows, indented or fenced."""
    text = page.read_text(encoding="utf-8")
    indented = [
        re.sub(r"^    ", "", block, flags=re.MULTILINE)
        for block in _BLOCK.findall(_FENCED.sub("", text))
        if re.match(r"\s*\[", block)
    ]
    fenced = [block for language, block in _FENCED.findall(text) if language == "toml"]
    return [block for block in indented + fenced if not _OTHER_FILE.match(block)]


_OTHER_FILE = re.compile(r"# (?!tollbook)[a-z-]+\.toml\n")
"""Documents of the books begin with their file's name; tests of their rooms read them."""
OTHERS = {"imports.md", "audit-inputs.md", "audit-pytest.md"}
"""Their blocks are mappings of other tools' logs, or settings of pytest; other tests run them."""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in OTHERS], ids=lambda page: page.name
)
def test_toml_in_the_pages_is_accepted(page: Path, tmp_path: Path) -> None:
    """Each block of settings, by itself, is what the schema accepts."""
    file = tmp_path / "tollbook.toml"
    for block in settings_in(page):
        given: dict[str, Any] = tomllib.loads(block)
        file.write_text(block, encoding="utf-8")
        config = load_config(file, {})
        read_rules(config.budgets, str(file))
        assert config.providers.keys() >= given.get("providers", {}).keys()
        assert config.routes.keys() == given.get("routes", {}).keys()
        assert len(config.prices) == len(given.get("prices", []))
        assert len(config.budgets) == len(given.get("budgets", []))


def test_there_are_settings_in_the_pages() -> None:
    assert sum(len(settings_in(page)) for page in PAGES) > 20


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    pages = [page for page in (ROOT / "docs").glob("*.md") if f"](docs/{page.name})" not in readme]
    assert pages == []


def row_of(page: str, part: str) -> str:
    """Return the second cell of a page's table row."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.search(rf"^\| {re.escape(part)} \| (.*) \|$", text, re.MULTILINE)
    assert found, part
    return found[1]


def test_the_reports_page_names_every_dimension() -> None:
    named = set(re.findall(r"tag:NAME|[a-z_]+", row_of("reports.md", "`--by`")))

    assert named >= set(dimensions.NAMES)
    assert named - set(dimensions.NAMES) <= {"charge", "or", "reversal"}


def test_the_reports_page_names_only_measures_there_are() -> None:
    named = re.findall(r"\b[a-z_]+_(?:tokens|usd)\b", row_of("reports.md", "`--measures`"))

    assert set(named) - set(measures.NAMES) - {"_cost_usd"} == set()


def test_every_time_on_the_reports_page_is_understood() -> None:
    named = re.findall(
        r"`([a-z0-9][a-z0-9-]*)`", row_of("reports.md", "`--since`, `--until`, `--period`")
    )

    assert {"today", "last-week", "all", "24h"} <= set(named)
    for text in named:
        parse_period(text, zone_of("Europe/Berlin"), clock.utc_now())


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which ``tollbook demo`` has run, as the README has it, with fewer calls."""
    home = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        result = CliRunner().invoke(cli, ["demo", "--calls", "120", "--fast"])
    assert result.exit_code == 0, result.stderr
    assert "tie-out difference: 0.000000000000 USD" in result.stdout
    return home


@pytest.mark.slow
def test_the_commands_after_the_demo_work(demo_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo_home)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    \.venv/bin/tollbook (.*demo-data/toll.*)$", readme, re.MULTILINE)
    assert len(lines) == 4

    listed = CliRunner().invoke(cli, shlex.split(f"{lines[1]} --format json".replace("  ", " ")))
    call_id = msgspec.json.decode(listed.stdout)["rows"][0]["call_id"]
    for line in lines:
        result = CliRunner().invoke(cli, shlex.split(line.replace("CALL_ID", call_id)))

        assert result.exit_code == 0, (line, result.stderr)
        assert result.stdout.strip()

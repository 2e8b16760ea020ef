"""The page on prices: its cards are imported and its commands run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner
from tests.pricebook.conftest import House, Spent

from tollbook.cli.main import cli
from tollbook.cli.prices import prices

if TYPE_CHECKING:
    from click.testing import Result

PAGE = Path(__file__).resolve().parents[2] / "docs" / "prices.md"
FAILS_WITH_UNPRICED = {("prices", "check"), ("prices", "unpriced")}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def booked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    house = House(tmp_path)
    house.write(Spent(model="gpt-4o", provider="openai", day=1), Spent(model="qqqq-zzzz", day=1))
    with house.open():
        pass
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--data", "."])


def test_the_commands_of_the_page(booked: Path) -> None:
    (cards,) = blocks("toml")
    (booked / "cards.toml").write_text(cards)
    (booked / "rates.csv").write_text("date,currency,usd_per_unit\n2026-11-20,EUR,1.0845\n")
    seen = []
    for block in blocks("bash"):
        for line in block.splitlines():
            program, *words = shlex.split(line)
            assert program == "tollbook"
            done = run(*words)
            if tuple(words[:2]) not in FAILS_WITH_UNPRICED:
                assert done.exit_code == 0, (line, done.output)
            else:
                assert done.exit_code == 1, (line, done.output)
            seen.append((words[1], done.stdout))
    answers = {name: text for name, text in seen if text.startswith("{")}
    assert msgspec.json.decode(answers["withdraw"])["counts"]["changed"] == 1
    assert msgspec.json.decode(answers["history"])["rows"][0]["author"] == "dora"
    assert len(msgspec.json.decode(answers["fx"])["rows"]) == 4
    rerated = msgspec.json.decode(answers["rerate"])
    assert (rerated["applied"], rerated["totals"]["calls"]) == (True, 1)
    # 1000 and 100 tokens at 2.5 and 10 dollars a million, less 7.5 and then 2 per cent
    assert rerated["totals"]["after_usd"] == "0.003172750000"


def test_every_command_of_prices_is_on_the_page() -> None:
    names = {"fx list", "fx import"} | set(prices.commands) - {"fx"}
    text = PAGE.read_text()
    assert [name for name in sorted(names) if f"tollbook prices {name}" not in text] == []

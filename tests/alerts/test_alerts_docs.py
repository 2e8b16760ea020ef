"""The commands of the page about alerts work, and its numbers are held by a small world."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.alerts.alerts_kit import NOW
from tests.alerts.test_alerts_incidents import signal, turn

from examples.incidents.trial import run_trial, table_of
from tollbook.alerts.keeper import Keeper
from tollbook.alerts.rule import DEFAULT_RULES, Kind
from tollbook.alerts.shelf import BooksShelf
from tollbook.books.store import open_books
from tollbook.cli.alerts import alerts
from tollbook.ledger.store import LEDGER_FILE, open_store
from tollbook.simulator.incidents import (
    CACHE_LOSS,
    PRICE_CHANGE,
    QUIET,
    RETRY_STORM,
    RUNAWAY_LOOP,
    SCENARIOS,
)

if TYPE_CHECKING:
    from examples.incidents.trial import Trial

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")


def test_every_command_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    open_store(data / LEDGER_FILE).close()
    with open_books(data) as books:
        turn(Keeper(BooksShelf(books)), NOW, signal(NOW))
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    lines = [shlex.split(line) for line in block[1].splitlines()]
    assert len(lines) >= 10
    for words in lines:
        assert words[:2] == ["tollbook", "alerts"]
        result = CliRunner().invoke(alerts, [*words[2:], "--data", str(data), "--format", "table"])
        # Nothing has the variable of the channel, so its test fails, and says why.
        wanted = 1 if words[2] == "test-channel" else 0
        assert result.exit_code == wanted, (words, result.output, result.exception)


def test_the_page_names_every_kind_of_rule_and_every_trouble() -> None:
    for kind in Kind:
        assert f"`{kind.value}`" in PAGE
    for scenario in SCENARIOS:
        assert f"| {scenario.replace('_', ' ')} |" in PAGE
    burn = DEFAULT_RULES["burn-rate"]
    assert f"plus {burn.deviations} standard deviations" in PAGE


def trial(scenario: str) -> Trial:
    return run_trial(scenario, 1, tenants=12, per_hour=40, days=6)


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "hours_max", "minutes_max"), [
    (RUNAWAY_LOOP, 1, 30), (RETRY_STORM, 2, 60), (PRICE_CHANGE, 12, None), (CACHE_LOSS, 7, None),
])  # fmt: skip
def test_troubles_are_found_in_time(scenario: str, hours_max: int, minutes_max: int | None) -> None:
    one = trial(scenario)
    assert one.detected_after_h is not None
    assert one.detected_after_h <= hours_max
    if minutes_max is not None:
        assert one.detected_after_min is not None
        assert one.detected_after_min <= minutes_max
    assert one.false_alarms == ()


@pytest.mark.slow
def test_quiet_weeks_are_quiet() -> None:
    one = trial(QUIET)
    assert one.incidents == 0
    assert "| quiet | 1 | - | - | - | - | 0 |" in table_of([one])

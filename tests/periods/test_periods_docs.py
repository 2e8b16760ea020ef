"""The commands of the pages on allocation and closing are run, in their order."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.periods.finance_kit import World, finance_world, usd

from tollbook.books.events import list_events
from tollbook.cli.main import cli
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments

ROOT = Path(__file__).resolve().parents[2]
OCTOBER = datetime(2026, 10, 12, 8, tzinfo=UTC)


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / "finance" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def fill(world: World) -> None:
    world.charge(OCTOBER, usd("30"), tenant="acme", calls=3)
    world.charge(OCTOBER, usd("10"), tenant="globex", provider="azure")
    world.charge(OCTOBER, usd("5"), tenant="platform", feature="evaluation")
    world.charge(OCTOBER, usd("2"))
    idle = Adjustment(
        adjustment=AdjustmentType.IDLE_COMMITMENT, at_ns=int(OCTOBER.timestamp()) * 10**9,
        cost=usd("4"), provider="azure", reason="idle",
    )  # fmt: skip
    book_adjustments(world.store, "terms:1", [idle])
    for provider, amount in (("openai", "37"), ("azure", "14")):
        world.invoice(OCTOBER, provider, usd(amount))
        world.reconciled("2026-10", provider)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tollbook.toml").write_text(
        '[finance]\nmode = "chargeback"\napprovals_needed = 1\n[store]\ndir = "data"\n'
    )
    (tmp_path / "policy.toml").write_text(blocks("allocation.md", "toml")[0])
    (tmp_path / "seats.csv").write_text(blocks("allocation.md", "csv")[0])
    (tmp_path / "data").mkdir()
    with finance_world(tmp_path / "data") as world:
        fill(world)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str, code: int = 0) -> str:
    command, *arguments = shlex.split(line)
    assert command == "tollbook"
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == code, f"{line}\n{result.output}"
    return result.output


def test_the_pages_take_a_month_from_open_to_closed(folder: Path) -> None:
    for line in blocks("allocation.md", "sh")[0].splitlines():
        output = run(line)
        if "preview" in line:
            assert '"moved_usd": "-2.000000000000"' in output or "unknown" in output
    for line in blocks("close.md", "sh")[0].splitlines():
        output = run(line, 1 if "close check" in line else 0)
        if "verify" in line:
            assert '"rows": []' in output or "nothing differs" in output
    with finance_world(folder / "data") as world:
        assert world.total("tenant", period="2026-10")[("platform",)] == usd("1")
        by_provider = world.total("provider", period="2026-10")
        assert by_provider == {
            ("openai",): usd("37"), ("azure",): usd("14"), (None,): usd("1200"),
        }  # fmt: skip
        actions = {event.action for event in list_events(world.books)}
    assert actions >= {
        "allocate.policy", "allocate.metric", "allocate.cost", "allocate.run", "periods.step",
        "periods.accept", "periods.seal", "periods.approve",
    }  # fmt: skip


WRONG = [
        ("tollbook allocate run --period 2026-13", "--period: '2026-13' is not a month"),
        ("tollbook allocate run --period 2026-10", "allocation policy 'default' is not in force"),
        ("tollbook allocate cost --period 2026-10 --name gateway", "both --name and --amount"),
        ("tollbook allocate cost --period 2026-10 --name x --amount 1,5", "'1,5' is not an amount"),
        ("tollbook allocate policy import nothing.toml --from 2026-01 --reason x",
         "nothing.toml: No such file"),
        ("tollbook allocate policy import tollbook.toml --from 2026-01 --reason x",
         "allocation policy, body: "),
        ("tollbook close step --period 2026-10 --to allocated", "is open; the next step is"),
        ("tollbook close seal --period 2026-10", "2026-10: is open; it is sealed when"),
        ("tollbook verify --period 2026-10", "2026-10: was not closed, so there is no seal"),
        ("tollbook report spend --billing-period october", "'october' is not a month"),
]  # fmt: skip


def test_what_is_wrong_is_told_in_one_line(folder: Path) -> None:
    for line, told in WRONG:
        output = run(line, 2)
        assert told in output
        assert len(output.strip().splitlines()) == 1

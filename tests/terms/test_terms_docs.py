"""The page of price terms says what the program takes: its file and its commands are run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner
from tests.periods.finance_kit import finance_world, usd
from tests.terms.terms_kit import AUGUST, Made, blocks, make

from tollbook.chargeback.terms.files import read_terms
from tollbook.cli.main import cli

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[2] / "docs/finance/terms.md").read_text()


def test_the_file_on_the_page_has_every_type() -> None:
    (text,) = blocks(PAGE, "toml")
    found = {one.name: one.term for one in read_terms("terms.toml", text)}
    assert sorted(type(term.what).__name__ for term in found.values()) == [
        "Capacity", "Commitment", "FreeQuota", "Minimum", "VolumeTiers",
    ]  # fmt: skip
    assert found["grounding"].start.isoformat() == "2026-08-01T07:00:00+00:00"


def test_the_commands_on_the_page_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    with finance_world(tmp_path / "data") as world:
        make(world, [
            Made({"web_search_requests": 2000}, provider="gemini", rate=10**10),
            Made({"uncached_input_tokens": 9}, provider="cohere", at=AUGUST),
        ])  # fmt: skip
    (text,) = blocks(PAGE, "toml")
    Path("terms.toml").write_text(text)
    (commands,) = blocks(PAGE, "sh")
    shown: dict[str, str] = {}
    for line in commands.strip().splitlines():
        words = shlex.split(line)[1:]
        done = CliRunner().invoke(cli, [*words, "--data", "data", "--format", "csv"])
        assert done.exit_code == 0, (line, done.output)
        shown[words[1]] = done.output
    applied = {tuple(line.split(",")[:3]): line.split(",") for line in shown["apply"].splitlines()}
    assert usd(applied["grounding", "free_quota", "acme"][3]) == -usd("15")
    assert usd(applied["cohere-least", "minimum", "acme"][3]) == usd("500") - 90
    # 31 days at 24 hours, 3 units, 0.40 dollars, and 31 of 365 days of what was paid upfront.
    idle = usd(applied["azure-ptu", "idle_commitment", "unknown"][3])
    assert idle == usd("892.8") + usd("1000") * 31 // 365
    assert "withdrawn" in shown["end"]
    table = CliRunner().invoke(
        cli, ["terms", "preview", "--period", "2026-08", "--data", "data", "--format", "table"]
    )
    assert "azure-ptu: capacity_usd" in table.output

"""The page of attribution models says what the program takes: its model and commands are run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner
from tests.periods.finance_kit import finance_world
from tests.terms.terms_kit import Made, blocks, make

from tollbook.cli.main import cli

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[2] / "docs/finance/backtest.md").read_text()


def test_the_commands_on_the_page_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    with finance_world(tmp_path / "data") as world:
        make(world, [
            Made({"uncached_input_tokens": 900}, feature="agent"),
            Made({"uncached_input_tokens": 100}, feature="search", tenant="globex"),
        ])  # fmt: skip
    (model,) = blocks(PAGE, "toml")
    # The calls of this test say no environment.
    Path("model.toml").write_text(model.replace('where = ["environment=production"]', ""))
    (commands,) = blocks(PAGE, "sh")
    for line in commands.strip().splitlines():
        words = shlex.split(line)[1:]
        for output_format in ("table", "json") if "--suggest" in words else ("csv",):
            done = CliRunner().invoke(cli, [*words, "--data", "data", "--format", output_format])
            assert done.exit_code == 0, (line, done.output)
        if "--suggest" in words:
            assert '"suggested-weights"' in done.output
            assert '"by-feature"' in done.output

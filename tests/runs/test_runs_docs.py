"""What docs/runs.md and docs/reports.md show is run as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.runs.runs_kit import RunWorld
from tests.runs.test_runs_commands import fill

from tollbook.cli.main import cli

_DOCS = Path(__file__).resolve().parents[2] / "docs"


def _commands() -> list[str]:
    blocks = [
        block
        for page in ("runs.md", "reports.md")
        for block in re.findall(
            r"^```bash\n(.*?)^```$", (_DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
    ]
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    path.chmod(0o700)
    world = RunWorld(path)
    fill(world)
    world.close()
    return path


@pytest.mark.parametrize("command", _commands())
def test_a_command_of_the_docs(data_dir: Path, command: str) -> None:
    name, *arguments = shlex.split(command)
    assert name == "tollbook"
    result = CliRunner().invoke(cli, [*arguments, "--data", str(data_dir)])
    assert result.exit_code == 0, result.output
    assert result.output.strip()


def test_both_pages_show_commands() -> None:
    assert len(_commands()) >= 14

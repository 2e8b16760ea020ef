"""The page about the console names pages that there are and commands that can be given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tollbook.cli.main import cli
from tollbook.console.pages.page import pages
from tollbook.console.pages.range import BUCKETS_MAX

DOC = Path(__file__).parents[2] / "docs" / "console.md"
TEXT = DOC.read_text()
COMMANDS = re.findall(r"^\$ tollbook (.+)$", TEXT, re.MULTILINE)


def test_the_pages_it_names_are_there() -> None:
    rows = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `/")]
    named = {one.split("?")[0] for row in rows for one in re.findall(r"`(/[^`]*)`", row)}
    assert len(named) > 12
    assert named <= set(pages())


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_can_be_given(line: str) -> None:
    words = shlex.split(line)
    command: click.Command | None = cli
    with click.Context(cli) as context:
        while isinstance(command, click.Group):
            command = command.get_command(context, words.pop(0))
    assert command is not None
    command.make_context("tollbook", words)


def test_its_limits_are_those_of_the_code() -> None:
    assert f"at most {BUCKETS_MAX}" in TEXT

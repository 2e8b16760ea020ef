"""The page about people: its commands are understood, its settings are settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tollbook.cli.main import cli
from tollbook.config import load_config
from tollbook.people import audit_trail, links, passwords
from tollbook.people.throttle import BY_ACCOUNT, BY_ADDRESS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "people.md").read_text()


def commands() -> list[list[str]]:
    lines = re.findall(r"^(tollbook people .*)$", PAGE, re.MULTILINE)
    assert len(lines) > 15
    return [shlex.split(line.partition(" < ")[0]) for line in lines]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_understood(words: list[str]) -> None:
    assert words[0] == "tollbook"
    command: click.Command = cli
    context = click.Context(cli)
    rest = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        assert found is not None, words
        command, rest = found, rest[1:]
    command.make_context(words[-1], rest)  # raises where an option or a value is not known


def test_the_settings_are_settings(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "tollbook.toml").write_text(block)
    config = load_config(tmp_path / "tollbook.toml", {})
    assert config.oidc.roles == {
        "tollbook-admins": "owner", "controlling": "finance", "platform": "engineer",
    }  # fmt: skip


def test_the_numbers_are_those_of_the_program() -> None:
    assert f"at least {passwords.MIN_CHARS} characters" in PAGE
    assert (BY_ACCOUNT.burst, BY_ACCOUNT.refill_s) == (10, 60)
    assert "Ten attempts at one account, then one\na minute" in PAGE
    assert (BY_ADDRESS.burst, BY_ADDRESS.refill_s) == (30, 10)
    assert "thirty from one address" in PAGE
    assert (links.SETUP_LIFE_S, links.RESET_LIFE_S) == (3600, 86_400)
    assert audit_trail.LIMIT_MAX == 10_000

"""What the page shows can be typed, and its policy is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tollbook.chargeback.reconcile.model import Cause, State
from tollbook.chargeback.reconcile.policy import read_policy
from tollbook.cli.reconcile import reconcile

PAGE = Path(__file__).resolve().parents[2] / "docs" / "finance" / "reconciliation.md"
TEXT = PAGE.read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def _commands() -> list[str]:
    lines = [line for block in _blocks("sh") for line in block.splitlines() if line]
    return lines + re.findall(r"`(tollbook reconcile [^`\n]+)`", TEXT)


@pytest.mark.parametrize("line", _commands())
def test_every_command_of_the_page_can_be_typed(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.json").write_text("{}")
    program, group, name, *arguments = shlex.split(line)
    assert (program, group) == ("tollbook", "reconcile")
    command = reconcile.commands[name]
    with command.make_context(name, arguments) as context:
        assert isinstance(context, click.Context)


def test_the_policy_of_the_page_is_one() -> None:
    (body,) = _blocks("json")
    policy = read_policy("default", body)
    assert policy.target(Cause.BYPASS) == "tenant:platform"


def test_causes_and_states_are_all_named() -> None:
    for word in (*(one.value for one in Cause), *(one.value for one in State)):
        if word in {"credit", "fee", "minimum"}:
            assert word in TEXT
        else:
            assert f"`{word}`" in TEXT, word

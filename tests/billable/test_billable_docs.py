"""What the pages on billing and margin show can be done."""

from __future__ import annotations

import re
import shlex
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from tollbook.chargeback.billable.files import read_rules
from tollbook.chargeback.margin.model import Body, check_body
from tollbook.cli.main import cli
from tollbook.desk.registry import operations

_DOCS = Path(__file__).parents[2] / "docs" / "finance"
_PAGES = [_DOCS / "billable.md", _DOCS / "margin.md"]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_commands_are_understood(page: Path) -> None:
    lines = [line[2:] for block in _blocks(page, "console") for line in block.splitlines()]
    lines += [
        one.strip() for one in re.findall(r"^    (tollbook .*)$", page.read_text(), re.MULTILINE)
    ]
    assert lines
    for line in lines:
        words = shlex.split(line)[1:]
        command: click.Command = cli
        context = click.Context(cli)
        while isinstance(command, click.Group) and words:
            found = command.get_command(context, words[0])
            if found is None:
                break
            command, words = found, words[1:]
        # parsed, not run: an unknown option or a missing argument raises
        made = command.make_context(line, words, resilient_parsing=False)
        assert made.command is command, line


def test_rules_of_the_page_are_rules() -> None:
    for block in _blocks(_PAGES[0], "toml"):
        given: list[dict[str, Any]] = tomllib.loads(block, parse_float=Decimal)["rules"]
        assert read_rules(given, "page")


def test_targets_of_the_page_are_targets() -> None:
    for block in _blocks(_PAGES[1], "toml"):
        for one in tomllib.loads(block, parse_float=Decimal)["margin"]:
            body: Body = msgspec.convert(
                {name: value for name, value in one.items() if name != "name"}, Body
            )
            check_body(body)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_routes_exist(page: Path) -> None:
    known = {(one.method, f"/api/v1{one.path}") for one in operations().values()}
    told = re.findall(r"`(GET|POST) (/api/v1/[a-z/]+)`", page.read_text())
    assert told
    assert set(told) <= known

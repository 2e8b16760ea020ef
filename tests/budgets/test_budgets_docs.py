"""What the page about budgets shows can be used as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from tollbook.budgets.rules import read_rules
from tollbook.budgets.steps import shown_steps
from tollbook.config.budgets import Budget

PAGE = (Path(__file__).parents[2] / "docs" / "budgets.md").read_text()


def test_the_settings_of_the_page_are_settings() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    raw = tomllib.loads(block)["budgets"]
    rules = read_rules(msgspec.convert(raw, list[Budget], strict=False), "budgets.md")
    assert {rule.unit for rule in rules} == {"usd", "requests", "tokens", "concurrent"}
    assert {rule.bucket_s for rule in rules} == {0, 1, 1440}
    assert f"x-tollbook-budget-steps: {shown_steps(rules[0].budget.steps)}" in PAGE


def test_every_setting_is_told() -> None:
    table = PAGE[PAGE.index("| setting |") : PAGE.index("A rolling window is counted")]
    told = set(
        re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    )
    assert told == set(Budget.__struct_fields__) - {"name"}

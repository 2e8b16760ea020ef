"""docs/lint.md: each bad example has its findings, each good one none, each rule an example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tollbook.lint.check import lint
from tollbook.lint.rules import RULES
from tollbook.lint.settings import LintSettings, read_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lint.md"
EXAMPLE = re.compile(r"<!-- (good|bad)((?: TB\d{3})*) -->\n```python\n(.*?)```", re.DOTALL)
EXAMPLES = [
    (match[2].split(), match[3]) for match in EXAMPLE.finditer(PAGE.read_text("utf-8"))
]  # fmt: skip


@pytest.mark.parametrize(("expected", "code"), EXAMPLES)
def test_an_example_is_what_the_page_says(tmp_path: Path, expected: list[str], code: str) -> None:
    path = tmp_path / "example.py"
    path.write_text(code)
    report = lint([path], LintSettings(), tmp_path)

    assert sorted(one.rule.id for one in report.findings) == expected


def test_every_rule_has_a_section_and_a_bad_example() -> None:
    text = PAGE.read_text("utf-8")
    for rule in RULES:
        section = text.partition(f"## {rule.id}\n")[2].partition("\n## ")[0]
        assert rule.summary.rstrip(".") in " ".join(section.split()), rule.id
        assert any(rule.id in expected for expected, _ in EXAMPLES), rule.id
    for rule in RULES[1:8]:
        section = text.partition(f"## {rule.id}\n")[2].partition("\n## ")[0]
        assert "<!-- good -->" in section, rule.id


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    (block,) = re.findall(r"```ini\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(block)
    settings, root = read_settings(tmp_path)

    assert root == tmp_path
    assert all(getattr(settings, name) for name in settings.__struct_fields__)

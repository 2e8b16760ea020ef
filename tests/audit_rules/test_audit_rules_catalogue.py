"""The catalogue is whole."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from tools.audit_rules_page import PAGE, page

from tollbook.audit.findings import Mode
from tollbook.audit.rules import catalogue
from tollbook.audit.rules.catalogue import CATALOGUE
from tollbook.audit.rules.further import rules
from tollbook.audit.rules.registry import MODULES
from tollbook.audit.settings import DEFAULT


def test_ids_go_up_without_holes_from_a01() -> None:
    assert list(CATALOGUE) == [f"A{at:02d}" for at in range(1, len(CATALOGUE) + 1)]
    assert len(CATALOGUE) >= 20


def test_names_are_unique_words_with_hyphens() -> None:
    names = [one.name for one in CATALOGUE.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one) for one in names)


def test_every_mode_has_a_rule() -> None:
    assert {mode for one in CATALOGUE.values() for mode in one.modes} == set(Mode)


def test_texts_are_sentences() -> None:
    for one in CATALOGUE.values():
        for text in (one.summary, one.why, one.look_at, one.mend):
            assert text[-1] == ".", one.rule
            assert "\n" not in text, one.rule
        assert len(one.summary) < 100, one.rule
        assert one.source, one.rule


def test_the_page_of_the_documentation_is_that_of_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tools/audit_rules_page.py"


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_of_rules_name_rules_of_the_catalogue(module: str) -> None:
    """Every rule says which it is; what it says is in the catalogue."""
    told = [
        named
        for made in import_module(module).rules(DEFAULT)
        for named in re.findall(r"\bA\d\d\b", type(made).__doc__ or "")
    ]
    assert set(told) <= set(CATALOGUE)


def test_further_rules_say_their_source() -> None:
    for made in rules(DEFAULT):
        text = type(made).__doc__ or ""
        assert re.match(r"A\d\d", text), type(made)
        assert "Source: " in text, type(made)


def test_every_rule_is_made_somewhere() -> None:
    folder = Path(catalogue.__file__).parent
    code = "".join(
        one.read_text(encoding="utf-8")
        for one in folder.glob("*.py")
        if not one.name.startswith("catalogue")
    )
    assert [one for one in CATALOGUE if f'"{one}"' not in code] == []

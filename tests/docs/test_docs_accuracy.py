"""The accuracy page names every known defect and every test that there is for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from tests.accuracy.register import GROUPS, REGISTER

ROOT = Path(__file__).resolve().parents[2]


def accuracy_page() -> Any:
    spec = importlib.util.spec_from_file_location(
        "accuracy_page", ROOT / "tools" / "accuracy_page.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_known_defect_has_a_test() -> None:
    tests = accuracy_page().cases_of_suite()

    assert set(tests) == set(REGISTER)
    assert len(REGISTER) == 88
    assert {case_id[0] for case_id in REGISTER} == set(GROUPS)


def test_the_page_names_the_tests_that_there_are_and_all_passed() -> None:
    module = accuracy_page()
    page = (ROOT / "docs" / "accuracy.md").read_text()
    names = [name for tests in module.cases_of_suite().values() for _, name in tests]

    assert page == module.page(dict.fromkeys(names, "passed")), "run python tools/accuracy_page.py"

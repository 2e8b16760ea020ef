"""The quarter of examples, smaller: every planted difference found, every month closed exactly."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from examples import quarter
from examples.quarter.__main__ import run

FOLDER = Path(quarter.__file__).parent


@pytest.mark.slow
def test_a_quarter_is_closed_to_the_pico(tmp_path: Path) -> None:
    came = run(tmp_path, calls=12_000)

    assert came.holds, came.table()
    found = {one.what for one in came.findings}
    for month in ("2026-07", "2026-08", "2026-09"):
        assert f"{month}: owners' sum" in found
        assert f"{month}: trial balance" in found
    planted = [one.expected for one in came.findings if one.what.endswith(": causes")]
    causes = {cause for one in planted if isinstance(one, dict) for cause in one}
    assert causes == {"bypass", "doubled", "wrong_card", "boundary", "credit", "tax", "rounding"}


@pytest.mark.parametrize("name", ["world", "plants", "truth", "bills"])
def test_the_truth_imports_nothing_that_it_checks(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert imported
    assert not [one for one in imported if one.split(".")[0] == "tollbook"]

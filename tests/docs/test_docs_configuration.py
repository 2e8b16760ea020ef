"""The configuration page says what the program does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def reference() -> Any:
    spec = importlib.util.spec_from_file_location(
        "config_reference", ROOT / "tools" / "config_reference.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_schema() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()

    assert reference().render() == page, "run python tools/config_reference.py"


def test_every_setting_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` .*\| (.*) \|$", reference().render(), re.MULTILINE)

    assert len(rows) > 50
    assert [name for name, meaning in rows if not meaning.strip()] == []

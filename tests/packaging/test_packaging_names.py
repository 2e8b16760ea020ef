"""What ``import tollbook`` offers is the same to programs and to type checkers."""

from __future__ import annotations

import re
from pathlib import Path

import tollbook
from tollbook import sdk


def test_the_stub_and_the_package_offer_the_names_of_the_sdk() -> None:
    stub = Path(tollbook.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    told = set(re.findall(r"import (\w+) as \1$", stub, re.MULTILINE))

    assert told == set(sdk.__all__)
    for name in told:
        assert getattr(tollbook, name) is getattr(sdk, name)

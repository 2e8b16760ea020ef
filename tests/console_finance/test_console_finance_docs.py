"""The page of the documents names pages and commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.console_finance.finance_pages_kit import must_parse

from tollbook.console.pages.page import pages

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "console-finance.md").read_text()
BLOCK = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize("line", BLOCK.splitlines())
def test_a_command_is_one(line: str) -> None:
    must_parse(line)


def test_every_page_that_is_named_is_there_and_every_page_is_named() -> None:
    named = {path for path in re.findall(r"`(/[a-z/-]+)`", TEXT) if not path.endswith("/")}
    known = {path for path, page in pages().items() if page.build.__module__.startswith(OURS)}
    detail = {"/margin/revenue", "/statement/evidence", "/provider-statement"}
    assert named == known - detail


OURS = tuple(
    f"tollbook.console.pages.{name}"
    for name in ("margin", "pricebook", "reconciliation", "difference", "trueup", "allocation",
                 "periods", "statements", "provider_statements", "exports", "billing",
                 "getting_started")
)  # fmt: skip

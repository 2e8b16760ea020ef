"""The page on imports: its mapping, its row and its list of fields are those of the program."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.imports.test_imports_kinds import LITELLM

from tollbook.capture.imports.kinds import KINDS
from tollbook.capture.imports.mapping import FIELDS

if TYPE_CHECKING:
    from tests.imports.conftest import Desk

PAGE = Path(__file__).resolve().parents[2] / "docs" / "imports.md"


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_mapping_and_the_row_of_the_page(desk: Desk) -> None:
    (mapping,), (row,) = blocks("toml"), blocks("json")
    path = desk.write("mapping.toml", mapping)

    done = desk.run("file", desk.write("calls.jsonl", row.replace("\n", " ")), "--mapping", path)

    assert (done.code, done.answer["booked"]) == (0, 1)
    (call,) = desk.calls()
    assert (call["tenant_id"], call["feature"]) == ("acme", "search")
    assert call["cost_usd"] == call["reported_cost_usd"] == Decimal("0.00018")


def test_the_commands_of_the_page(desk: Desk) -> None:
    """Run as they stand, in a directory with such a file."""
    desk.json_lines("spend_logs.jsonl", [LITELLM | {"end_user": "customer-9"}])
    for booked, block in zip((1, 0), blocks("bash"), strict=True):
        program, command, *words = block.split()
        assert (program, command) == ("tollbook", "import")
        assert desk.run(*words).answer["booked"] == booked


def test_the_page_names_every_kind_and_field() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in (*KINDS, "file", *FIELDS) if f"`{name}`" not in text] == []

"""E: every endpoint that costs money."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.accuracy.kit import case, json_answer

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow

OTHER_PATHS = [
    case("E1-rerank", [json_answer({"results": []})], path="/v1/rerank"),
    case("E1-images", [json_answer({"data": []})], path="/v1/images/generations"),
]


@pytest.mark.parametrize("name", OTHER_PATHS)
def test_E1_what_is_not_metered_is_still_an_entry_of_unknown_cost(book: Book, name: str) -> None:
    assert book.check(name, None, source="none")["price_state"] == "unmetered"

"""Dates of documents: what 64 bits of nanoseconds cannot hold is said, not tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tollbook.books import open_books
from tollbook.books.documents import (
    LAST_NS,
    DocumentError,
    Subject,
    document_history,
    put_document,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("from_ns", "until_ns", "problem"),
    [
        (LAST_NS + 1, None, "effective_from: expected"),
        (-1, None, "effective_from: expected"),
        (0, LAST_NS + 1, "effective_until: is after 2261"),
        (5, 5, "ends before it begins"),
    ],
)
def test_dates_that_cannot_be_kept(
    tmp_path: Path, from_ns: int, until_ns: int | None, problem: str
) -> None:
    with open_books(tmp_path) as books:
        with pytest.raises(DocumentError, match=problem):
            put_document(
                books, Subject.PRICE_CARD, "far", "{}", effective_from_ns=from_ns,
                effective_until_ns=until_ns, reason="r",
            )  # fmt: skip
        assert document_history(books, Subject.PRICE_CARD) == []
        put_document(
            books, Subject.PRICE_CARD, "far", "{}", effective_from_ns=0,
            effective_until_ns=LAST_NS, reason="r",
        )  # fmt: skip
        assert document_history(books, Subject.PRICE_CARD)[0].effective_until_ns == LAST_NS

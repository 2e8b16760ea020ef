"""Prices that the list does not have: pieces, media, tools. Which row fits a model and a tier.

Used where the list has no rate for the kind; a row that asks for words of the tier (size, quality,
search context), or that says so, goes before the list, which does not know these cases.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tollbook.prices.supplement_rows import Row, rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

REVISION: Final = "2026-11-21"
ROWS: Final = tuple(rows())
_size = re.compile(r"(\d{2,5})x(\d{2,5})").fullmatch
_SIDES: Final = (512, 1024, 2048)


def rows_for(
    rows: Sequence[Row], list_id: str, model: str, words: Collection[str]
) -> dict[str, Row]:
    """Return by kind the row that fits a model and the words of its tier most closely."""
    found: dict[str, Row] = {}
    name = model.lower()
    said = {*words, *(one for word in words for one in _squares(word))}
    for row in rows:
        if (
            row.list_id == list_id
            and row.words <= said
            and row.models.fullmatch(name)
            and (row.kind not in found or len(row.words) > len(found[row.kind].words))
        ):
            found[row.kind] = row
    return found


def words_priced(row: Row, words: Collection[str]) -> set[str]:
    """Return the words of a tier that a row was made for."""
    return {word for word in words if row.words.intersection((word, *_squares(word)))}


def _squares(word: str) -> Iterator[str]:
    """Yield the squares that an image's size fits into, as rows name them, the smallest first."""
    size = _size(word)
    if size:
        longer = max(int(size[1]), int(size[2]))
        yield from (f"<={side}" for side in _SIDES if longer <= side)

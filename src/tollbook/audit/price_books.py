"""Own prices that are kept in the books of a Tollbook, read without what a server needs.

The books are one SQLite file; it is opened read-only, for the moment of reading.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tollbook.books.records import FILE_NAME
from tollbook.errors import TollbookError
from tollbook.prices.book import BookPrices
from tollbook.prices.bookcard import DatedCard
from tollbook.prices.fx import FxTable, read_fx
from tollbook.prices.inforce import in_force

if TYPE_CHECKING:
    from collections.abc import Collection

_TIMEOUT_S: Final = 5.0
_CARDS: Final = """
    SELECT name, version, effective_from_ns, effective_until_ns, body, document_id, reason
    FROM documents WHERE subject = 'price_card' ORDER BY name, version LIMIT 100000
"""
_RATES: Final = """
    SELECT name, body FROM documents WHERE subject = 'fx_rates' ORDER BY name, version LIMIT 100000
"""


class UnreadBooksError(TollbookError):
    """Books that should hold prices and cannot be read."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}; check the file, or leave out --config")


def prices_in(data_dir: str, providers: Collection[str]) -> tuple[BookPrices, tuple[str, ...]]:
    """Return what the books of a data directory say, and what of it cannot be used, in words.

    Args:
        data_dir: where the books are; without any, nothing is said.
        providers: the configured provider names.

    Raises:
        UnreadBooksError: the file cannot be read.
        FxTextError: kept exchange rates that cannot be read.
    """
    path = Path(data_dir) / FILE_NAME
    if not path.is_file():
        return BookPrices(), ()
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_TIMEOUT_S)) as books:
            versions = [DatedCard(*row) for row in books.execute(_CARDS)]
            newest = dict(books.execute(_RATES).fetchall())
    except sqlite3.Error as error:
        raise UnreadBooksError(path, str(error)) from error
    contracts, problems = in_force(versions, providers)
    return BookPrices(contracts, FxTable(read_fx(*one) for one in newest.items())), problems

"""What the books say about prices, for a gateway worker: read when it changed, and only then."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tollbook.books.records import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from tollbook.prices.book import BookPrices

_MARK: Final = "SELECT max(rowid) FROM documents WHERE subject IN ('price_card', 'fx_rates')"
_TIMEOUT_S: Final = 1.0


class GatewayBooks:
    """Reads the price cards and exchange rates of a data directory.

    Not for use from several threads at once.

    Args:
        data_dir: where the books are, or will be.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._mark: int | None = None

    def read(self, providers: Collection[str]) -> BookPrices | None:
        """Return what the books say now, None where it is what was read before.

        Most books have no price in them: then the libraries that read them are not loaded.

        Raises:
            TollbookError: the books cannot be read.
        """
        mark = self._read_mark()
        if mark == self._mark:
            return None
        from tollbook.books.store import open_books  # noqa: PLC0415 -- see above
        from tollbook.chargeback.pricebook.shelf import book_prices  # noqa: PLC0415 -- see above

        with open_books(self._data_dir) as books:
            prices, _ = book_prices(books, providers)
        self._mark = mark
        return prices

    def _read_mark(self) -> int | None:
        path = self._data_dir / FILE_NAME
        if not path.exists():
            return None
        try:
            address = f"file:{quote(str(path.absolute()))}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=_TIMEOUT_S)) as connection:
                (mark,) = connection.execute(_MARK).fetchone()
        except sqlite3.Error:
            return self._mark  # being made, or upgraded: the next look will tell
        return None if mark is None else int(mark)

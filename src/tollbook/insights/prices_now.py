"""The price book of the settings and the books, as the ledger prices with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.books.documents import Subject, document_history, newest_documents
from tollbook.config.load import DEFAULT_FILE
from tollbook.prices.book import BookPrices, PriceBook
from tollbook.prices.bookcard import DatedCard
from tollbook.prices.fx import FxTable, read_fx
from tollbook.prices.inforce import in_force

if TYPE_CHECKING:
    from tollbook.desk import Desk


def price_book(desk: Desk) -> PriceBook:
    """Return a price book for one question: contracts of books and settings, then list prices.

    Raises:
        ConfigError: a card that cannot be used.
        BooksError: the books cannot be read.
    """
    book = PriceBook.of_config(desk.config, str(desk.config_path or DEFAULT_FILE))
    versions = sorted(
        document_history(desk.books, Subject.PRICE_CARD), key=lambda one: (one.name, one.version)
    )
    contracts, _ = in_force(
        [
            DatedCard(
                name=one.name, version=one.version, from_ns=one.effective_from_ns,
                until_ns=one.effective_until_ns, body=one.body, document_id=one.document_id,
                reason=one.reason,
            )
            for one in versions
        ],
        book.providers,
    )  # fmt: skip
    rates = newest_documents(desk.books, Subject.FX_RATES).values()
    book.take(BookPrices(contracts, FxTable(read_fx(one.name, one.body) for one in rates)))
    return book

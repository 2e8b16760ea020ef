"""Price cards and exchange rates as the books keep them, and a price book that stays in step."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from tollbook.books.documents import (
    Subject,
    document_history,
    documents_mark,
    newest_documents,
)
from tollbook.config.load import DEFAULT_FILE
from tollbook.errors import TollbookError
from tollbook.prices.book import BookPrices
from tollbook.prices.bookcard import DatedCard
from tollbook.prices.fx import FxTable, read_fx
from tollbook.prices.inforce import in_force

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tollbook.books.documents import Document
    from tollbook.books.store import Books
    from tollbook.desk import Desk
    from tollbook.prices.book import PriceBook

_log: Final = logging.getLogger(__name__)


def card_versions(books: Books, known_before_ns: int | None = None) -> list[Document]:
    """Return every version of every card, those of one card in the order of writing.

    Args:
        books: where they are kept.
        known_before_ns: only what was decided before (epoch, UTC); None is all.

    Raises:
        BooksError: the books cannot be read.
    """
    found = document_history(books, Subject.PRICE_CARD)
    found.sort(key=lambda one: (one.name, one.version))
    return [one for one in found if known_before_ns is None or one.created_at_ns < known_before_ns]


def dated(document: Document) -> DatedCard:
    """Return a version as the prices room takes it."""
    return DatedCard(
        name=document.name, version=document.version, from_ns=document.effective_from_ns,
        until_ns=document.effective_until_ns, body=document.body,
        document_id=document.document_id, reason=document.reason,
    )  # fmt: skip


def fx_table(books: Books, known_before_ns: int | None = None) -> FxTable:
    """Return the exchange rates: of each currency and year what the newest version says.

    Args:
        books: where they are kept.
        known_before_ns: see :func:`card_versions`.

    Raises:
        FxTextError: kept rates that cannot be read.
        BooksError: the books cannot be read.
    """
    if known_before_ns is None:
        newest = newest_documents(books, Subject.FX_RATES)
    else:
        newest = {}
        for one in document_history(books, Subject.FX_RATES):
            is_newer = one.name not in newest or newest[one.name].version < one.version
            if one.created_at_ns < known_before_ns and is_newer:
                newest[one.name] = one
    return FxTable(read_fx(one.name, one.body) for one in newest.values())


def book_prices(
    books: Books, providers: Collection[str], known_before_ns: int | None = None
) -> tuple[BookPrices, tuple[str, ...]]:
    """Return what the books say about prices, and what of it cannot be used, in words.

    Args:
        books: where the cards are kept.
        providers: the configured provider names.
        known_before_ns: see :func:`card_versions`.

    Raises:
        FxTextError: kept rates that cannot be read.
        BooksError: the books cannot be read.
    """
    versions = [dated(one) for one in card_versions(books, known_before_ns)]
    contracts, problems = in_force(versions, providers)
    return BookPrices(contracts, fx_table(books, known_before_ns)), problems


def price_book(desk: Desk) -> PriceBook:
    """Return a price book of the settings and the books, for one operation alone.

    Raises:
        ConfigError: a card that cannot be used.
        BooksError: the books cannot be read.
    """
    from tollbook.prices.book import PriceBook  # noqa: PLC0415 -- loads the price list

    book = PriceBook.of_config(desk.config, str(desk.config_path or DEFAULT_FILE))
    return take_books(book, desk.books)


def take_books(price_book: PriceBook, books: Books) -> PriceBook:
    """Have a price book use what the books say now, and return it.

    Raises:
        FxTextError: kept rates that cannot be read.
        BooksError: the books cannot be read.
    """
    price_book.take(book_prices(books, price_book.providers)[0])
    return price_book


def refresher(price_book: PriceBook, books: Books) -> Callable[[], None]:
    """Return a function that has a price book use new cards, if there are any.

    Asking costs one look at the end of a table. Books that cannot be read leave the prices as they
    are: what is booked then names its cards all the same.
    """
    mark, is_silent = documents_mark(books), False
    said: frozenset[str] = frozenset()

    def take() -> None:
        nonlocal said
        prices, problems = book_prices(books, price_book.providers)
        for problem in problems:
            if problem not in said:
                _log.warning("not used for pricing: %s", problem)
        said = frozenset(problems)
        price_book.take(prices)

    take()

    def refresh() -> None:
        nonlocal mark, is_silent
        try:
            now = documents_mark(books)
            if now != mark:
                take()
                mark = now
            is_silent = False
        except TollbookError as error:
            if not is_silent:
                _log.warning("prices stay as they are: %s", error.message)
            is_silent = True

    return refresh

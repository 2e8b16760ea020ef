"""Open everything a ledger is made of: the store, the books, the spool and the price book."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tollbook import clock
from tollbook.books.store import Books, open_books
from tollbook.chargeback.pricebook.shelf import refresher, take_books
from tollbook.config.load import DEFAULT_FILE
from tollbook.ledger.billing import Biller
from tollbook.ledger.cards import BooksShelf
from tollbook.ledger.ingest import Ingester
from tollbook.ledger.store import LEDGER_FILE, Store, open_store
from tollbook.prices.book import PriceBook
from tollbook.spool.reader import SpoolReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.config import Config

SPOOL_DIR = "spool"


class LedgerFiles(NamedTuple):
    """An open ledger that this process writes."""

    store: Store
    books: Books
    price_book: PriceBook
    shelf: BooksShelf
    ingester: Ingester


def price_book_of(config: Config, source: str, books: Books | None = None) -> PriceBook:
    """Return the price book of the configuration, and of the books where they are given.

    Raises:
        ConfigError: a card or list name that cannot be used.
        BooksError: the books cannot be read.
    """
    book = PriceBook.of_config(config, source)
    return book if books is None else take_books(book, books)


def list_book_of(config: Config, source: str) -> PriceBook:
    """Return a price book of list prices alone.

    Raises:
        ConfigError: a list name that cannot be used.
    """
    return PriceBook.of_config(replace(config, prices=[]), source)


@contextmanager
def open_ledger(
    config: Config, data_dir: Path, config_path: Path | None = None
) -> Iterator[LedgerFiles]:
    """Open a ledger for writing, creating or upgrading its files.

    Raises:
        LedgerFileError: another process has it, or the file cannot be used.
        BooksError: the books cannot be used.
        ConfigError: a price card that cannot be used.
    """
    price_book = price_book_of(config, str(config_path or DEFAULT_FILE))
    with (
        open_store(data_dir / LEDGER_FILE, memory_limit=config.ledger.memory_limit) as store,
        open_books(data_dir) as books,
    ):
        shelf, refresh = BooksShelf(books), refresher(price_book, books)
        store.biller = Biller(
            books,
            shelf,
            price_book,
            partial(list_book_of, config, str(config_path or DEFAULT_FILE)),
        )
        ingester = Ingester(
            store, SpoolReader(data_dir / SPOOL_DIR), price_book, shelf,
            batch_calls=config.ledger.batch_calls,
            settle_batches_ns=int(config.batch.settle_after_h * 3600) * clock.NS_PER_S,
            late_identity_ns=int(config.ledger.late_identity_window_h * 3600) * clock.NS_PER_S,
            spans_retain_ns=int(config.ledger.spans_retain_days * 86_400) * clock.NS_PER_S,
            refresh=refresh,
        )  # fmt: skip
        yield LedgerFiles(store, books, price_book, shelf, ingester)

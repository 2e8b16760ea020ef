"""Open everything a ledger is made of: the store, the books, the spool and the price book."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tollbook.books.cards import CardRow, remember_cards
from tollbook.books.store import Books, open_books
from tollbook.config.load import DEFAULT_FILE
from tollbook.ledger.ingest import Ingester
from tollbook.ledger.store import LEDGER_FILE, Store, open_store
from tollbook.prices.book import PriceBook
from tollbook.spool.reader import SpoolReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.prices.card import RateCard

SPOOL_DIR = "spool"


class BooksCardKeeper:
    """Keeps price cards in the books, as the ledger asks."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def remember_cards(self, cards: Sequence[RateCard], /) -> int:
        """Keep cards durably and return how many were new.

        Raises:
            BooksError: the books cannot be written.
        """
        return remember_cards(self._books, [_row(card) for card in cards])


def _row(card: RateCard) -> CardRow:
    return CardRow(
        card_id=card.card_id, provider=card.provider, model=card.model, source=card.source,
        effective_from_ns=card.effective_from_ns, effective_until_ns=card.effective_until_ns,
        body=card.to_json().decode(),
    )  # fmt: skip


class LedgerFiles(NamedTuple):
    """An open ledger that this process writes."""

    store: Store
    books: Books
    price_book: PriceBook
    keeper: BooksCardKeeper
    ingester: Ingester


def price_book_of(config: Config, source: str) -> PriceBook:
    """Return the price book of the configuration.

    Raises:
        ConfigError: a card or list name that cannot be used.
    """
    lists = {name: one.list_prices or name for name, one in config.providers.items()}
    return PriceBook(config.prices, source, lists)


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
        keeper = BooksCardKeeper(books)
        ingester = Ingester(
            store, SpoolReader(data_dir / SPOOL_DIR), price_book, keeper,
            batch_calls=config.ledger.batch_calls,
        )  # fmt: skip
        yield LedgerFiles(store, books, price_book, keeper, ingester)

"""The cards that entries name are in the books before the entries are in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tollbook.books.cards import CardRow, cards, remember_cards
from tollbook.prices.card import RateCard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.books.store import Books
    from tollbook.prices.book import PriceBook


class CardShelf(Protocol):
    """Where cards are kept for good."""

    def remember(self, new: Sequence[RateCard]) -> None:
        """Keep cards durably; one that is there already is left as it is."""

    def find(self, card_ids: Iterable[str]) -> dict[str, RateCard]:
        """Return the cards with these ids, by id; an unknown one is absent."""


class BooksShelf:
    """The shelf in the books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def remember(self, new: Sequence[RateCard]) -> None:
        """Keep cards durably.

        Raises:
            BooksError: the books cannot be written.
        """
        remember_cards(self._books, [
            CardRow(
                card_id=one.card_id, provider=one.provider, model=one.model, source=one.source,
                effective_from_ns=one.effective_from_ns, effective_until_ns=one.effective_until_ns,
                body=one.to_json().decode(),
            )
            for one in new
        ])  # fmt: skip

    def find(self, card_ids: Iterable[str]) -> dict[str, RateCard]:
        """Return the cards with these ids.

        Raises:
            BooksError: the books cannot be read.
            CardTextError: a kept card was changed.
        """
        found = cards(self._books, card_ids)
        return {card_id: RateCard.from_json(row.body) for card_id, row in found.items()}


class UsedCards:
    """The cards of a price book that the shelf has not got yet."""

    def __init__(self, price_book: PriceBook, shelf: CardShelf) -> None:
        self.resolve = price_book.resolve
        """Finds the card in force. The price book's own method: it is asked for every call."""
        self.uses_reported = price_book.uses_reported
        self._price_book, self._shelf = price_book, shelf
        self._kept: set[str] = set()

    def keep(self, card_ids: Iterable[str | None]) -> None:
        """Put those of these cards on the shelf that are not there; call before committing."""
        wanted = {one for one in card_ids if one is not None} - self._kept
        new = [card for one in wanted if (card := self._price_book.card(one)) is not None]
        if new:
            self._shelf.remember(new)
            self._kept |= {card.card_id for card in new}

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
    """A price book that notes which of its cards the shelf has not got yet."""

    def __init__(self, price_book: PriceBook, shelf: CardShelf) -> None:
        self._resolve = price_book.resolve
        self.uses_reported = price_book.uses_reported
        self._shelf = shelf
        self._kept: set[str] = set()
        self._new: dict[str, RateCard] = {}

    def resolve(
        self, provider: str, model: str | None, at_ns: int, tier: str | None,
        region: str | None = None,
    ) -> RateCard | None:  # fmt: skip
        """Return the card in force, as the price book does."""
        card = self._resolve(provider, model, at_ns, tier, region)
        if card is not None and card.card_id not in self._kept:
            self._new[card.card_id] = card
        return card

    def keep(self, card_ids: Iterable[str | None]) -> None:
        """Put those of these cards on the shelf that are not there; call before committing."""
        new = [self._new[one] for one in set(card_ids) if one is not None and one in self._new]
        if new:
            self._shelf.remember(new)
            for card in new:
                self._kept.add(card.card_id)
                del self._new[card.card_id]

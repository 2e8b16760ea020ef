"""Unit prices of a group of calls: as contracted, by the card of the calls, and as listed.

A unit price is decimal text of at most twelve digits after the point, and a cost is exactly that
times the quantity. Where a rate has no such text (a third of a cent, an exchange rate), the price
is rounded once and the cost follows from it; what was billed is the ledger's sum either way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook.clock import NS_PER_S
from tollbook.config.load import DEFAULT_FILE
from tollbook.ledger.cards import BooksShelf
from tollbook.money import PICO_PER_USD
from tollbook.prices.book import PriceBook
from tollbook.prices.card import effective_rates
from tollbook.prices.contract import SOURCE as CONTRACT
from tollbook.prices.rating import step_edges
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.desk import Desk
    from tollbook.money import Rate
    from tollbook.prices.card import RateCard, Rates

EXACT: Final = Context(prec=60)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES: Final = Decimal("1E-12")


class Offer(NamedTuple):
    """What a group of calls was sold by: provider, model, tier and region."""

    provider: str | None
    model: str | None
    tier: str | None
    region: str | None


class Prices(NamedTuple):
    """The rates of one group, by place in :data:`tollbook.usage.KINDS`."""

    contracted: Rates
    listed: Rates
    price_id: str
    """Of the list card where there is one, so that it is the same across contracts."""
    step: int | None
    """The step of the card that applies, None where it has none or the first stage applies."""
    basis: str
    """``list``; ``contract`` where no list price is known and the contract's stands in."""


class UnitPrices:
    """Finds the prices of groups; cards are read once."""

    def __init__(self, desk: Desk) -> None:
        self._shelf = BooksShelf(desk.books)
        source = str(desk.config_path or DEFAULT_FILE)
        self._list = PriceBook.of_config(replace(desk.config, prices=[]), source)
        self._cards: dict[str, RateCard] = {}
        self._listed: dict[tuple[Offer, int], RateCard | None] = {}

    def load(self, card_ids: Iterable[str | None]) -> None:
        """Read cards from the books, those that are not known yet."""
        wanted = {one for one in card_ids if one is not None} - self._cards.keys()
        if wanted:
            self._cards |= self._shelf.find(wanted)

    def edges(self, offer: Offer, card_id: str | None, at_ns: int) -> set[int]:
        """Return the input sizes at which a price of the group changes."""
        cards = (self._cards.get(card_id or ""), self._list_card(offer, card_id, at_ns))
        return {edge for card in cards if card is not None for edge in step_edges(card)}

    def find(
        self, offer: Offer, card_id: str | None, at_ns: int, exceeded: frozenset[int]
    ) -> Prices | None:
        """Return the prices of a group, None where no card is known.

        Args:
            offer: what was sold.
            card_id: the card that its calls were rated with.
            at_ns: a moment of theirs, for the list price.
            exceeded: the edges that the input of each call exceeds.
        """
        card = self._cards.get(card_id or "")
        if card is None:
            return None
        contracted, step = _in_step(card, exceeded)
        listed = self._list_card(offer, card_id, at_ns)
        if listed is None:
            return Prices(contracted, contracted, card.card_id, step, "contract")
        list_rates, list_step = _in_step(listed, exceeded)
        rates = tuple(
            one if one is not None else own for one, own in zip(list_rates, contracted, strict=True)
        )
        return Prices(contracted, rates, listed.card_id, list_step, "list")

    def card(self, card_id: str) -> RateCard | None:
        """Return a card that was loaded."""
        return self._cards.get(card_id)

    def _list_card(self, offer: Offer, card_id: str | None, at_ns: int) -> RateCard | None:
        card = self._cards.get(card_id or "")
        if card is not None and card.source != CONTRACT:
            return card
        if offer.provider is None:
            return None
        key = (offer, at_ns)
        if key not in self._listed:
            self._listed[key] = self._list.resolve(
                offer.provider, offer.model, at_ns, offer.tier, offer.region
            )
        return self._listed[key]


def _in_step(card: RateCard, exceeded: frozenset[int]) -> tuple[Rates, int | None]:
    at = sum(edge in exceeded for edge in step_edges(card))
    if not at:
        return effective_rates(card, card.rates), None
    return effective_rates(card, card.steps[at - 1].rates), at - 1


def unix_ns_of(at: datetime) -> int:
    """Return a moment as nanoseconds since the epoch."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_S


def unit_price(rates: Rates, kind: str, per: int) -> Decimal | None:
    """Return dollars for ``per`` of a kind; None where there is no rate."""
    rate = rates[KINDS.index(kind)]
    return None if rate is None else _dollars(rate, per)


@lru_cache(maxsize=8192)
def _dollars(rate: Rate, per: int) -> Decimal:
    exact = Fraction(rate.numerator * per, rate.denominator * PICO_PER_USD)
    quotient = EXACT.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    return quotient.quantize(_PLACES, ROUND_HALF_EVEN, EXACT)

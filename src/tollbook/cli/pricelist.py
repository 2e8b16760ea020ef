"""Price cards as rows for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa

from tollbook import clock
from tollbook.books.records import FILE_NAME
from tollbook.books.store import open_books
from tollbook.books.tables import price_cards
from tollbook.console.ledgerfile import price_book_of
from tollbook.money import Rate
from tollbook.prices.card import RateCard, effective_rates
from tollbook.prices.explain import describe
from tollbook.reports.errors import QueryError
from tollbook.usage import KINDS, PRICED_PER, TOKEN_KINDS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.prices.card import Step

CARD_COLUMNS: Final = (
    "card_id", "provider", "model", "service_tier", "region", "source", "effective_from",
    "effective_until", "reason",
)  # fmt: skip
RATE_COLUMNS: Final = ("kind", "usd", "per", "step", "follows")
_CARDS_MAX: Final = 10_000


def card_rows(
    config: Config, source: str, provider: str, model: str, tier: str | None,
    region: str | None, at: datetime,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the card that prices a model at a time, as a list of one, or of none.

    Raises:
        QueryError: the settings have no such provider.
        ConfigError: a card of the settings cannot be used.
    """
    if provider not in config.providers:
        known = ", ".join(sorted(config.providers))
        raise QueryError("--provider", f"{provider[:64]!r} is not in the settings ({known})")
    at_ns = int(at.timestamp()) * clock.NS_PER_S
    card = price_book_of(config, source).resolve(provider, model, at_ns, tier, region)
    return [] if card is None else [_described(card)]


def used_cards(data_dir: Path) -> list[dict[str, Any]]:
    """Return every card that an entry names, by provider, model and start.

    Raises:
        BooksError: the books cannot be read.
        CardTextError: a stored card was changed.
    """
    columns = price_cards.c
    query = (
        sa.select(columns.body)
        .order_by(columns.provider, columns.model, columns.effective_from_ns)
        .limit(_CARDS_MAX)
    )
    if not (data_dir / FILE_NAME).exists():
        return []  # a mistyped directory is not made just to find it empty
    with open_books(data_dir) as books, books.read() as connection:
        return [_described(RateCard.from_json(body)) for body in connection.scalars(query)]


def _described(card: RateCard) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(describe(card))
    return row | {"_card": card}


def public_card(card_row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what only this module needs."""
    return {name: value for name, value in card_row.items() if name != "_card"}


def rate_rows(card_row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rates of a card: dollars per million tokens, or per thousand pieces."""
    card: RateCard = card_row["_card"]
    rows = []
    steps = [(None, card.rates), *((step, step.rates) for step in card.steps)]
    for step, rates in steps:
        for kind, rate in zip(KINDS, effective_rates(card, rates), strict=True):
            if rate is None:
                continue
            units, words = PRICED_PER[kind]
            shown = Rate(rate.numerator * units, rate.denominator * 1_000_000)
            rows.append(
                {
                    "kind": kind,
                    "usd": shown.usd_per_million(),
                    "per": "million tokens" if kind in TOKEN_KINDS else words,
                    "step": None if step is None else _step_words(step),
                    "follows": card.inherited.get(kind),
                }
            )
    return rows


def _step_words(step: Step) -> str:
    return f"{'from' if step.is_inclusive else 'over'} {step.threshold} input tokens"

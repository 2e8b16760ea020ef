"""Dated price cards: resolve a card, rate a usage, explain it line by line. Pure."""

from tollbook.prices.book import BookPrices, PriceBook
from tollbook.prices.card import CardTextError, RateCard, Step
from tollbook.prices.explain import CardSummary, ExplainLine, describe, explain
from tollbook.prices.rating import Rated, rate

__all__ = [
    "BookPrices",
    "CardSummary",
    "CardTextError",
    "ExplainLine",
    "PriceBook",
    "RateCard",
    "Rated",
    "Step",
    "describe",
    "explain",
    "rate",
]

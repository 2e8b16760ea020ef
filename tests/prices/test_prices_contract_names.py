"""A contract names a model as people and price lists do; providers answer with a dated name."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tollbook.config.schema import PriceCard
from tollbook.prices import PriceBook
from tollbook.prices.rating import rate
from tollbook.usage import Kinds

AT_NS = 1_790_000_000 * 10**9
START = "2020-01-01"


def book(*cards: PriceCard) -> PriceBook:
    return PriceBook(cards, "tollbook.toml", {"openai": "openai", "own": "own"})


def flat(model: str, usd_per_mtok: str, provider: str = "openai") -> PriceCard:
    price = Decimal(usd_per_mtok)
    return PriceCard(
        provider=provider, model=model, effective_from=START, input=price, output=price
    )


def cost(prices: PriceBook, model: str, provider: str = "openai") -> int | None:
    card = prices.resolve(provider, model, AT_NS, None)
    return None if card is None else rate(card, Kinds(1_000_000)).total // 10**6


@pytest.mark.parametrize("served", ["gpt-4o", "gpt-4o-2024-08-06", "GPT-4o-2024-11-20"])
def test_a_contract_covers_the_dated_names_of_its_model(served: str) -> None:
    assert cost(book(flat("gpt-4o", "1")), served) == 1_000_000


@pytest.mark.parametrize("served", ["gpt-4o-mini-2024-07-18", "gpt-4o-2024-05-13", "gpt-4"])
def test_but_not_models_that_the_list_prices_apart(served: str) -> None:
    prices = book(flat("gpt-4o", "1"))
    assert cost(prices, served) == cost(book(), served)


def test_a_contract_for_the_dated_name_goes_before_one_for_the_model() -> None:
    prices = book(flat("gpt-4o", "1"), flat("gpt-4o-2024-08-06", "3"))
    assert cost(prices, "gpt-4o-2024-08-06") == 3_000_000
    assert cost(prices, "gpt-4o-2024-11-20") == 1_000_000


def test_a_discount_on_the_model_is_taken_off_the_dated_name() -> None:
    half = PriceCard(
        provider="openai", model="gpt-4o", effective_from=START, discount_percent=Decimal(50)
    )
    assert cost(book(half), "gpt-4o-2024-08-06") == 1_250_000


def test_a_provider_without_a_list_is_matched_by_name_alone() -> None:
    prices = book(flat("gpt-4o", "1", provider="own"))
    assert cost(prices, "gpt-4o", provider="own") == 1_000_000
    assert cost(prices, "gpt-4o-2024-08-06", provider="own") is None

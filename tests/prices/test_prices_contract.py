from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.config import ConfigError
from tollbook.config.schema import PriceCard
from tollbook.prices import PriceBook, RateCard, rate
from tollbook.prices.listprices import ListPrices
from tollbook.prices.rating import rates_in_step
from tollbook.usage import KINDS, Kinds

PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "vllm-eu": "vllm-eu"}


def ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


NOW = ns(datetime(2026, 11, 20, 12, tzinfo=UTC))


def price(model: str = "gpt-4o", **settings: Any) -> PriceCard:
    given: dict[str, Any] = {"provider": "openai", "effective_from": "2026-11-01", **settings}
    exact: dict[str, Any] = {
        key: Decimal(v) if isinstance(v, int) else v for key, v in given.items()
    }
    return PriceCard(model=model, **exact)


def book(*cards: PriceCard) -> PriceBook:
    return PriceBook(cards, "tollbook.toml", PROVIDERS)


def resolved(
    cards: list[PriceCard], model: str = "gpt-4o", at_ns: int = NOW, tier: str | None = None
) -> RateCard:
    card = book(*cards).resolve("openai", model, at_ns, tier)
    assert card is not None
    return card


@settings(max_examples=40, deadline=None)
@given(
    percent=st.decimals(min_value=0, max_value=100, places=4),
    model=st.sampled_from(["gpt-4o", "gpt-5.4", "gpt-4.1-mini"]),
    tier=st.sampled_from([None, "flex", "priority", "batch"]),
    input_tokens=st.sampled_from([1, 272_000, 272_001, 1_000_000]),
)
def test_a_discount_is_exact_for_every_rate_tier_and_step(
    percent: Decimal, model: str, tier: str | None, input_tokens: int
) -> None:
    card = resolved([price(model, discount_percent=percent)], model, tier=tier)
    listed = ListPrices().resolve("openai", model, NOW, tier).card
    assert listed is not None
    factor = 1 - Fraction(percent) / 100
    own, at = rates_in_step(card, input_tokens)
    expected, listed_at = rates_in_step(listed, input_tokens)
    assert at == listed_at
    for mine, theirs in zip(own, expected, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert Fraction(*mine) == Fraction(*theirs) * factor


def test_a_discount_names_the_list_it_was_taken_off() -> None:
    card = resolved([price(discount_percent=Decimal("12.50"), reason="order form 7")])
    assert card.source == "contract"
    assert card.basis is not None
    assert card.basis.startswith("12.5 % off genai-prices ")
    assert card.reason == "order form 7"
    assert card.model == "gpt-4o"


def test_a_discount_of_a_hundred_is_free_and_priced() -> None:
    card = resolved([price(discount_percent=100)])
    assert card.is_free
    assert rate(card, Kinds(5)).unpriced_kinds == ()


def test_a_discount_applies_from_its_first_moment_until_its_last() -> None:
    prices = book(
        price(
            discount_percent=50,
            effective_from="2026-11-01T09:00:00+01:00",
            effective_until="2026-12-01",
        )
    )
    start = ns(datetime(2026, 11, 1, 8, tzinfo=UTC))
    end = ns(datetime(2026, 12, 1, tzinfo=UTC))
    totals = [
        rate(card, Kinds(1)).total
        for at_ns in (start - 1, start, end - 1, end)
        if (card := prices.resolve("openai", "gpt-4o", at_ns, None))
    ]
    assert totals == [2_500_000, 1_250_000, 1_250_000, 2_500_000]


def test_own_rates_price_an_own_model() -> None:
    own = price(
        "llama-*", provider="vllm-eu", input=Decimal("0.2"), output=Decimal("0.6"), requests=1
    )
    card = book(own).resolve("vllm-eu", "llama-4-70b", NOW, None)
    assert card is not None
    rated = rate(card, Kinds(1_000_000, visible_output_tokens=1_000_000, reasoning_tokens=10))
    assert rated.total == 200_000_000_000 + 600_000_000_000 + 6_000_000 + 1_000_000_000
    assert rated.flags == ("reasoning_tokens follows visible_output_tokens",)
    assert card.model == "llama-*"


def test_own_rates_of_zero_are_free() -> None:
    own = price("local", provider="vllm-eu", input=0, output=0)
    card = book(own).resolve("vllm-eu", "local", NOW, None)
    assert card is not None
    assert card.is_free
    assert rate(card, Kinds(9, visible_output_tokens=9)) == ((0,) * len(KINDS), 0, (), ())


def test_own_rates_go_before_the_list() -> None:
    assert rate(resolved([price(input=7, output=9)]), Kinds(1)).total == 7_000_000


def test_own_rates_say_that_they_have_no_tier() -> None:
    card = resolved([price(input=7, output=9)], tier="priority")
    assert rate(card, Kinds(1)).flags == (
        "no price for service tier priority; the standard price is used",
    )


def test_a_discount_on_a_model_the_list_does_not_know_prices_nothing() -> None:
    assert book(price("my-*", discount_percent=5)).resolve("openai", "my-m", NOW, None) is None


def test_a_card_of_one_provider_does_not_price_another() -> None:
    prices = book(price("*", provider="anthropic", input=7, output=9))
    assert prices.resolve("openai", "my-model", NOW, None) is None


SPECIFIC = [
    price("*", input=1, output=1),
    price("gpt-*", input=2, output=2),
    price("gpt-4*", input=3, output=3),
    price("gpt-4o-mini", input=4, output=4, effective_until="2026-11-10"),
    price("gpt-4o-mini", input=5, output=5, effective_from="2026-11-10"),
    price("?pt-4*", input=6, output=6, effective_from="2026-11-15"),
]


@pytest.mark.parametrize(
    ("model", "total"),
    [("o3", 1), ("gpt-5", 2), ("gpt-4-turbo", 3), ("gpt-4o-mini", 5), ("GPT-4o-Mini", 5)],
)
def test_the_most_literal_pattern_wins(model: str, total: int) -> None:
    assert rate(resolved(SPECIFIC, model), Kinds(1)).total == total * 10**6


def test_of_equally_literal_patterns_the_later_start_wins() -> None:
    cards = [
        price("gpt-?*", input=1, output=1),
        price("?gpt-*", input=3, output=3),
        price("gpt-*?", input=2, output=2, effective_from="2026-11-05"),
    ]
    assert rate(resolved(cards, "gpt-5"), Kinds(1)).total == 2 * 10**6


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(SPECIFIC),
    model=st.sampled_from(["o3", "gpt-5", "gpt-4o-mini", "gpt-4o", "xpt-4"]),
    day=st.integers(min_value=-3, max_value=25),
)
def test_the_order_of_cards_does_not_matter(order: list[PriceCard], model: str, day: int) -> None:
    at_ns = NOW + (day - 20) * 86_400 * 10**9
    first = book(*SPECIFIC).resolve("openai", model, at_ns, None)
    assert book(*order).resolve("openai", model, at_ns, None) == first


def test_only_stars_and_question_marks_are_special() -> None:
    prices = book(price("m[1].*", input=1, output=1))
    assert prices.resolve("openai", "m[1].x", NOW, None) is not None
    assert prices.resolve("openai", "m1.x", NOW, None) is None
    assert prices.resolve("openai", "m[1]yx", NOW, None) is None


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (price(), "prices[0] (model gpt-4o): has no price"),
        (price(discount_percent=101), ".discount_percent: 101 is not between 0 and 100"),
        (price(discount_percent=-1), ".discount_percent: -1 is not between 0 and 100"),
        (price(discount_percent=Decimal("NaN")), ".discount_percent: NaN is not between 0 and"),
        (price(discount_percent=5, input=1), "expected either a discount or own rates (input)"),
        (price(output=1), ".input: is missing; it is needed beside output"),
        (price(input=1, reasoning=1), ".output: is missing; it is needed beside reasoning"),
        (price(input=1, cache_read=-1), ".cache_read: -1 is no price; expected US dollars per"),
        (price(input=Decimal("Infinity")), ".input: Infinity is no price"),
        (price(web_search_requests=1), ".input: is missing; expected US dollars per million"),
        (price(input=1_000_001), ".input: 1000001 is over 1 USD for one token"),
        (price(input=1, effective_from="soon"), ".effective_from: 'soon' is not a date; expected"),
        (
            price(input=1, effective_from="2026-11-01T10:00:00"),
            ".effective_from: '2026-11-01T10:00:00' has no offset from UTC; expected a date such",
        ),
        (
            price(input=1, effective_until="2026-11-01"),
            ".effective_until: expected a time after effective_from",
        ),
        (price(input=1, provider="opnai"), ".provider: no provider 'opnai'; expected one of anth"),
        (price(" ", input=1), ".model: is empty; expected a model name or a pattern"),
    ],
)
def test_errors_name_the_file_the_card_the_field_and_what_is_expected(
    card: PriceCard, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        book(card)
    assert caught.value.message.startswith("tollbook.toml: prices[0] (model ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("until", [None, "2026-11-06"])
def test_overlapping_cards_are_refused_naming_both(until: str | None) -> None:
    cards = [
        price(discount_percent=1, effective_until=until),
        price("gpt-4", discount_percent=1),
        price(discount_percent=2, effective_from="2026-11-05"),
    ]
    for order in (cards, cards[::-1]):
        with pytest.raises(ConfigError, match=r"overlaps prices\[[02]\] \(model gpt-4o\)"):
            book(*order)


def test_adjoining_cards_are_accepted() -> None:
    cards = [
        price(discount_percent=2, effective_from="2026-11-05"),
        price(discount_percent=1, effective_until="2026-11-05"),
    ]
    prices = book(*cards)
    edge = ns(datetime(2026, 11, 5, tzinfo=UTC))
    bases = [
        card.basis
        for at_ns in (edge - 1, edge)
        if (card := prices.resolve("openai", "gpt-4o", at_ns, None))
    ]
    assert [basis.split()[0] for basis in bases if basis] == ["1", "2"]


def test_the_largest_accepted_rate_is_a_dollar_a_token() -> None:
    assert rate(resolved([price(input=1_000_000, output=1)]), Kinds(1)).total == 10**12


def test_a_discounted_card_lasts_while_both_the_contract_and_the_list_price_do() -> None:
    prices = book(
        price(discount_percent=50, effective_from="2026-10-01", effective_until="2026-10-20")
    )
    # The list prices the priority tier from 2026-10-12.
    first, listed, last = (ns(datetime(2026, 10, day, tzinfo=UTC)) for day in (1, 12, 20))
    before = prices.resolve("openai", "gpt-4o", first, "priority")
    after = prices.resolve("openai", "gpt-4o", listed, "priority")
    assert before is not None
    assert after is not None
    assert (before.effective_from_ns, before.effective_until_ns) == (first, listed)
    assert (after.effective_from_ns, after.effective_until_ns) == (listed, last)

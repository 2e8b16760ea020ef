"""What a price depends on beside the model: tier words, alone and together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from genai_prices.data import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.prices import RateCard, rate
from tollbook.prices.listprices import ListPrices
from tollbook.prices.rating import rates_in_step
from tollbook.prices.tiers import tier_of, with_batch, words_of
from tollbook.usage import KINDS, Kinds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = (datetime(2026, 11, 20, 12, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
_WORDS = st.sampled_from(["batch", "fast", "flex", "priority", "standard", "", "hd", "Default"])


def card(provider: str, model: str, tier: str | None) -> RateCard:
    found = ListPrices().resolve(provider, model, NOW, tier_of(tier)).card
    assert found is not None
    return found


@given(st.lists(_WORDS, max_size=5))
def test_words_have_one_form_whatever_their_order_and_case(words: list[str]) -> None:
    tier = tier_of("+".join(words))
    assert tier == tier_of("+".join(reversed(words)).upper())
    assert tier_of(tier) == tier
    assert list(words_of(tier)) == sorted(set(words_of(tier)))
    assert not {"standard", "default", ""} & set(words_of(tier))


@given(st.text(max_size=80))
def test_any_text_is_words_or_unrecognized(text: str) -> None:
    for word in words_of(tier_of(text)):
        assert word == "unrecognized" or (word.isascii() and len(word) <= 48)


@given(st.none() | st.text(alphabet="abc+", max_size=8))
def test_a_line_of_a_batch_has_the_word_batch_once(text: str | None) -> None:
    assert words_of(tier_of(with_batch(text))).count("batch") == 1


@pytest.mark.parametrize(
    ("provider", "model", "tier", "usd_per_mtok"),
    [
        # Anthropic, Pricing: batch is half; fast mode as the page says.
        ("anthropic", "claude-sonnet-4-5", None, ("3", "15")),
        ("anthropic", "claude-sonnet-4-5", "batch", ("1.5", "7.5")),
        ("anthropic", "claude-fable-5-2", "fast", ("16", "80")),
        # OpenAI, Pricing: batch and flex are half, priority is dearer.
        ("openai", "gpt-4o", "batch", ("1.25", "5")),
        ("openai", "gpt-5.4", "flex", ("1.25", "7.5")),
        ("openai", "gpt-5.4", "priority", ("5", "30")),
    ],
)
def test_what_price_pages_say(
    provider: str, model: str, tier: str | None, usd_per_mtok: tuple[str, str]
) -> None:
    priced = card(provider, model, tier)
    rated = rate(priced, Kinds(1_000_000 // 10, visible_output_tokens=100_000))
    assert rated.flags == ()
    assert rated.total == sum(int(Fraction(one) * 10**11) for one in usd_per_mtok)


@pytest.mark.parametrize(
    ("provider", "model", "threshold", "is_inclusive"),
    [
        ("anthropic", "claude-sonnet-4-5", 200_000, False),
        ("openai", "gpt-5.4", 272_000, False),
        ("google", "gemini-2.5-pro", 200_000, False),
        ("x-ai", "grok-4.3", 200_000, True),
    ],
)
def test_b14_the_whole_call_steps_up_at_the_providers_own_boundary(
    provider: str, model: str, threshold: int, *, is_inclusive: bool
) -> None:
    priced = card(provider, model, None)
    at, above, below = (rate(priced, Kinds(threshold + n)).total for n in (0, 1, -1))
    # Cached tokens count towards it.
    cached = rate(priced, Kinds(threshold - 100, 101))
    (single,) = {rate(priced, Kinds(1)).total}
    assert below == single * (threshold - 1)
    assert above >= 2 * single * (threshold + 1) * Fraction(3, 4)
    assert (at == single * threshold) is not is_inclusive
    assert cached.components[0] > single * (threshold - 100)


def test_b15_a_tier_without_steps_is_raised_as_the_standard_one_and_says_so() -> None:
    priority = card("openai", "gpt-5.4", "priority")
    small, large = (rate(priority, Kinds(n)) for n in (272_000, 272_001))
    assert small.flags == ()
    assert small.total == 272_000 * 5_000_000
    assert large.total == 272_001 * 10_000_000
    assert large.flags == (
        "no price for this tier over 272000 input tokens; it is raised as the standard one is",
    )


def test_tiers_that_are_not_priced_together_are_flagged() -> None:
    both = card("openai", "gpt-5.4", "batch+priority")
    (flag,) = rate(both, Kinds(1)).flags
    assert flag == "no price for batch+priority together; that of one of them is used"
    partly = card("openai", "gpt-4o", "batch+scale")
    assert rate(partly, Kinds(1)).flags == (
        "no price for service tier scale; the standard price is used",
    )
    assert rate(partly, Kinds(1)).total == 1_250_000


_MODELS = [
    (provider.id, model.id)
    for provider in providers
    if provider.id in {"openai", "anthropic", "google", "x-ai", "perplexity", "openrouter"}
    for model in provider.models
    if model.price_variants
]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(_MODELS), st.sets(_WORDS | st.just("nonsense"), max_size=3))
def test_a_tier_is_priced_or_flagged_never_silent(model: tuple[str, str], words: set[str]) -> None:
    prices = ListPrices()
    tier = tier_of("+".join(words))
    found = prices.resolve(*model, NOW, tier).card
    standard = prices.resolve(*model, NOW, None).card
    if found is None or standard is None:
        # ft:gpt-4o-mini is no model's whole name.
        assert model[1].startswith("ft:")
        return
    if tier is not None and found.rates == standard.rates:
        assert rate(found, Kinds(1, visible_output_tokens=1)).flags
    if "nonsense" in words_of(tier):
        assert any("nonsense" in flag for flag in rate(found, Kinds(1)).flags)


def test_search_context_sets_the_fee_of_a_request() -> None:
    fees = {
        context: rates_in_step(card("perplexity", "sonar", f"search-{context}"), 0)[0][
            KINDS.index("requests")
        ]
        for context in ("low", "medium", "high")
    }
    assert [one and one.cost_pico(1000) // 10**12 for one in fees.values()] == [5, 8, 12]

"""List prices against the package they come from, as an oracle, and against known facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers

from tollbook.prices.listprices import LIST_SOURCE, ListPrices
from tollbook.prices.rating import rate, rates_in_step
from tollbook.prices.tiers import tier_of
from tollbook.usage import KINDS, Kinds

USAGES = {
    "plain": Kinds(1000, visible_output_tokens=300),
    "cached and reasoning": Kinds(86, 1920, visible_output_tokens=300, reasoning_tokens=22),
    "cache writes": Kinds(10, 0, 500, 700, visible_output_tokens=30),
    "200000": Kinds(100_000, 90_000, 6_000, 4_000, visible_output_tokens=777),
    "200001": Kinds(100_001, 90_000, 6_000, 4_000, visible_output_tokens=777),
    "272000": Kinds(272_000, visible_output_tokens=9),
    "272001": Kinds(200_000, 72_001, visible_output_tokens=9),
    "audio": Kinds(100, input_audio_tokens=50, visible_output_tokens=30, output_audio_tokens=40),
    "web": Kinds(100, visible_output_tokens=30, web_search_requests=3),
}
MOMENTS = [
    datetime(2025, 1, 15, 12, tzinfo=UTC),
    datetime(2026, 10, 13, 2, tzinfo=UTC),
    datetime(2026, 11, 20, 17, 30, tzinfo=UTC),
]
EXACT = ["openai", "anthropic", "google", "x-ai", "deepseek"]
ROUNDING = Fraction(len(KINDS), 2)
"""Half a pico for each component: list prices finer than that are rounded here, not there."""


def ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def oracle_usage(kinds: Kinds) -> Usage:
    return Usage(
        input_tokens=kinds.input_tokens,
        cache_read_tokens=kinds.cache_read_tokens,
        cache_write_tokens=kinds.cache_write_5m_tokens + kinds.cache_write_1h_tokens,
        cache_write_5m_tokens=kinds.cache_write_5m_tokens,
        cache_write_1h_tokens=kinds.cache_write_1h_tokens,
        input_audio_tokens=kinds.input_audio_tokens,
        cache_audio_read_tokens=0,
        output_tokens=kinds.output_tokens,
        output_reasoning_tokens=kinds.reasoning_tokens,
        output_audio_tokens=kinds.output_audio_tokens,
        web_searches=kinds.web_search_requests,
    )


def compare(provider_id: str, tiers: list[str | None]) -> tuple[int, set[str]]:
    """Return how many totals were compared, and the models whose totals differ at all."""
    prices = ListPrices(is_supplemented=False)
    models = next(provider for provider in providers if provider.id == provider_id).models
    compared, differing = 0, set()
    for model in models:
        for moment in MOMENTS:
            for tier in tiers:
                card = prices.resolve(provider_id, model.id, ns(moment), tier).card
                context = dict.fromkeys(("service_tier", "processing", "speed"), tier or "")
                for kinds in USAGES.values():
                    try:
                        expected = calc_price(
                            oracle_usage(kinds), model.id, provider_id=provider_id,
                            genai_request_timestamp=moment, price_context=context if tier else None,
                        ).total_price  # fmt: skip
                    except LookupError:
                        assert card is None, model.id
                        continue
                    assert card is not None, model.id
                    rated = rate(card, kinds)
                    if any("it is raised as the standard one is" in one for one in rated.flags):
                        # A tier without a price for long contexts: theirs stays flat, unsaid.
                        assert Fraction(expected) * 10**12 < rated.total
                        continue
                    compared += 1
                    difference = abs(Fraction(expected) * 10**12 - rated.total)
                    assert difference <= ROUNDING, (model.id, moment, tier, kinds)
                    if difference:
                        own, _ = rates_in_step(card, kinds.input_tokens)
                        assert any(one is not None and one.denominator > 1 for one in own)
                        differing.add(model.id)
    return compared, differing


@pytest.mark.parametrize("provider_id", EXACT)
def test_totals_equal_the_oracle_exactly_at_every_date_tier_and_context_step(
    provider_id: str,
) -> None:
    tiers: list[str | None] = [None, "flex", "priority", "batch", "fast"]
    compared, differing = compare(provider_id, tiers)
    assert compared > 1000
    assert differing == set()


def test_other_providers_differ_only_where_the_list_is_finer_than_a_pico() -> None:
    results = {
        provider.id: compare(provider.id, [None])
        for provider in providers
        if provider.id not in EXACT
    }
    assert sum(compared for compared, _ in results.values()) > 40_000
    # Their lists hold quotients of floating point, such as 0.18000000000000002 USD per MTok.
    differing = {provider_id for provider_id, (_, models) in results.items() if models}
    assert differing == {"huggingface_together", "openrouter"}


def test_gpt_4o_with_a_mostly_cached_prompt_costs_what_the_price_page_says() -> None:
    # 2006 prompt tokens, 1920 of them cached, 300 completion: 2.50, 1.25 and 10 USD per MTok.
    resolved = ListPrices().resolve("openai", "gpt-4o-2024-08-06", ns(MOMENTS[0]), None)
    assert resolved.card is not None
    rated = rate(resolved.card, Kinds(86, 1920, visible_output_tokens=300))
    assert rated.components[:2] == (215_000_000, 2_400_000_000)
    assert rated.total == 5_615_000_000
    assert rated.flags == ()
    assert resolved.card.model == "gpt-4o"
    assert resolved.card.source.startswith(LIST_SOURCE)


@pytest.mark.parametrize(
    ("at", "input_per_mtok"),
    [
        (datetime(2026, 11, 20, 16, 29, 59, 999999, tzinfo=UTC), "0.27"),
        (datetime(2026, 11, 20, 16, 30, tzinfo=UTC), "0.135"),
        (datetime(2026, 11, 20, 0, 29, 59, tzinfo=UTC), "0.135"),
        (datetime(2026, 11, 20, 0, 30, tzinfo=UTC), "0.27"),
    ],
)
def test_off_peak_prices_follow_the_time_of_day(at: datetime, input_per_mtok: str) -> None:
    resolved = ListPrices().resolve("deepseek", "deepseek-chat", ns(at), None)
    assert resolved.card is not None
    assert resolved.card.rates[0] is not None
    assert resolved.card.rates[0].usd_per_million() == input_per_mtok
    assert resolved.from_ns <= ns(at) < resolved.until_ns
    assert resolved.until_ns - resolved.from_ns < 24 * 3600 * 10**9


def test_a_time_of_day_price_is_one_card_every_day() -> None:
    prices = ListPrices()
    days = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in range(9, 14)]
    cards = [prices.resolve("deepseek", "deepseek-chat", ns(day), None).card for day in days]
    assert len({card.card_id for card in cards if card}) == 1
    assert all(card == cards[0] for card in cards)


@pytest.mark.parametrize("tier", [None, "flex", "priority", "batch", "fast"])
@pytest.mark.parametrize("provider_id", ["openai", "anthropic", "deepseek"])
def test_the_answer_holds_through_its_window_and_the_next_begins_at_its_edge(
    provider_id: str, tier: str | None
) -> None:
    prices = ListPrices()
    provider = next(provider for provider in providers if provider.id == provider_id)
    for model in provider.models:
        at_ns = ns(datetime(2024, 1, 1, tzinfo=UTC))
        for _ in range(6):
            resolved = prices.resolve(provider_id, model.id, at_ns, tier)
            if resolved.card is None or resolved.until_ns == 2**63:
                break
            assert resolved.from_ns <= at_ns < resolved.until_ns
            last = prices.resolve(provider_id, model.id, resolved.until_ns - 1, tier)
            following = prices.resolve(provider_id, model.id, resolved.until_ns, tier)
            assert last == resolved
            assert following.from_ns == resolved.until_ns
            assert following.card is not None
            assert following.card.card_id != resolved.card.card_id
            at_ns = resolved.until_ns


def test_the_tier_is_priced_only_from_the_day_the_list_has_it() -> None:
    prices = ListPrices()
    edge = ns(datetime(2026, 10, 12, tzinfo=UTC))
    before = prices.resolve("openai", "gpt-4o", edge - 1, "priority").card
    after = prices.resolve("openai", "gpt-4o", edge, "priority").card
    assert before is not None
    assert after is not None
    assert (before.is_tier_priced, after.is_tier_priced) == (False, True)
    assert before.effective_until_ns == after.effective_from_ns == edge
    assert rate(after, Kinds(1)).total == 4_250_000


@pytest.mark.parametrize("tier", ["scale", "priority"])
def test_an_unknown_tier_gets_the_standard_price_with_a_flag(tier: str) -> None:
    card = ListPrices().resolve("anthropic", "claude-opus-4-5", ns(MOMENTS[2]), tier).card
    assert card is not None
    assert not card.is_tier_priced
    assert rate(card, Kinds(1)).flags == (
        f"no price for service tier {tier}; the standard price is used",
    )


@pytest.mark.parametrize(
    ("reported", "tier"),
    [
        (None, None), ("standard", None), ("default", None), ("auto", None), ("", None),
        ("Flex", "flex"), ("batch", "batch"), ("a b\n", "unrecognized"), ("x" * 99, "unrecognized"),
    ],
)  # fmt: skip
def test_tier_names(reported: str | None, tier: str | None) -> None:
    assert tier_of(reported) == tier


def test_no_other_provider_prices_a_model() -> None:
    prices = ListPrices()
    at_ns = ns(MOMENTS[2])
    assert prices.resolve("anthropic", "gpt-4o", at_ns, None).card is None
    # The list would take Azure's missing models from OpenAI; a price is taken from nobody else.
    openai_only = [
        model.id
        for model in next(p for p in providers if p.id == "openai").models
        if next(p for p in providers if p.id == "azure").find_model(model.id) is None
    ]
    assert openai_only
    assert all(prices.resolve("azure", model, at_ns, None).card is None for model in openai_only)


def test_the_same_model_costs_what_its_own_provider_charges() -> None:
    found = {}
    for provider_id in ("groq", "cerebras", "together"):
        for model in next(p for p in providers if p.id == provider_id).models:
            card = ListPrices().resolve(provider_id, model.id, ns(MOMENTS[2]), None).card
            if card is not None:
                found[provider_id, model.id] = (card.provider, card.model)
    assert found
    assert all(own == asked for asked, own in found.items() if own[1] == asked[1])


def test_an_unknown_provider_or_model_has_no_price() -> None:
    assert ListPrices().resolve("vllm-eu", "gpt-4o", 0, None).card is None
    assert ListPrices().resolve("openai", "my-own-model", 0, None).card is None


def test_compiled_cards_are_bounded() -> None:
    prices = ListPrices(timelines_max=3)
    for tier in "abcdefgh":
        assert prices.resolve("openai", "gpt-4o", 0, tier).card is not None
    assert len(prices._timelines) <= 3


def test_every_listed_price_is_below_the_bound_for_contracts() -> None:
    prices = ListPrices()
    for provider in providers:
        for model in provider.models:
            card = prices.resolve(provider.id, model.id, ns(MOMENTS[2]), None).card
            for own in card.rates[: len(KINDS) - 2] if card else ():
                assert own is None or Decimal(own.numerator) / own.denominator < 10**12

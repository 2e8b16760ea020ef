"""Pieces and media that the list has no price for; contract cards by tier and region; history."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.config import ConfigError
from tollbook.config.schema import PriceCard
from tollbook.ledger.reported import as_reported
from tollbook.prices import PriceBook, RateCard, rate
from tollbook.prices.card import scaled_card
from tollbook.prices.discounts import BATCH_DISCOUNT
from tollbook.prices.listprices import ListPrices
from tollbook.prices.supplement import ROWS
from tollbook.usage import KINDS, Kinds

NOW = 1_795_177_800 * 10**9  # 2026-11-20 12:30 UTC
_LISTS = {
    name: name
    for name in (
        "openai", "google", "cohere", "voyageai", "aws", "x-ai", "anthropic", "perplexity", "jina",
        "azure", "groq", "together", "openrouter",
    )
}  # fmt: skip


def card(provider: str, model: str, tier: str | None = None) -> RateCard:
    found = PriceBook([], "t", _LISTS).resolve(provider, model, NOW, tier)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("provider", "model", "tier", "kinds", "usd"),
    [
        ("openai", "gpt-4o", None, Kinds(file_search_requests=2), "0.005"),
        ("openai", "gpt-4o", None, Kinds(web_search_requests=1), "0.01"),
        ("openai", "gpt-4o-search-preview", None, Kinds(web_search_requests=4), "0.1"),
        ("openai", "gpt-4.1", "web_search_preview", Kinds(web_search_requests=4), "0.1"),
        ("openai", "dall-e-3", "hd+1024x1792", Kinds(images=3), "0.36"),
        ("openai", "dall-e-3", "standard+1024x1024", Kinds(images=1), "0.04"),
        ("openai", "dall-e-3", None, Kinds(images=1), "0.04"),
        ("openai", "dall-e-2", "256x256", Kinds(images=2), "0.032"),
        ("openai", "whisper-1", None, Kinds(audio_ms=60_000), "0.006"),
        ("openai", "tts-1-hd", None, Kinds(characters=1000), "0.03"),
        ("google", "imagen-4.0-ultra-generate-001", None, Kinds(images=2), "0.12"),
        ("cohere", "rerank-v3.5", None, Kinds(search_units=500), "1"),
        ("aws", "cohere.rerank-v3-5:0", None, Kinds(search_units=1), "0.002"),
        ("aws", "amazon.rerank-v1:0", None, Kinds(search_units=1), "0.001"),
        ("voyageai", "rerank-2.5-lite", None, Kinds(1_000_000), "0.02"),
        ("x-ai", "grok-4.3", None, Kinds(web_search_requests=1), "0.005"),
        ("x-ai", "grok-4.3", None, Kinds(file_search_requests=2, code_sessions=1), "0.01"),
        ("x-ai", "grok-imagine-image-quality", None, Kinds(images=1), "0.05"),
        # As an answer of the provider says: 8000 of the tokens are what the search found.
        ("openai", "gpt-4.1-mini", None, Kinds(8174, web_search_requests=1), "0.0132696"),
        ("openrouter", "openai/gpt-4.1-mini", None, Kinds(web_search_requests=3), "0.03"),
        ("openai", "gpt-5-search-api", None, Kinds(web_search_requests=1), "0.01"),
        ("openai", "gpt-6.1-terra", "web_search_preview", Kinds(web_search_requests=3), "0.03"),
        ("openai", "o4-mini", "flex+web_search_preview", Kinds(web_search_requests=1), "0.01"),
        ("openai", "gpt-4o-mini", "web_search_preview", Kinds(web_search_requests=1), "0.025"),
        ("cohere", "rerank-v4.0-pro", None, Kinds(search_units=2), "0.005"),
        ("cohere", "rerank-v4.0-fast", None, Kinds(search_units=2), "0.004"),
        ("cohere", "embed-v5.0-fast", None, Kinds(1_000_000), "0.08"),
        ("cohere", "embed-v4.0", None, Kinds(0, input_image_tokens=1_000_000), "0.47"),
        ("voyageai", "rerank-3", None, Kinds(1_000_000), "0.05"),
        ("voyageai", "rerank-lite-1", None, Kinds(1_000_000), "0.02"),
        ("voyageai", "voyage-4-large", None, Kinds(1_000_000), "0.12"),
        ("aws", "global.cohere.embed-v4:0", None, Kinds(1_000_000), "0.12"),
        ("perplexity", "sonar", "search-low", Kinds(), "0.005"),
        ("perplexity", "sonar", "search-medium", Kinds(), "0.008"),
        ("perplexity", "sonar", "search-high", Kinds(), "0.012"),
        ("perplexity", "sonar-pro", "search-low", Kinds(), "0.006"),
        ("perplexity", "sonar-pro", "search-medium", Kinds(), "0.01"),
        ("perplexity", "sonar-reasoning-pro", "search-high", Kinds(), "0.014"),
        ("perplexity", "sonar-pro", "search-low", Kinds(citation_tokens=10**6), "0.006"),
        ("perplexity", "sonar-deep-research", None, Kinds(citation_tokens=10**6), "2"),
    ],
)
def test_pieces_cost_what_the_page_of_the_provider_says(
    provider: str, model: str, tier: str | None, kinds: Kinds, usd: str
) -> None:
    rated = rate(card(provider, model, tier), kinds)
    assert (rated.flags, rated.unpriced_kinds) == ((), ())
    assert rated.total == int(Decimal(usd) * 10**12)


@pytest.mark.parametrize(
    ("provider", "model", "tier", "kinds", "usd", "said"),
    [
        ("openai", "gpt-5.4", None, Kinds(code_sessions=3), "0.09", "twenty minutes"),
        ("azure", "o3-mini", None, Kinds(code_sessions=1), "0.033", "not confirmed"),
        ("azure", "dall-e-3", "hd+1024x1024", Kinds(images=1), "0.088", "differs by region"),
        ("google", "imagen-3.0-generate-002", None, Kinds(images=1), "0.04", "Gemini API"),
        ("aws", "amazon.nova-canvas-v1:0", "1024x1024+premium", Kinds(images=2), "0.12", "not c"),
        ("aws", "amazon.nova-canvas-v1:0", "1280x720", Kinds(images=1), "0.06", "not confirmed"),
        ("aws", "amazon.titan-image-generator-v2:0", "512x512", Kinds(images=1), "0.008", "not c"),
        ("aws", "amazon.titan-image-generator-v2:0", "768x768", Kinds(images=1), "0.01", "not c"),
        ("perplexity", "sonar", None, Kinds(), "0.005", "how much was searched"),
        ("jina", "jina-reranker-v3", None, Kinds(10**6), "0.05", "packages"),
        ("voyageai", "voyage-multimodal-3.5", None, Kinds(10**6), "0.12", "by the pixel"),
    ],
)  # fmt: skip
def test_what_is_not_certain_about_a_piece_is_said_once(
    provider: str, model: str, tier: str | None, kinds: Kinds, usd: str, said: str
) -> None:
    rated = rate(card(provider, model, tier), kinds)
    assert rated.unpriced_kinds == ()
    assert rated.total == int(Decimal(usd) * 10**12)
    (flag,) = rated.flags
    assert said in flag


_STANDARD = "no price for service tier batch; the standard price is used"


@pytest.mark.parametrize(
    ("provider", "model", "factor", "flag"),
    [
        ("openai", "gpt-5.4", "0.5", None),
        ("openai", "text-embedding-3-small", "0.5", BATCH_DISCOUNT),
        ("google", "gemini-3.5-flash", "0.5", BATCH_DISCOUNT),
        ("aws", "amazon.nova-lite-v1:0", "0.5", BATCH_DISCOUNT),
        ("groq", "llama-3.3-70b-versatile", "0.5", BATCH_DISCOUNT),
        ("x-ai", "grok-4.3", "0.8", None),
        ("together", "openai/gpt-oss-120b", "1", _STANDARD),
        ("voyageai", "voyage-3.5", "1", _STANDARD),
    ],
)
def test_batches_cost_what_the_list_or_the_provider_says(
    provider: str, model: str, factor: str, flag: str | None
) -> None:
    usage = Kinds(1000, 0, web_search_requests=2)
    plain, batch = (card(provider, model, tier) for tier in (None, "batch"))
    kinds = usage if plain.rates[KINDS.index("web_search_requests")] else Kinds(1000)
    tokens = KINDS.index("uncached_input_tokens")
    rated, standard = rate(batch, kinds), rate(plain, kinds)
    assert rated.components[tokens] == Decimal(factor) * standard.components[tokens]
    # Fees by the piece are the same in a batch.
    assert rated.components[tokens + 1 :] == standard.components[tokens + 1 :]
    assert rated.flags == (() if flag is None else (flag,))


def test_steps_of_a_long_context_are_halved_too() -> None:
    plain, batch = (card("google", "gemini-3.1-pro-preview", tier) for tier in (None, "batch"))
    long = Kinds(300_000, visible_output_tokens=10)
    assert rate(batch, long).total * 2 == rate(plain, long).total
    # What comes from a cache has the cache's discount alone at Google.
    for cached in (Kinds(0, 300_000), Kinds(0, 10)):
        assert rate(batch, cached).total == rate(plain, cached).total > 0


@pytest.mark.parametrize(
    ("moment", "usd"),
    [
        ("2026-11-20T02:00", "1.32"),  # Friday, peak
        ("2026-11-20T05:00", "0.66"),
        ("2026-11-20T06:00", "1.32"),
        ("2026-11-21T02:00", "0.66"),  # Saturday
        ("2026-11-22T06:30", "0.66"),
        ("2026-11-23T00:59", "0.66"),
        ("2026-11-23T01:00", "1.32"),
        ("2026-08-22T02:00", "1.32"),  # the Saturday before the rule
        ("2026-10-01T02:00", "0.66"),  # National Day, a Thursday
        ("2026-10-08T02:00", "1.32"),
    ],
)
def test_deepseek_has_no_peak_hours_on_weekends_and_holidays(moment: str, usd: str) -> None:
    at_ns = int(datetime.fromisoformat(moment + "+00:00").timestamp()) * 10**9
    resolved = ListPrices().resolve("deepseek", "deepseek-v4-pro", at_ns, None)
    assert resolved.card is not None
    assert resolved.card.rates[0] is not None
    assert resolved.card.rates[0].usd_per_million() == usd
    assert resolved.from_ns <= at_ns < resolved.until_ns
    for edge in (resolved.from_ns, resolved.until_ns - 1):
        assert ListPrices().resolve("deepseek", "deepseek-v4-pro", edge, None) == resolved


def test_old_names_of_deepseek_are_billed_as_the_model_that_they_were() -> None:
    book = PriceBook([], "t", {"deepseek": "deepseek"})
    for moment, model in ((1_776_000_000, "deepseek-chat"), (1_780_000_000, "deepseek-v4-flash")):
        found = book.resolve("deepseek", "deepseek-chat", moment * 10**9, None)
        assert found is not None
        assert found.model == model


def test_images_of_an_unknown_size_are_flagged() -> None:
    rated = rate(card("openai", "dall-e-3", "4096x4096"), Kinds(images=1))
    assert rated.flags == (
        "no price for service tier 4096x4096; the standard price is used",
    )  # fmt: skip


def test_a_code_session_at_anthropic_is_said_to_be_the_least() -> None:
    priced = card("anthropic", "claude-opus-4-6")
    assert rate(priced, Kinds(1)).flags == ()
    (flag,) = rate(priced, Kinds(code_sessions=1)).flags
    assert "five minutes" in flag


def test_every_row_names_its_page_and_add_ons_alone_price_no_model() -> None:
    assert all(row.source.startswith("https://") for row in ROWS)
    assert PriceBook([], "t", _LISTS).resolve("openai", "my-model", NOW, None) is None


def _own(**settings: Any) -> PriceCard:
    prices = {"input": Decimal(settings.pop("usd", 1)), "output": Decimal(9)}
    wanted: dict[str, Any] = {
        "provider": "openai",
        "effective_from": "2026-01-01",
        "model": "gpt-*",
    }
    return PriceCard(**(wanted | prices | settings))


def _usd(cards: list[PriceCard], tier: str | None, region: str | None) -> int:
    found = PriceBook(cards, "t", _LISTS).resolve("openai", "gpt-4o", NOW, tier, region)
    assert found is not None
    return rate(found, Kinds(1)).total // 10**6


_CARDS = [
    _own(usd=1), _own(usd=2, service_tier="batch"), _own(usd=3, region="eu-*"),
    _own(usd=4, service_tier="batch", region="eu-*"), _own(usd=5, model="gpt-4o"),
    _own(usd=6, service_tier="standard", region="us"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cards", "tier", "region", "usd"),
    [
        (_CARDS[:4], None, None, 1),
        (_CARDS[:4], "batch", None, 2),
        (_CARDS[:4], None, "EU-west-1", 3),
        (_CARDS[:4], "batch", "eu-west-1", 4),
        (_CARDS[:4], "priority", "us", 1),
        (_CARDS, "batch", "eu-west-1", 5),
        ([_CARDS[0], _CARDS[5]], "default", "us", 6),
        ([_CARDS[0], _CARDS[5]], "batch", "us", 1),
    ],
)
def test_the_most_specific_contract_wins(
    cards: list[PriceCard], tier: str | None, region: str | None, usd: int
) -> None:
    assert _usd(cards, tier, region) == _usd(cards[::-1], tier, region) == usd


def test_a_contract_for_a_tier_is_not_flagged_and_one_for_any_is() -> None:
    book = PriceBook(_CARDS[:2], "t", _LISTS)
    flags = [
        rate(found, Kinds(1)).flags
        for tier in ("batch", "priority")
        if (found := book.resolve("openai", "gpt-4o", NOW, tier))
    ]
    assert flags == [(), ("no price for service tier priority; the standard price is used",)]


def test_cards_overlap_only_with_the_same_tier_and_region() -> None:
    PriceBook(_CARDS, "t", _LISTS)
    for field in ({}, {"service_tier": "batch"}, {"region": "eu-*"}):
        with pytest.raises(ConfigError, match="same provider, model, tier, region and time"):
            PriceBook([_own(**field), _own(usd=7, **field)], "t", _LISTS)


def test_i4_what_changes_a_price_changes_the_version_of_the_card() -> None:
    cards = {
        card("openai", "gpt-4o").card_id,
        card("openai", "gpt-4o", "batch").card_id,
        card("openai", "dall-e-3").card_id,
        card("openai", "dall-e-3", "hd").card_id,
    }
    assert len(cards) == 4
    plain = card("openai", "gpt-4o")
    assert scaled_card(plain, 1).card_id == plain.card_id  # type: ignore[arg-type]
    assert scaled_card(plain, 2).card_id != plain.card_id  # type: ignore[arg-type]
    assert scaled_card(plain, 1, cautions=("x",)).card_id != plain.card_id  # type: ignore[arg-type]
    assert RateCard.from_json(plain.to_json()) == plain


@given(
    st.lists(st.tuples(*[st.integers(0, 10**15)] * len(KINDS)), min_size=1, max_size=4),
    st.integers(0, 10**24),
)
def test_a_reported_cost_is_split_without_a_pico_lost(
    components: list[tuple[int, ...]], reported: int
) -> None:
    from tollbook.call import UsageSource  # noqa: PLC0415 -- beside its only use
    from tollbook.ledger.charge import Charge, PartCharge  # noqa: PLC0415
    from tollbook.ledger.schema import PriceState  # noqa: PLC0415

    charges = [
        Charge(Kinds(), UsageSource.REPORTED, (), PriceState.PRICED, "c", (), sum(one), one)
        for one in components
    ]
    further = tuple(PartCharge("x", None, one) for one in charges[1:])
    split = as_reported(charges[0]._replace(further=further), reported)
    everything = [split, *(part.charge for part in split.further)]
    assert sum(one.cost or 0 for one in everything) == reported
    for one, before in zip(everything, components, strict=True):
        assert one.components is not None
        assert sum(one.components) == one.cost
        if any(any(weights) for weights in components):
            assert all(was or not now for now, was in zip(one.components, before, strict=True))

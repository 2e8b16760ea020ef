"""Prices by region and by the names that Bedrock, Vertex and others give to models."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.config.schema import Config, Provider
from tollbook.prices import PriceBook, RateCard, rate
from tollbook.prices.names import ProviderPrices, billed_name, spellings
from tollbook.prices.regional import region_of
from tollbook.usage import Kinds

NOW = 1_795_177_800 * 10**9  # 2026-11-20 12:30 UTC
_FLAG = "the list price of another region is used: none is known"
_SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
_BOOK = PriceBook(
    [], "t",
    {"bedrock": ProviderPrices("aws"), "london": ProviderPrices("aws", "eu-west-2"),
     "vertex": ProviderPrices("google"), "anthropic": ProviderPrices("anthropic"),
     "openai": ProviderPrices("openai"), "azure": ProviderPrices("azure"),
     "openrouter": ProviderPrices("openrouter"), "xai": ProviderPrices("x-ai"),
     "together": ProviderPrices("together")},
)  # fmt: skip


def card(provider: str, model: str, region: str | None = None, at_ns: int = NOW) -> RateCard:
    found = _BOOK.resolve(provider, model, at_ns, None, region)
    assert found is not None, model
    return found


def per_mtok(priced: RateCard) -> Fraction:
    """Dollars for a million tokens of uncached input."""
    return Fraction(rate(priced, Kinds(1)).total, 10**6)


@pytest.mark.parametrize(
    ("model", "region", "usd", "is_flagged"),
    [
        # AWS, Bedrock pricing: global 3.00, geographies and regions 3.30, GovCloud 3.60.
        (f"global.{_SONNET}", "us-east-1", "3", False),
        (_SONNET, "us-east-1", "3.3", False),
        (_SONNET, "eu-west-2", "3.3", False),
        (f"us.{_SONNET}", None, "3.3", False),
        (f"eu.{_SONNET}", "eu-west-2", "3.3", False),
        (f"us-gov.{_SONNET}", "us-gov-west-1", "3.6", False),
        (_SONNET, "us-gov-west-1", "3.6", False),
        # One price a region, of which the list has that of the United States.
        ("amazon.nova-lite-v1:0", "us-east-1", "0.06", False),
        ("us.amazon.nova-lite-v1:0", "us-west-2", "0.06", False),
        ("amazon.nova-lite-v1:0", "us-gov-west-1", "0.072", False),
        ("meta.llama3-70b-instruct-v1:0", "us-gov-west-1", "2.65", True),
        ("amazon.titan-embed-text-v2:0", "us-gov-east-1", "0.02", True),
        ("amazon.nova-lite-v1:0", "eu-west-2", "0.06", True),
        ("eu.amazon.nova-lite-v1:0", "eu-west-1", "0.06", True),
        ("nvidia.nemotron-super-3-120b", "eu-west-2", "0.15", True),
    ],
)
def test_c7_bedrock_by_profile_and_region(
    model: str, region: str | None, usd: str, *, is_flagged: bool
) -> None:
    for name in (model, f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{model}"):
        if name != model and region is None:
            continue
        priced = card("bedrock", model, region)
        assert per_mtok(priced) == Fraction(usd)
        flags = rate(priced, Kinds(1)).flags
        assert any(flag.startswith(_FLAG) for flag in flags) is is_flagged


def test_an_arn_names_model_and_region() -> None:
    arn = "arn:aws:bedrock:eu-west-2:123456789012:foundation-model/amazon.nova-lite-v1:0"
    assert rate(card("bedrock", arn), Kinds(1)).flags == (_FLAG + " with this profile",)
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global." + _SONNET
    assert per_mtok(card("bedrock", arn)) == 3


def test_the_providers_address_is_the_region_of_calls_that_name_none() -> None:
    assert rate(card("london", "amazon.nova-lite-v1:0"), Kinds(1)).flags == (
        _FLAG + " in eu-west-2",
    )
    assert rate(card("london", "amazon.nova-lite-v1:0", "us-east-1"), Kinds(1)).flags == ()


@pytest.mark.parametrize(
    ("provider", "model", "region", "factor"),
    [
        ("vertex", "claude-sonnet-4-5@20250929", "europe-west1", "1.1"),
        ("vertex", "claude-sonnet-4-5@20250929", "global", "1"),
        ("vertex", "publishers/anthropic/models/claude-sonnet-4-5@20250929", None, "1"),
        ("vertex", "publishers/google/models/gemini-2.5-pro", "us-central1", "1"),
        ("anthropic", "claude-opus-4-6", "us", "1.1"),
        ("anthropic", "claude-opus-4-6", "global", "1"),
        ("anthropic", "claude-opus-4-6", "not_available", "1"),
        ("openai", "gpt-5.4", "eu", "1.1"),
        ("openai", "gpt-4o", "eu", "1"),
        ("openai", "gpt-image-1.5", "eu", "1"),
        ("openai", "gpt-realtime-2", "us", "1.1"),
        ("openai", "gpt-6-sol", "eu", "1.1"),
        ("vertex", "gemini-3.5-flash", "europe-west4", "1.1"),
        ("vertex", "gemini-3.1-flash-lite", "us-central1", "1.1"),
        ("vertex", "gemini-2.5-flash", "europe-west4", "1"),
    ],
)
def test_documented_factors_apply_to_tokens_and_not_to_fees(
    provider: str, model: str, region: str | None, factor: str
) -> None:
    plain, there = card(provider, model), card(provider, model, region)
    assert per_mtok(there) == per_mtok(plain) * Fraction(factor)
    assert rate(there, Kinds(1)).flags == ()
    searches = Kinds(web_search_requests=7)
    assert rate(there, searches).total == rate(plain, searches).total
    assert (there.basis is not None) is (factor != "1")
    assert (there.card_id != plain.card_id) is (factor != "1")


@pytest.mark.parametrize(
    ("provider", "model", "region"),
    [("anthropic", "claude-opus-4-6", "eu"), ("vertex", "gemini-3-flash-preview", "europe-west4")],
)
def test_a_region_without_a_rule_is_flagged(provider: str, model: str, region: str) -> None:
    priced = card(provider, model, region)
    assert rate(priced, Kinds(1)).flags == (f"{_FLAG} in {region}",)
    assert per_mtok(priced) == per_mtok(card(provider, model))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([_SONNET, "amazon.nova-lite-v1:0", "meta.llama3-3-70b-instruct-v1:0"]),
    st.sampled_from(["", "us.", "eu.", "apac.", "jp.", "au.", "us-gov.", "global."]),
    st.none() | st.sampled_from(["us-east-1", "eu-west-2", "ap-southeast-2", "us-gov-east-1"]),
)
def test_a_region_never_makes_a_price_smaller(model: str, prefix: str, region: str | None) -> None:
    found = _BOOK.resolve("bedrock", prefix + model, NOW, None, region)
    least = _BOOK.resolve("bedrock", "global." + model, NOW, None)
    assert found is not None
    assert least is not None
    assert per_mtok(found) >= per_mtok(least)


def test_c6_the_same_model_at_two_providers_has_two_prices() -> None:
    assert per_mtok(card("bedrock", _SONNET)) != per_mtok(card("anthropic", "claude-sonnet-4-5"))
    azure = card("azure", "gpt-4o-2024-08-06")
    assert per_mtok(azure) == Fraction("2.5")
    assert rate(azure, Kinds(1)).flags == (
        "the price list has this model at openai only; its price is used",
    )


def test_c8_a_retired_name_is_billed_as_its_successor_from_the_day_on() -> None:
    retired_ns = int(datetime(2026, 5, 15, 19, tzinfo=UTC).timestamp()) * 10**9
    before = card("xai", "grok-4-fast-reasoning", at_ns=retired_ns - 1)
    after = card("xai", "grok-4-fast-reasoning", at_ns=retired_ns)
    assert (before.model, per_mtok(before)) == ("grok-4-fast-reasoning", Fraction("0.2"))
    assert (after.model, per_mtok(after)) == ("grok-4.3", Fraction("1.25"))
    assert billed_name("x-ai", "grok-4.3", NOW) == ("grok-4.3", None, None)


def test_deployments_have_the_price_of_their_model() -> None:
    config = Config(
        providers={
            "azure-eu": Provider(
                dialect="azure", base_url="https://x.openai.azure.com",
                models={"prod-chat": "gpt-4o"},
            ),
            "bedrock": Provider(
                dialect="bedrock", base_url="https://bedrock-runtime.eu-west-1.amazonaws.com",
                models={"abc123": f"eu.{_SONNET}"},
            ),
        }
    )  # fmt: skip
    book = PriceBook.of_config(config, "t")
    deployed = book.resolve("azure-eu", "prod-chat", NOW, None)
    assert deployed is not None
    assert per_mtok(deployed) == Fraction("2.5")
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
    profile = book.resolve("bedrock", arn, NOW, None)
    assert profile is not None
    assert per_mtok(profile) == Fraction("3.3")


@pytest.mark.parametrize(
    ("name", "dialect", "list_id"),
    [
        ("bedrock", "bedrock", "aws"), ("gemini", "gemini", "google"),
        ("vertex", "gemini", "google"), ("xai", "openai", "x-ai"),
        ("voyage", "openai", "voyageai"), ("groq", "openai", "groq"),
        ("our-azure", "azure", "azure"), ("our-llama", "openai", "our-llama"),
    ],
)  # fmt: skip
def test_a_provider_has_the_list_prices_of_its_name_or_dialect(
    name: str, dialect: str, list_id: str
) -> None:
    provider = Provider(dialect=dialect, base_url="http://h")  # type: ignore[arg-type]
    book = PriceBook.of_config(Config(providers={name: provider}), "t")
    assert book._providers[name].list_id == list_id


def test_the_providers_figure_is_used_by_default_where_it_is_the_invoice() -> None:
    names = ("openrouter", "perplexity", "xai", "openai")
    providers = {name: Provider(dialect="openai", base_url="http://h") for name in names}
    providers["openai"] = Provider(dialect="openai", base_url="http://h", reported_cost="use")
    book = PriceBook.of_config(Config(providers=providers), "t")
    assert book.uses_reported == {"openrouter", "perplexity", "openai"}


def test_openrouter_names_without_what_only_chooses_a_host() -> None:
    assert list(spellings("openrouter", "openai/gpt-4o:nitro")) == [
        "openai/gpt-4o:nitro", "openai/gpt-4o",
    ]  # fmt: skip
    assert list(spellings("openrouter", "openai/gpt-4o:free")) == ["openai/gpt-4o:free"]


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://europe-west4-aiplatform.googleapis.com", "europe-west4"),
        ("https://aiplatform.eu.rep.googleapis.com", "eu"),
        ("https://aiplatform.googleapis.com", None),
        ("https://eu.api.openai.com", "eu"),
        ("https://api.openai.com", None),
        ("https://us-api.together.ai", "us"),
        ("http://127.0.0.1:9000/bedrock", None),
    ],
)
def test_an_address_names_its_region(url: str, region: str | None) -> None:
    assert region_of(url) == region

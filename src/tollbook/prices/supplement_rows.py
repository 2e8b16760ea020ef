"""The prices of the supplement, by provider. Data, each with where it was read.

Checked on 2026-11-21 against stored copies of the pages named and against LiteLLM's price table
(https://github.com/BerriAI/litellm, model_prices_and_context_window.json). What no source was
found for says so as a caution, which stands beside each price made with it (docs/prices.md).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.money import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator


class Row(NamedTuple):
    """One price."""

    list_id: str
    models: re.Pattern[str]
    kind: str
    usd: str
    per: int
    source: str
    words: frozenset[str] = frozenset()
    """Words of the tier that must all be there; ``<=1024`` is any size that fits a square."""
    caution: str | None = None
    """What to know about each price made with it."""
    goes_first: bool = False
    """Goes before the list, as a row with words does: the list prices another case."""

    @property
    def rate(self) -> Rate:
        """The exact price."""
        return Rate.usd_per(self.usd, self.per)


NOT_CONFIRMED: Final = "price not confirmed: no page of the provider was found that names it"
_OPENAI: Final = "https://developers.openai.com/api/docs/pricing"
_AZURE: Final = "https://azure.microsoft.com/en-us/pricing/details/azure-openai/"
_GOOGLE: Final = "https://ai.google.dev/gemini-api/docs/pricing"
_VERTEX: Final = "https://cloud.google.com/vertex-ai/generative-ai/pricing"
_COHERE: Final = "https://cohere.com/pricing"
_VOYAGE: Final = "https://docs.voyageai.com/docs/pricing"
_JINA: Final = "https://api.jina.ai/v1/models"
_AWS: Final = "https://aws.amazon.com/bedrock/pricing/"
_XAI: Final = "https://docs.x.ai/developers/pricing"
_XAI_LIVE: Final = "https://docs.x.ai/docs/guides/live-search"
_OPENROUTER: Final = "https://openrouter.ai/docs/guides/features/plugins/web-search"
_PERPLEXITY: Final = "https://docs.perplexity.ai/docs/getting-started/pricing"
_ANTHROPIC: Final = "https://platform.claude.com/docs/en/about-claude/pricing"
_K: Final = 1000
_MTOK: Final = 1_000_000
_PREVIEW: Final = "web_search_preview"


def rows() -> Iterator[Row]:
    """Yield all rows; of rows with as many words the first that fits is taken."""
    yield from _openai_tools()
    yield from _openai_images()
    yield from _google()
    yield from _rerank_and_embeddings()
    yield from _bedrock()
    yield from _xai()
    # OpenRouter passes the search of the model's maker on at cost; recorded: 0.01 dollars each.
    yield _row("openrouter", "(openai|anthropic)/.*", "web_search_requests", "10", _K, _OPENROUTER)
    yield from _perplexity()
    yield _row(
        "anthropic", ".*", "code_sessions", "0.05", 12, _ANTHROPIC,
        caution="a code session is priced as five minutes, the least that is billed; longer ones"
        " cost more, and the first 1550 hours of a month nothing",
    )  # fmt: skip


def _openai_tools() -> Iterator[Row]:
    for provider in ("openai", "azure"):
        yield _row(provider, ".*", "file_search_requests", "2.5", _K, _OPENAI)
    yield _row(
        "openai", ".*", "code_sessions", "0.03", 1, _OPENAI,
        caution="a code session is priced as twenty minutes of a container of 1 GB; since 2026"
        " shorter ones may cost less, and 4, 16 and 64 GB cost 4, 16 and 64 times as much",
    )  # fmt: skip
    yield _row(
        "azure", ".*", "code_sessions", "0.033", 1, _AZURE,
        caution="the price of a code session at Azure differs by region and is not confirmed",
    )  # fmt: skip
    for provider, doubt in (("openai", None), ("azure", NOT_CONFIRMED)):
        yield _row(provider, "gpt-4o(-mini)?-search-preview.*", "web_search_requests", "25", _K,
                   _OPENAI, caution=doubt)  # fmt: skip
        # By the version of the tool: the older one costs more with models that do not reason.
        yield _row(provider, "gpt-(3|4).*|chatgpt-4o.*", "web_search_requests", "25", _K, _OPENAI,
                   _PREVIEW, caution=doubt)  # fmt: skip
        yield _row(provider, ".*", "web_search_requests", "10", _K, _OPENAI, _PREVIEW,
                   caution=doubt)  # fmt: skip
        # What a search finds is tokens of the usage, the flat 8000 of gpt-4.1-mini too (recorded:
        # 8174 tokens of input and one search cost 0.0132696 dollars).
        yield _row(provider, ".*", "web_search_requests", "10", _K, _OPENAI, caution=doubt)


def _openai_images() -> Iterator[Row]:
    for words, usd, at_azure in (
        ("", "0.04", "0.044"), ("1024x1024", "0.04", "0.044"), ("1024x1792", "0.08", "0.088"),
        ("1792x1024", "0.08", "0.088"), ("hd", "0.08", "0.088"), ("hd+1024x1024", "0.08", "0.088"),
        ("hd+1024x1792", "0.12", "0.132"), ("hd+1792x1024", "0.12", "0.132"),
    ):  # fmt: skip
        yield _row("openai", "dall-e-3", "images", usd, 1, _OPENAI, words)
        yield _row(
            "azure", "dall-e-3", "images", at_azure, 1, _AZURE, words,
            caution="Azure's price of an image differs by region: the dearer one is used",
        )  # fmt: skip
    for words, usd in (
        ("", "0.02"), ("1024x1024", "0.02"), ("512x512", "0.018"), ("256x256", "0.016")
    ):  # fmt: skip
        yield _row("openai", "dall-e-2", "images", usd, 1, _OPENAI, words)
        yield _row("azure", "dall-e-2", "images", usd, 1, _OPENAI, words, caution=NOT_CONFIRMED)


def _google() -> Iterator[Row]:
    yield _row("google", "imagen-3\\.0-generate.*", "images", "0.04", 1, _VERTEX,
               caution="an image of this model costs 0.04 dollars at Vertex AI and cost 0.03 at the"
               " Gemini API; the former is used")  # fmt: skip
    for models, usd in (
        ("imagen-3\\.0-fast.*", "0.02"), ("imagen-4\\.0-generate.*", "0.04"),
        ("imagen-4\\.0-fast.*", "0.02"), ("imagen-4\\.0-ultra.*", "0.06"),
    ):  # fmt: skip
        yield _row("google", models, "images", usd, 1, _GOOGLE)


def _rerank_and_embeddings() -> Iterator[Row]:
    for models, usd in (
        ("rerank-(v3\\.5|(english|multilingual)-v3\\.0)", "2"),
        ("rerank-v4\\.0-fast", "2"), ("rerank-v4\\.0-pro", "2.5"),
    ):  # fmt: skip
        yield _row("cohere", models, "search_units", usd, _K, _COHERE)
        yield _row("azure", f"cohere-{models}", "search_units", usd, _K,
                   "https://techcommunity.microsoft.com/blog/azure-ai-foundry-blog/"
                   "introducing-cohere-rerank-4-0-in-microsoft-foundry/4477076")  # fmt: skip
    for models, usd in (
        ("embed-(english|multilingual)(-light)?-v3\\.0", "0.1"),
        ("embed-v5\\.0-pro", "0.12"), ("embed-v5\\.0-fast", "0.08"),
    ):  # fmt: skip
        yield _row("cohere", models, "uncached_input_tokens", usd, _MTOK, _COHERE)
    yield _row("cohere", "embed-(english|multilingual)(-light)?-v3\\.0", "images", "0.1", _K,
               _COHERE)  # fmt: skip
    yield _row("cohere", "embed-v4\\.0", "input_image_tokens", "0.47", _MTOK, _COHERE)
    for models, usd in (
        ("rerank-(1|2|2\\.5|3)", "0.05"), ("rerank-((2|2\\.5|3)-lite|lite-1)", "0.02"),
    ):  # fmt: skip
        yield _row("voyageai", models, "uncached_input_tokens", usd, _MTOK, _VOYAGE)
    yield _row(
        "voyageai", "voyage-multimodal-3(\\.5)?", "uncached_input_tokens", "0.12", _MTOK, _VOYAGE,
        caution="images are billed by the pixel, which is not counted",
    )  # fmt: skip
    yield _row(
        "jina", "jina-(embeddings|clip|reranker|colbert|code-embeddings)-.*",
        "uncached_input_tokens", "0.05", _MTOK, _JINA,
        caution="Jina sells tokens ahead in packages: 0.05 dollars a million is that of the small"
        " one, confirmed for jina-reranker-v2-base-multilingual",
    )  # fmt: skip


def _bedrock() -> Iterator[Row]:
    yield _row("aws", ".*amazon\\.rerank-v1.*", "search_units", "1", _K, _AWS)
    yield _row("aws", ".*cohere\\.rerank-v3-5.*", "search_units", "2", _K, _AWS)
    for models, usd in (
        ("cohere\\.embed-(english|multilingual)-v3", "0.1"), ("cohere\\.embed-v4", "0.12"),
    ):  # fmt: skip
        yield _row("aws", f".*{models}.*", "uncached_input_tokens", usd, _MTOK, _AWS)
    images = (
        ("nova-canvas", (
            ("", "0.04"), ("<=1024", "0.04"), ("<=2048", "0.06"), ("premium", "0.06"),
            ("premium+<=1024", "0.06"), ("premium+<=2048", "0.08"),
        )),
        ("titan-image-generator-v2", (
            ("", "0.01"), ("<=512", "0.008"), ("<=2048", "0.01"), ("premium", "0.012"),
            ("premium+<=512", "0.01"), ("premium+<=2048", "0.012"),
        )),
    )  # fmt: skip
    for model, by_words in images:
        for words, usd in by_words:
            yield _row(
                "aws", f".*amazon\\.{model}.*", "images", usd, 1, _AWS, words,
                caution="price of an image at Bedrock by size and quality not confirmed",
            )  # fmt: skip


def _xai() -> Iterator[Row]:
    yield _row("x-ai", ".*", "web_search_requests", "25", _K, _XAI_LIVE, "live-search")
    yield _row("x-ai", ".*", "web_search_requests", "5", _K, _XAI)
    yield _row("x-ai", ".*", "code_sessions", "5", _K, _XAI)
    yield _row("x-ai", ".*", "file_search_requests", "2.5", _K, _XAI)
    for models, usd in (
        ("grok-imagine-image(-2026.*)?", "0.02"), ("grok-imagine-image-quality.*", "0.05"),
        ("grok-imagine-image-2\\.0", "0.06"),
    ):  # fmt: skip
        yield _row("x-ai", models, "images", usd, 1, _XAI)


def _perplexity() -> Iterator[Row]:
    for models, by_context in (
        ("sonar|sonar-reasoning", ("5", "8", "12")),
        ("sonar-pro|sonar-reasoning-pro", ("6", "10", "14")),
    ):
        for context, usd in zip(("low", "medium", "high"), by_context, strict=True):
            yield _row("perplexity", models, "requests", usd, _K, _PERPLEXITY, f"search-{context}")
        yield _row(
            "perplexity", models, "requests", by_context[0], _K, _PERPLEXITY, goes_first=True,
            caution="the answer does not say how much was searched: the fee of the least is used",
        )  # fmt: skip
        # Only deep research bills what it quotes.
        yield _row("perplexity", models, "citation_tokens", "0", _MTOK, _PERPLEXITY)


def _row(
    list_id: str, models: str, kind: str, usd: str, per: int, source: str, words: str = "",
    caution: str | None = None, *, goes_first: bool = False,
) -> Row:  # fmt: skip
    chosen = frozenset(words.split("+")) if words else frozenset()
    return Row(list_id, re.compile(models), kind, usd, per, source, chosen, caution, goes_first)

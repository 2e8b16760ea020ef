"""Prices that the list does not have: pieces, media, tools. Each row with where it was read.

Used where the list has no rate for the kind; a row that asks for words of the tier (size, quality,
search context) goes before the list, which does not know these words. US dollars, as published on
the pages named, read in November 2026.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.money import Rate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

REVISION: Final = "2026-11-21"


class Row(NamedTuple):
    """One price."""

    list_id: str
    models: re.Pattern[str]
    kind: str
    usd: str
    per: int
    source: str
    words: frozenset[str] = frozenset()
    """Words of the tier that must all be there."""
    caution: str | None = None
    """What to know about each price made with it."""

    @property
    def rate(self) -> Rate:
        """The exact price."""
        return Rate.usd_per(self.usd, self.per)


_OPENAI: Final = "https://platform.openai.com/docs/pricing"
_GOOGLE: Final = "https://ai.google.dev/gemini-api/docs/pricing"
_COHERE: Final = "https://cohere.com/pricing"
_VOYAGE: Final = "https://docs.voyageai.com/docs/pricing"
_AWS: Final = "https://aws.amazon.com/bedrock/pricing/"
_XAI: Final = "https://docs.x.ai/docs/models"
_PERPLEXITY: Final = "https://docs.perplexity.ai/getting-started/pricing"
_ANTHROPIC: Final = (
    "https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool"
)
_K: Final = 1000
_MTOK: Final = 1_000_000


def _rows() -> Iterator[Row]:
    yield from _openai()
    for models, usd in (
        ("imagen-3\\.0-generate.*", "0.03"), ("imagen-3\\.0-fast.*", "0.02"),
        ("imagen-4\\.0-generate.*", "0.04"), ("imagen-4\\.0-fast.*", "0.02"),
        ("imagen-4\\.0-ultra.*", "0.06"),
    ):  # fmt: skip
        yield _row("google", models, "images", usd, 1, _GOOGLE)
    yield _row("cohere", "rerank-(v3\\.5|(english|multilingual)-v3\\.0)", "search_units", "2", _K,
               _COHERE)  # fmt: skip
    yield _row("cohere", "embed-(english|multilingual)(-light)?-v3\\.0", "uncached_input_tokens",
               "0.1", _MTOK, _COHERE)  # fmt: skip
    yield _row("cohere", "embed-v4\\.0", "input_image_tokens", "0.47", _MTOK, _COHERE)
    for models, usd in (("rerank-2(\\.5)?", "0.05"), ("rerank-2(\\.5)?-lite", "0.02")):
        yield _row("voyageai", models, "uncached_input_tokens", usd, _MTOK, _VOYAGE)
    yield _row("aws", ".*amazon\\.rerank-v1.*", "search_units", "1", _K, _AWS)
    yield _row("aws", ".*cohere\\.rerank-v3-5.*", "search_units", "2", _K, _AWS)
    yield _row("aws", ".*cohere\\.embed-(english|multilingual)-v3.*", "uncached_input_tokens",
               "0.1", _MTOK, _AWS)  # fmt: skip
    for models, by_words in (
        (".*amazon\\.nova-canvas.*", {
            "": "0.04", "1024x1024": "0.04", "premium": "0.06", "premium+1024x1024": "0.06",
        }),
        (".*amazon\\.titan-image-generator-v2.*", {
            "": "0.01", "1024x1024": "0.01", "512x512": "0.008", "premium": "0.012",
            "premium+1024x1024": "0.012", "premium+512x512": "0.01",
        }),
    ):  # fmt: skip
        for words, usd in by_words.items():
            yield _row("aws", models, "images", usd, 1, _AWS, words)
    yield _row("x-ai", ".*", "web_search_requests", "5", _K, _XAI)
    yield _row("x-ai", ".*", "code_sessions", "5", _K, _XAI)
    yield _row("x-ai", ".*", "file_search_requests", "2.5", _K, _XAI)
    for models, by_context in (
        ("sonar|sonar-reasoning", ("5", "8", "12")),
        ("sonar-pro|sonar-reasoning-pro", ("6", "10", "14")),
    ):
        for context, usd in zip(("low", "medium", "high"), by_context, strict=True):
            yield _row("perplexity", models, "requests", usd, _K, _PERPLEXITY, f"search-{context}")
    yield _row(
        "anthropic", ".*", "code_sessions", "0.05", 12, _ANTHROPIC,
        caution="a code session is priced as five minutes, the least that is billed; longer ones"
        " cost more, and the first 1550 hours of a month nothing",
    )  # fmt: skip


def _openai() -> Iterator[Row]:
    for provider in ("openai", "azure"):
        yield _row(provider, ".*", "file_search_requests", "2.5", _K, _OPENAI)
        yield _row(provider, ".*", "code_sessions", "0.03", 1, _OPENAI)
        yield _row(provider, "gpt-4o(-mini)?-search-preview.*", "web_search_requests", "25", _K,
                   _OPENAI)  # fmt: skip
        yield _row(provider, "(gpt-5|o3|o4).*", "web_search_requests", "10", _K, _OPENAI)
        yield _row(provider, "gpt-4(o|\\.1).*", "web_search_requests", "25", _K, _OPENAI,
                   "web_search_preview")  # fmt: skip
        for words, usd in (
            ("", "0.04"), ("1024x1024", "0.04"), ("1024x1792", "0.08"), ("1792x1024", "0.08"),
            ("hd", "0.08"), ("hd+1024x1024", "0.08"), ("hd+1024x1792", "0.12"),
            ("hd+1792x1024", "0.12"),
        ):  # fmt: skip
            yield _row(provider, "dall-e-3", "images", usd, 1, _OPENAI, words)
        for words, usd in (
            ("", "0.02"), ("1024x1024", "0.02"), ("512x512", "0.018"), ("256x256", "0.016")
        ):  # fmt: skip
            yield _row(provider, "dall-e-2", "images", usd, 1, _OPENAI, words)


def _row(
    list_id: str, models: str, kind: str, usd: str, per: int, source: str, words: str = "",
    caution: str | None = None,
) -> Row:  # fmt: skip
    chosen = frozenset(words.split("+")) if words else frozenset()
    return Row(list_id, re.compile(models), kind, usd, per, source, chosen, caution=caution)


ROWS: Final = tuple(_rows())


def rows_for(
    rows: Sequence[Row], list_id: str, model: str, words: Collection[str]
) -> dict[str, Row]:
    """Return by kind the row that fits a model and the words of its tier most closely."""
    found: dict[str, Row] = {}
    name = model.lower()
    for row in rows:
        if (
            row.list_id == list_id
            and row.words <= set(words)
            and row.models.fullmatch(name)
            and (row.kind not in found or len(row.words) > len(found[row.kind].words))
        ):
            found[row.kind] = row
    return found

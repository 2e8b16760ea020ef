"""What providers document about batches and hours, where the list does not have it. Data."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Final

from tollbook.usage import TOKEN_KINDS

BATCH_DISCOUNT: Final = (
    "batch price by the provider's rule, half of the standard price: the list has none for the"
    " model"
)
_HALF: Final = Fraction(1, 2)
_ALL_KINDS: Final = frozenset(TOKEN_KINDS)
_FRESH_KINDS: Final = frozenset(kind for kind in TOKEN_KINDS if not kind.startswith("cache_read"))
_BATCH: Final = {
    # https://developers.openai.com/api/docs/guides/batch
    "openai": re.compile(r"(gpt-|o\d|text-embedding-|chatgpt-image|moderation).*"),
    # https://azure.microsoft.com/en-us/pricing/details/azure-openai/ (Global Standard)
    "azure": re.compile(r"(gpt-|o\d|text-embedding-).*"),
    # https://platform.claude.com/docs/en/build-with-claude/batch-processing
    "anthropic": re.compile(r"claude-.*"),
    # https://ai.google.dev/gemini-api/docs/pricing (Batch API)
    "google": re.compile(r"gemini-.*"),
    # https://aws.amazon.com/bedrock/pricing/ (Batch: select models of these makers)
    "aws": re.compile(r"(.+\.)?(anthropic\.claude|amazon\.nova|meta\.llama|mistral\.).*"),
    # https://console.groq.com/docs/batch
    "groq": re.compile(r".*"),
    # https://docs.mistral.ai/capabilities/batch/
    "mistral": re.compile(r".*"),
    # https://docs.fireworks.ai/guides/batch-inference
    "fireworks": re.compile(r".*"),
}
"""Whose batches cost half. Together says "up to" half, xAI's discount differs by model (the list
has it), and the others have none that is documented."""

_WEEKENDS_FROM: Final = date(2026, 8, 23)
_HOLIDAYS_FROM: Final = date(2026, 9, 19)
_HOLIDAYS: Final = frozenset(
    first + timedelta(days=day)
    for first, days in ((date(2026, 9, 25), 3), (date(2026, 10, 1), 7))
    for day in range(days)
)
"""Of China, as its State Council announced them for 2026 (notice 7 of 2025)."""
_SATURDAY: Final = 5


def batch_discount(list_id: str, model: str) -> Fraction | None:
    """Return what a provider's documentation says a batch costs of the standard price."""
    models = _BATCH.get(list_id)
    return _HALF if models is not None and models.fullmatch(model.lower()) else None


def discounted_kinds(list_id: str) -> frozenset[str]:
    """Return the kinds that the discount on batches is for: tokens, at Google none from a cache.

    "The discounts for cache and batch don't stack" (Vertex AI, Batch inference,
    https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-gemini).
    """
    return _FRESH_KINDS if list_id == "google" else _ALL_KINDS


def is_off_peak_day(list_id: str, at_ns: int) -> bool:
    """Whether a provider has no peak hours on a day, which the list's hours do not tell.

    DeepSeek: peak hours are on weekdays that are no public holidays in China. Both its windows lie
    on the same day in UTC and in Beijing (https://api-docs.deepseek.com/quick_start/pricing).
    """
    if list_id != "deepseek":
        return False
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at_ns // 10**9)).date()
    if day >= _WEEKENDS_FROM and day.weekday() >= _SATURDAY:
        return True
    return day >= _HOLIDAYS_FROM and day in _HOLIDAYS

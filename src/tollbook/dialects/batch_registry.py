"""Readers of batches by dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.batch_anthropic import AnthropicBatches
from tollbook.dialects.batch_gemini import GeminiBatches
from tollbook.dialects.batch_openai import OpenAIBatches

if TYPE_CHECKING:
    from tollbook.dialects.batch_base import BatchReader

_OPENAI: Final = OpenAIBatches()
_READERS: Final[dict[str, BatchReader]] = {
    "openai": _OPENAI,
    "azure": _OPENAI,
    "anthropic": AnthropicBatches(),
    "gemini": GeminiBatches(),
}


def batches_of(dialect: str) -> BatchReader | None:
    """Return the reader of a dialect's batches, None for one without."""
    return _READERS.get(dialect)

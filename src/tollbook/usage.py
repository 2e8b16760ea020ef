"""Disjoint token kinds: each counted and billed exactly once.

Providers report overlapping counts (OpenAI's input includes cached tokens, Anthropic's does not);
a dialect turns them into these kinds, a price card prices each kind, the ledger stores each kind.
Sums follow OpenTelemetry GenAI: ``input_tokens`` includes cache reads and writes, ``output_tokens``
includes reasoning.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable

INPUT_KINDS: Final = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cache_read_audio_tokens",
    "input_image_tokens",
    "cache_read_image_tokens",
    "input_video_tokens",
)
OUTPUT_KINDS: Final = (
    "visible_output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
    "citation_tokens",
)
TOKEN_KINDS: Final = INPUT_KINDS + OUTPUT_KINDS
FEE_KINDS: Final = (
    "web_search_requests",
    "file_search_requests",
    "code_sessions",
    "search_units",
    "images",
    "audio_ms",
    "characters",
    "requests",
)
"""Billed by the piece, not by the token: tool calls, containers of a code interpreter, rerank
searches, generated images, milliseconds of audio, characters of speech, calls."""
KINDS: Final = TOKEN_KINDS + FEE_KINDS
PRICED_PER: Final = {
    **dict.fromkeys(TOKEN_KINDS, (1_000_000, "MTok")),
    **dict.fromkeys(FEE_KINDS, (1000, "1000")),
    "images": (1, "image"),
    "audio_ms": (60_000, "minute"),
    "characters": (1_000_000, "million characters"),
}
"""How many of a kind people name a price for, and the words for so many."""


class Kinds(NamedTuple):
    """Quantities of one call by kind; all zero or more, no token in two of them."""

    uncached_input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    cache_read_audio_tokens: int = 0
    input_image_tokens: int = 0
    cache_read_image_tokens: int = 0
    input_video_tokens: int = 0
    visible_output_tokens: int = 0
    reasoning_tokens: int = 0
    output_audio_tokens: int = 0
    output_image_tokens: int = 0
    citation_tokens: int = 0
    web_search_requests: int = 0
    file_search_requests: int = 0
    code_sessions: int = 0
    search_units: int = 0
    images: int = 0
    audio_ms: int = 0
    characters: int = 0
    requests: int = 1

    @property
    def input_tokens(self) -> int:
        """All input, cached or not, of any modality."""
        return sum(self[: len(INPUT_KINDS)])

    @property
    def output_tokens(self) -> int:
        """All output, reasoning included."""
        return sum(self[len(INPUT_KINDS) : len(TOKEN_KINDS)])


assert Kinds._fields == KINDS

kinds_from: Final = cast("Callable[[tuple[int, ...]], Kinds]", partial(tuple.__new__, Kinds))
"""All quantities in order to :class:`Kinds`, in half the time of calling it."""

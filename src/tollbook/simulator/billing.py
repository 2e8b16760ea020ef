"""What the simulated providers bill for: kinds, quantities, models with their prices.

The kinds are the provider's billing view: no token is in two of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tollbook.money import Rate

BILL_KINDS: Final = (
    "uncached_input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "visible_output",
    "reasoning",
    "input_audio",
    "cache_read_audio",
    "input_image",
    "cache_read_image",
    "input_video",
    "output_audio",
    "output_image",
    "citation",
    "web_search",
    "file_search",
    "code_session",
    "search_unit",
    "image",
    "audio_ms",
    "character",
)
_MTOK: Final = 1_000_000
_PER: Final = {
    "web_search": 1000,
    "file_search": 1000,
    "code_session": 1,
    "search_unit": 1000,
    "image": 1,
    "audio_ms": 60_000,
}
"""How many of a kind its price is for; a million of all others."""
INPUT_KINDS: Final = (
    "uncached_input", "cache_read", "cache_write_5m", "cache_write_1h", "input_audio",
    "cache_read_audio", "input_image", "cache_read_image", "input_video",
)  # fmt: skip
OUTPUT_KINDS: Final = (
    "visible_output", "reasoning", "output_audio", "output_image", "citation",
)  # fmt: skip


class Quantities(NamedTuple):
    """What one call is billed for; disjoint, fields are BILL_KINDS."""

    uncached_input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    visible_output: int = 0
    reasoning: int = 0
    input_audio: int = 0
    cache_read_audio: int = 0
    input_image: int = 0
    cache_read_image: int = 0
    input_video: int = 0
    output_audio: int = 0
    output_image: int = 0
    citation: int = 0
    web_search: int = 0
    file_search: int = 0
    code_session: int = 0
    search_unit: int = 0
    image: int = 0
    audio_ms: int = 0
    character: int = 0

    @property
    def input(self) -> int:
        """All input tokens."""
        return sum(getattr(self, kind) for kind in INPUT_KINDS)

    @property
    def output(self) -> int:
        """All output tokens."""
        return sum(getattr(self, kind) for kind in OUTPUT_KINDS)


assert Quantities._fields == BILL_KINDS


class Model(NamedTuple):
    """One model on offer, with its prices in US dollars.

    Tokens and characters are priced by the million, searches by the thousand, audio by the
    minute, images and sessions each.
    """

    provider: str
    name: str
    snapshot: str  # the name the provider answers with and prints on the invoice
    apis: tuple[str, ...]
    usd_per_mtok: dict[str, str]  # by bill kind; a kind that is absent cannot occur
    can_reason: bool = False
    max_input: int = 128_000
    dimensions: int = 0  # of an embedding

    def rate(self, kind: str) -> Rate:
        """Return the exact price of a kind; KeyError where the model cannot produce it."""
        return Rate.usd_per(self.usd_per_mtok[kind], _PER.get(kind, _MTOK))


def chat_prices(price_in: str, cached: str, price_out: str) -> dict[str, str]:
    """Return the prices of a chat model."""
    return {
        "uncached_input": price_in,
        "cache_read": cached,
        "visible_output": price_out,
        "reasoning": price_out,
    }


def claude_prices(base: str, read: str, write_5m: str, write_1h: str, out: str) -> dict[str, str]:
    """Return the prices of a model with paid cache writes."""
    return chat_prices(base, read, out) | {"cache_write_5m": write_5m, "cache_write_1h": write_1h}

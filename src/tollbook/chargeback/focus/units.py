"""The kinds of usage as FOCUS names them: meters, units, and the token properties of 1.5's drafts.

Units have the form that the specification asks for (``UnitFormat``): ``Tokens``, ``1000000
Tokens``. Token properties are those that FOCUS 1.5 drafts for SkuPriceDetails (``TokenDirection``,
``TokenCacheAction``, ``ModelId``), under ``x_`` until they are ratified.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from tollbook.usage import INPUT_KINDS, KINDS, OUTPUT_KINDS, TOKEN_KINDS

_MILLION: Final = 1_000_000
DOLLARS: Final = "US Dollars"
"""Unit of what has no price by the piece: its quantity is the amount, its unit price is 1."""


class Meter(NamedTuple):
    """How a kind is measured and priced."""

    name: str
    consumed_unit: str
    pricing_unit: str
    per: int
    """How many of the kind a pricing unit has."""
    consumed_per: int = 1
    """How many of the kind a consumed unit has."""
    details: tuple[tuple[str, str], ...] = ()
    """What SkuPriceDetails says of it."""

    def consumed(self, quantity: int) -> Decimal:
        """Return a quantity of the kind in consumed units, exactly."""
        return Decimal(quantity) / self.consumed_per

    def priced(self, quantity: int) -> Decimal:
        """Return a quantity of the kind in pricing units, exactly."""
        return Decimal(quantity) / self.per


_CACHE: Final = {
    "cache_read_tokens": ("Read", None),
    "cache_read_audio_tokens": ("Read", None),
    "cache_read_image_tokens": ("Read", None),
    "cache_write_5m_tokens": ("Write", "5m"),
    "cache_write_1h_tokens": ("Write", "1h"),
}
_MODALITY: Final = {
    "input_audio_tokens": "Audio", "cache_read_audio_tokens": "Audio",
    "input_image_tokens": "Image", "cache_read_image_tokens": "Image",
    "input_video_tokens": "Video", "output_audio_tokens": "Audio",
    "output_image_tokens": "Image",
}  # fmt: skip
_TOKEN_METERS: Final = {
    "uncached_input_tokens": "Input Tokens",
    "cache_read_tokens": "Cache Read Input Tokens",
    "cache_write_5m_tokens": "Cache Write Input Tokens",
    "cache_write_1h_tokens": "Cache Write 1 Hour Input Tokens",
    "input_audio_tokens": "Audio Input Tokens",
    "cache_read_audio_tokens": "Cache Read Audio Input Tokens",
    "input_image_tokens": "Image Input Tokens",
    "cache_read_image_tokens": "Cache Read Image Input Tokens",
    "input_video_tokens": "Video Input Tokens",
    "visible_output_tokens": "Output Tokens",
    "reasoning_tokens": "Reasoning Output Tokens",
    "output_audio_tokens": "Audio Output Tokens",
    "output_image_tokens": "Image Output Tokens",
    "citation_tokens": "Citation Tokens",
}


def _token_details(kind: str) -> tuple[tuple[str, str], ...]:
    found = [("x_TokenDirection", "Input" if kind in INPUT_KINDS else "Output")]
    if kind in INPUT_KINDS:  # the draft has no cache action on rows of output
        action, lifetime = _CACHE.get(kind, ("Uncached", None))
        found.append(("x_TokenCacheAction", action))
        if lifetime is not None:
            found.append(("x_TokenCacheLifetime", lifetime))
    if kind in _MODALITY:
        found.append(("x_TokenModality", _MODALITY[kind]))
    if kind == "reasoning_tokens":
        found.append(("x_TokenPurpose", "Reasoning"))
    return tuple(found)


METERS: Final[dict[str, Meter]] = {
    **{
        kind: Meter(
            _TOKEN_METERS[kind], "Tokens", "1000000 Tokens", _MILLION,
            details=_token_details(kind),
        )
        for kind in TOKEN_KINDS
    },
    "web_search_requests": Meter("Web Searches", "Requests", "1000 Requests", 1000),
    "file_search_requests": Meter("File Searches", "Requests", "1000 Requests", 1000),
    "code_sessions": Meter("Code Sessions", "Sessions", "Sessions", 1),
    "search_units": Meter("Search Units", "Units", "1000 Units", 1000),
    "images": Meter("Images", "Images", "Images", 1),
    "audio_ms": Meter("Audio Duration", "Seconds", "Seconds", 1000, 1000),
    "characters": Meter("Characters", "Characters", "1000000 Characters", _MILLION),
    "requests": Meter("Requests", "Requests", "1000 Requests", 1000),
}  # fmt: skip
"""How each of :data:`tollbook.usage.KINDS` is told; durations are in seconds, which decimal text
holds exactly where minutes do not."""

assert tuple(METERS) == KINDS
assert set(OUTPUT_KINDS) | set(INPUT_KINDS) == set(TOKEN_KINDS)

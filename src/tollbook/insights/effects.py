"""Why spend changed: price-volume-mix analysis on integers, with an effect of caching of its own.

The standard decomposition (Kotler and Keller, "Marketing Management", sales-variance analysis; the
price, volume and mix variances of cost accounting) changes one thing after the other. The order
here is volume, mix, cache, price. Each cell (tenant, feature, model) has five levels, whole pico:

0. what it cost before: ``C0``
1. its quantities grown as all quantities grew: ``C0 Q1 / Q0``, for tokens and for each fee apart
2. its own quantities of now at its prices of before, the input still cached as before
3. the input cached as it is now
4. what it costs now: ``C1``

The effects are the steps from level to level, so they add up to ``C1 - C0`` whatever rounding does.
What has no quantity (adjustments, minimums) is an effect of its own, and so are pairs of tenant and
feature that are in one of the ranges only.
"""

from __future__ import annotations

from typing import Final, NamedTuple

CACHED_KINDS: Final = (
    "uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
)  # fmt: skip
"""Input text by how it was cached: the proportions among these are the cache's doing."""
TOKENS: Final = "tokens"
"""The family of all kinds of tokens; each fee is a family of its own."""


class Effects(NamedTuple):
    """Pico of change by cause."""

    volume: int = 0
    mix: int = 0
    cache: int = 0
    price: int = 0
    new: int = 0
    gone: int = 0
    other: int = 0

    def plus(self, more: Effects) -> Effects:
        """Return the sums."""
        return Effects(*map(sum, zip(self, more, strict=True)))

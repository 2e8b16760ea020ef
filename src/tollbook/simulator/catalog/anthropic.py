"""Anthropic models with their list prices, standard tier, as of November 2026."""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model, claude_prices

MODELS: Final = (
    Model(
        "anthropic",
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        ("messages",),
        claude_prices("1.00", "0.10", "1.25", "2.00", "5.00"),
        True,
        200_000,
    ),
    Model(
        "anthropic",
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
        ("messages",),
        claude_prices("3.00", "0.30", "3.75", "6.00", "15.00"),
        True,
        200_000,
    ),
    Model(
        "anthropic",
        "claude-sonnet-4-6",
        "claude-sonnet-4-6",
        ("messages",),
        claude_prices("3.00", "0.30", "3.75", "6.00", "15.00"),
        True,
        200_000,
    ),
    Model(
        "anthropic",
        "claude-sonnet-5",
        "claude-sonnet-5",
        ("messages",),
        claude_prices("2.00", "0.20", "2.50", "4.00", "10.00"),
        True,
        200_000,
    ),
    Model(
        "anthropic",
        "claude-opus-4-5",
        "claude-opus-4-5-20251101",
        ("messages",),
        claude_prices("5.00", "0.50", "6.25", "10.00", "25.00"),
        True,
        200_000,
    ),
)

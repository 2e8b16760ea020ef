"""Cohere models with their list prices, as of November 2026."""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model

MODELS: Final = (
    Model(
        "cohere",
        "command-a-03-2025",
        "command-a-03-2025",
        ("chat",),
        {"uncached_input": "2.50", "visible_output": "10.00", "reasoning": "10.00"},
        True,
    ),
    Model(
        "cohere",
        "command-r-08-2024",
        "command-r-08-2024",
        ("chat",),
        {"uncached_input": "0.15", "visible_output": "0.60"},
    ),
    Model(
        "cohere",
        "embed-v4.0",
        "embed-v4.0",
        ("embed",),
        {"uncached_input": "0.12"},
        dimensions=1536,
    ),
    Model("cohere", "rerank-v3.5", "rerank-v3.5", ("rerank",), {"search_unit": "2.00"}),
)

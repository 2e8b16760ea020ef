"""OpenAI models with their list prices, standard tier, as of November 2026."""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model, chat_prices

_CHAT: Final = ("chat", "responses")
MODELS: Final = (
    Model("openai", "gpt-4o", "gpt-4o-2024-08-06", _CHAT, chat_prices("2.50", "1.25", "10.00")),
    Model(
        "openai",
        "gpt-4o-mini",
        "gpt-4o-mini-2024-07-18",
        _CHAT,
        chat_prices("0.15", "0.075", "0.60"),
    ),
    Model("openai", "gpt-4.1", "gpt-4.1-2025-04-14", _CHAT, chat_prices("2.00", "0.50", "8.00")),
    Model(
        "openai",
        "gpt-4.1-mini",
        "gpt-4.1-mini-2025-04-14",
        _CHAT,
        chat_prices("0.40", "0.10", "1.60"),
    ),
    Model(
        "openai", "gpt-5", "gpt-5-2025-08-07", _CHAT, chat_prices("1.25", "0.125", "10.00"), True
    ),
    Model(
        "openai",
        "gpt-5-mini",
        "gpt-5-mini-2025-08-07",
        _CHAT,
        chat_prices("0.25", "0.025", "2.00"),
        True,
    ),
    Model(
        "openai", "o4-mini", "o4-mini-2025-04-16", _CHAT, chat_prices("1.10", "0.275", "4.40"), True
    ),
    Model(
        "openai",
        "gpt-3.5-turbo-instruct",
        "gpt-3.5-turbo-instruct",
        ("completions",),
        {"uncached_input": "1.50", "visible_output": "2.00"},
        max_input=4096,
    ),
    Model(
        "openai",
        "text-embedding-3-small",
        "text-embedding-3-small",
        ("embeddings",),
        {"uncached_input": "0.02"},
        max_input=300_000,
        dimensions=1536,
    ),
    Model(
        "openai",
        "text-embedding-3-large",
        "text-embedding-3-large",
        ("embeddings",),
        {"uncached_input": "0.13"},
        max_input=300_000,
        dimensions=3072,
    ),
)

"""Models of providers that speak like OpenAI, list prices as of November 2026."""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model, chat_prices

_CHAT: Final = ("chat", "responses")
_EMBED: Final = ("embeddings",)
MODELS: Final = (
    # Deployments are named by their owner; the answer names the model behind one.
    Model(
        "azure", "prod-4o-mini", "gpt-4o-mini-2024-07-18", _CHAT,
        chat_prices("0.15", "0.075", "0.60"),
    ),
    Model(
        "azure", "prod-embed", "text-embedding-3-small", _EMBED, {"uncached_input": "0.02"},
        dimensions=1536,
    ),
    Model(
        "mistral", "mistral-small-latest", "mistral-small-latest", _CHAT,
        chat_prices("0.15", "0.015", "0.60"),
    ),
    Model(
        "mistral", "mistral-embed", "mistral-embed", _EMBED, {"uncached_input": "0.10"},
        dimensions=1024,
    ),
    Model(
        "groq", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile", _CHAT,
        chat_prices("0.59", "0.59", "0.79"),
    ),
    Model(
        "deepseek", "deepseek-chat", "deepseek-chat", _CHAT, chat_prices("0.135", "0.035", "0.55")
    ),
    Model("xai", "grok-4.3", "grok-4.3", _CHAT, chat_prices("1.25", "0.20", "2.50"), True),
    Model(
        "openrouter", "openai/gpt-4o-mini", "openai/gpt-4o-mini", _CHAT,
        chat_prices("0.15", "0.075", "0.60"),
    ),
    Model("perplexity", "sonar", "sonar", _CHAT, chat_prices("1.00", "1.00", "1.00")),
    Model(
        "voyage", "voyage-3.5", "voyage-3.5", _EMBED, {"uncached_input": "0.06"}, dimensions=1024
    ),
    Model("voyage", "rerank-2.5", "rerank-2.5", ("rerank",), {"uncached_input": "0.05"}),
)  # fmt: skip

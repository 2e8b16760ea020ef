"""Providers known by name: a key in its usual variable is all they need.

``base_url`` is without what their clients add: the OpenAI client is given ``/NAME/v1`` (Groq's
own client adds ``/openai/v1``).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class KnownProvider(NamedTuple):
    """What differs between them."""

    name: str
    base_url: str
    api_key_env: str | None
    """The variable that the provider's own client reads; None for a server of one's own."""
    list_prices: str | None
    """Its id in genai-prices, None where that has none."""
    inject_stream_usage: bool = True
    """False where streams always report usage, or ``stream_options`` is refused."""
    dialect: Literal["openai", "gemini", "cohere", "ollama"] = "openai"
    """Which API it speaks; most speak that of OpenAI."""


KNOWN_PROVIDERS: Final = (
    KnownProvider("mistral", "https://api.mistral.ai", "MISTRAL_API_KEY", "mistral", False),
    KnownProvider("groq", "https://api.groq.com", "GROQ_API_KEY", "groq"),
    KnownProvider("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", "deepseek"),
    KnownProvider("xai", "https://api.x.ai", "XAI_API_KEY", "x-ai", False),
    KnownProvider(
        "openrouter", "https://openrouter.ai/api", "OPENROUTER_API_KEY", "openrouter", False
    ),
    KnownProvider("together", "https://api.together.ai", "TOGETHER_API_KEY", "together"),
    KnownProvider(
        "fireworks", "https://api.fireworks.ai/inference", "FIREWORKS_API_KEY", "fireworks"
    ),
    KnownProvider(
        "perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", "perplexity", False
    ),
    KnownProvider("cerebras", "https://api.cerebras.ai", "CEREBRAS_API_KEY", "cerebras"),
    KnownProvider("huggingface", "https://router.huggingface.co", "HF_TOKEN", None),
    KnownProvider("voyage", "https://api.voyageai.com", "VOYAGE_API_KEY", "voyageai"),
    KnownProvider("jina", "https://api.jina.ai", "JINA_API_KEY", None),
    KnownProvider(
        "gemini",
        "https://generativelanguage.googleapis.com",
        "GEMINI_API_KEY",
        "google",
        dialect="gemini",
    ),
    KnownProvider("vertex", "https://aiplatform.googleapis.com", None, "google", dialect="gemini"),
    KnownProvider("cohere", "https://api.cohere.com", "CO_API_KEY", "cohere", dialect="cohere"),
    KnownProvider("ollama", "http://127.0.0.1:11434", None, None, dialect="ollama"),
    KnownProvider("vllm", "http://127.0.0.1:8000", None, None),
)
KNOWN_NAMES: Final = frozenset(one.name for one in KNOWN_PROVIDERS)

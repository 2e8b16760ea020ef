"""Google models with their list prices, standard tier, as of November 2026."""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model, chat_prices, claude_prices

_GENERATE: Final = ("generate",)


def _gemini(
    base: str, read: str, out: str, audio: str | None, audio_read: str, search: str
) -> dict[str, str]:
    """Return the prices of a model that reads text, images and sound; images cost as text."""
    prices = chat_prices(base, read, out) | {
        "input_image": base,
        "cache_read_image": read,
        "input_video": base,
        "web_search": search,
    }
    if audio is not None:
        prices |= {"input_audio": audio, "cache_read_audio": audio_read}
    return prices


MODELS: Final = (
    Model(
        "google",
        "gemini-2.5-flash",
        "gemini-2.5-flash",
        _GENERATE,
        _gemini("0.30", "0.03", "2.50", "1.00", "0.10", "35"),
        True,
        1_048_576,
    ),
    Model(
        "google",
        "gemini-2.5-flash-lite",
        "gemini-2.5-flash-lite",
        _GENERATE,
        _gemini("0.10", "0.01", "0.40", "0.30", "0.03", "35"),
        True,
        1_048_576,
    ),
    Model(
        "google",
        "gemini-3-flash-preview",
        "gemini-3-flash-preview",
        _GENERATE,
        _gemini("0.50", "0.05", "3.00", "1.00", "0.10", "14"),
        True,
        1_048_576,
    ),
    Model(
        "google",
        "gemini-2.5-pro",
        "gemini-2.5-pro",
        _GENERATE,
        _gemini("1.25", "0.125", "10.00", None, "", "35"),
        True,
        200_000,
    ),
    Model(
        "google",
        "gemini-embedding-001",
        "gemini-embedding-001",
        ("embed",),
        {"uncached_input": "0.15"},
        max_input=100_000,
        dimensions=3072,
    ),
    Model(
        "google",
        "gemini-embedding-2",
        "gemini-embedding-2",
        ("embed",),
        {"uncached_input": "0.20", "input_image": "0.45"},
        max_input=100_000,
        dimensions=3072,
    ),
    Model(
        "google",
        "claude-opus-4-6@default",
        "claude-opus-4-6",
        ("messages",),
        claude_prices("5.00", "0.50", "6.25", "10.00", "25.00"),
        True,
        200_000,
    ),
)

"""Models of a server of one's own: nobody bills for them."""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import Model

MODELS: Final = (
    Model(
        "ollama",
        "llama3.2",
        "llama3.2",
        ("chat",),
        {"uncached_input": "0", "visible_output": "0"},
    ),
    Model(
        "ollama",
        "nomic-embed-text",
        "nomic-embed-text",
        ("embed",),
        {"uncached_input": "0"},
        dimensions=768,
    ),
)

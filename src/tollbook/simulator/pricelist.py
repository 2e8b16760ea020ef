"""The simulated providers' own price list, written by hand from their public price pages.

US dollars as decimal text, standard service tier, as of November 2026. Prices apply up to the
model's ``max_input`` tokens; longer requests are refused, so no long-context tier is ever reached.
"""

from __future__ import annotations

from typing import Final

from tollbook.simulator.billing import BILL_KINDS, Model, Quantities
from tollbook.simulator.catalog import (
    anthropic,
    bedrock,
    cohere,
    compatible,
    google,
    ollama,
    openai,
    openai_media,
    openai_realtime,
)

__all__ = ["BILL_KINDS", "MODELS", "Model", "Quantities", "find_model", "price"]

_MODELS: Final = (
    *openai_realtime.MODELS,
    *openai.MODELS,
    *openai_media.MODELS,
    *compatible.MODELS,
    *anthropic.MODELS,
    *bedrock.MODELS,
    *google.MODELS,
    *cohere.MODELS,
    *ollama.MODELS,
)

MODELS: Final = {model.name: model for model in _MODELS}
"""Models by the name callers use."""

_BY_ANY_NAME: Final = {(m.provider, m.snapshot): m for m in _MODELS} | {
    (m.provider, m.name): m for m in _MODELS
}


def find_model(provider: str, name: str) -> Model | None:
    """Return the model a name (alias or snapshot) stands for at a provider, or None."""
    return _BY_ANY_NAME.get((provider, name))


def price(model: Model, quantities: Quantities) -> dict[str, int]:
    """Return what each non-zero kind costs, in pico (10^-12 USD).

    Raises:
        KeyError: a quantity of a kind that this model cannot produce.
    """
    return {
        kind: model.rate(kind).cost_pico(quantity)
        for kind, quantity in zip(BILL_KINDS, quantities, strict=True)
        if quantity
    }

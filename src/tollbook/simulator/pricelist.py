"""The simulated providers' own price list, written by hand from their public price pages.

Dollars per million tokens as decimal text, standard service tier, as of November 2026. The kinds
are the provider's billing view: no token is in two of them. Prices apply up to the model's
``max_input`` tokens; longer requests are refused, so no long-context tier is ever reached.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tollbook.money import Rate

BILL_KINDS: Final = (
    "uncached_input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "visible_output",
    "reasoning",
)
_MTOK = 1_000_000


class Quantities(NamedTuple):
    """Tokens of one call as the provider bills them; disjoint, fields are BILL_KINDS."""

    uncached_input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    visible_output: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All input tokens."""
        return self.uncached_input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def output(self) -> int:
        """All output tokens."""
        return self.visible_output + self.reasoning


assert Quantities._fields == BILL_KINDS


class Model(NamedTuple):
    """One model on offer. Prices are in US dollars per million tokens."""

    provider: str
    name: str
    snapshot: str  # the name the provider answers with and prints on the invoice
    apis: tuple[str, ...]
    usd_per_mtok: dict[str, str]  # by bill kind; a kind that is absent cannot occur
    can_reason: bool = False
    max_input: int = 128_000
    dimensions: int = 0  # of an embedding

    def rate(self, kind: str) -> Rate:
        """Return the exact price of a kind; KeyError where the model cannot produce it."""
        return Rate.usd_per(self.usd_per_mtok[kind], _MTOK)


def _chat(price_in: str, cached: str, price_out: str) -> dict[str, str]:
    return {
        "uncached_input": price_in,
        "cache_read": cached,
        "visible_output": price_out,
        "reasoning": price_out,
    }


def _claude(base: str, read: str, write_5m: str, write_1h: str, out: str) -> dict[str, str]:
    return _chat(base, read, out) | {"cache_write_5m": write_5m, "cache_write_1h": write_1h}


_CHAT = ("chat", "responses")
_MODELS = (
    Model("openai", "gpt-4o", "gpt-4o-2024-08-06", _CHAT, _chat("2.50", "1.25", "10.00")),
    Model("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", _CHAT, _chat("0.15", "0.075", "0.60")),
    Model("openai", "gpt-4.1", "gpt-4.1-2025-04-14", _CHAT, _chat("2.00", "0.50", "8.00")),
    Model(
        "openai", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", _CHAT, _chat("0.40", "0.10", "1.60")
    ),
    Model("openai", "gpt-5", "gpt-5-2025-08-07", _CHAT, _chat("1.25", "0.125", "10.00"), True),
    Model(
        "openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", _CHAT, _chat("0.25", "0.025", "2.00"), True
    ),
    Model("openai", "o4-mini", "o4-mini-2025-04-16", _CHAT, _chat("1.10", "0.275", "4.40"), True),
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
    Model(
        "anthropic",
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        ("messages",),
        _claude("1.00", "0.10", "1.25", "2.00", "5.00"),
        True,
        200_000,
    ),
    Model(
        "anthropic",
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
        ("messages",),
        _claude("3.00", "0.30", "3.75", "6.00", "15.00"),
        True,
        200_000,
    ),
    Model(
        "anthropic",
        "claude-sonnet-4-6",
        "claude-sonnet-4-6",
        ("messages",),
        _claude("3.00", "0.30", "3.75", "6.00", "15.00"),
        True,
        200_000,
    ),
    Model(
        "anthropic",
        "claude-sonnet-5",
        "claude-sonnet-5",
        ("messages",),
        _claude("2.00", "0.20", "2.50", "4.00", "10.00"),
        True,
        200_000,
    ),
    Model(
        "anthropic",
        "claude-opus-4-5",
        "claude-opus-4-5-20251101",
        ("messages",),
        _claude("5.00", "0.50", "6.25", "10.00", "25.00"),
        True,
        200_000,
    ),
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

"""The price cards of the quarter as the finance team types them in, and what it learns later."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from examples.quarter.plants import WRONG_CARD_FACTOR, WRONG_CARD_MODEL
from examples.quarter.world import CHEAPER, MINI, MODELS, PRICE_CHANGE

if TYPE_CHECKING:
    from examples.quarter.world import Rates

_FIELDS = ("input", "cache_read", "cache_write_5m", "output")
_PICO_TO_USD_PER_MILLION = Decimal(10) ** -6


def known_at_first() -> str:
    """Return the cards of the contracts, as TOML."""
    return "".join(
        _card(model.provider, model.name, model.tier, model.rates, "2026-01-01", None)
        for model in MODELS
    )


def learnt_in_august() -> str:
    """Return the new price of gpt-4o-mini, which the ledger hears of after it began to hold."""
    start = PRICE_CHANGE.strftime("%Y-%m-%d")
    return _card("openai", MINI, "", CHEAPER, start, None)


def found_after_the_close() -> str:
    """Return the July of a model as the contract has it, found when July was closed."""
    (model,) = (model for model in MODELS if model.name == WRONG_CARD_MODEL)
    rates = type(model.rates)(*(_exact(rate) for rate in model.rates))
    return _card(model.provider, model.name, "", rates, "2026-07-01", "2026-08-01")


def _exact(rate: int) -> int:
    share = rate * WRONG_CARD_FACTOR
    assert share.denominator == 1, "the rates are multiples of 20"
    return share.numerator


def _card(provider: str, model: str, tier: str, rates: Rates, since: str, until: str | None) -> str:
    lines = [
        "[[prices]]", f'provider = "{provider}"', f'model = "{model}"',
        f'effective_from = "{since}"',
    ]  # fmt: skip
    if until:
        lines.append(f'effective_until = "{until}"')
    if tier:
        lines.append(f'service_tier = "{tier}"')
    for field, rate in zip(_FIELDS, rates, strict=True):
        if rate or field != "cache_write_5m":
            lines.append(f'{field} = "{rate * _PICO_TO_USD_PER_MILLION:f}"')
    return "\n".join(lines) + "\n\n"

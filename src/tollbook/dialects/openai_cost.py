"""What a provider itself says that a call cost, exactly, from its usage object.

- OpenRouter: ``cost`` is what it charges. With the caller's own key (``is_byok``) that is its fee
  only, and ``cost_details.upstream_inference_cost`` is what the key's owner pays beside it; without
  one that same amount is within ``cost`` already (openrouter.ai/docs, Usage accounting).
- xAI: ``cost_in_usd_ticks``, 10^10 to the dollar.
- Perplexity: ``cost.total_cost``.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from tollbook.money import PICO_PER_USD

_PICO_PER_TICK: Final = PICO_PER_USD // 10**10
_MAX_USD: Final = 10**6
"""No single call ever cost so much; it also bounds the digits of a number."""
_MIN_EXPONENT: Final = -40
COST_MARK: Final = b'"cost'
"""In every object that has a cost."""


class ReportedCost(NamedTuple):
    """The provider's figure in pico, None where there is none, and what was wrong with it."""

    pico: int | None = None
    problems: tuple[str, ...] = ()


class _Details(Struct, gc=False):
    upstream_inference_cost: Decimal | None = None


class _PerplexityCost(Struct, gc=False):
    total_cost: Decimal | None = None
    currency: str | None = None


class _Costs(Struct, gc=False):
    cost: Raw = Raw()
    cost_details: _Details | None = None
    is_byok: bool | None = None
    cost_in_usd_ticks: int | None = None


NO_COST: Final = ReportedCost()
_decode = msgspec.json.Decoder(_Costs).decode
_decode_decimal = msgspec.json.Decoder(Decimal).decode
_decode_perplexity = msgspec.json.Decoder(_PerplexityCost).decode


def reported_cost(objects: tuple[bytes, ...]) -> ReportedCost:
    """Return the cost in the last of some usage objects that has one. Never raises."""
    for raw in reversed(objects):
        if COST_MARK not in raw:
            continue
        try:
            usd = _usd(_decode(raw))
        except (msgspec.DecodeError, ArithmeticError, ValueError):
            return ReportedCost(None, ("the provider's cost is no number; it was not used",))
        if usd is None:
            continue
        if not 0 <= usd <= _MAX_USD:
            return ReportedCost(None, (f"the provider's cost ({usd} USD) was not used",))
        return ReportedCost(_pico(usd))
    return NO_COST


def _usd(costs: _Costs) -> Decimal | None:
    if costs.cost_in_usd_ticks:  # hosts that bill otherwise (Azure) leave it at zero
        return Decimal(costs.cost_in_usd_ticks).scaleb(-10)
    raw = bytes(costs.cost)
    if not raw or raw == b"null":
        return None
    if raw.startswith(b"{"):
        read = _decode_perplexity(raw)
        return read.total_cost if read.currency in {None, "USD"} else None
    cost = _decode_decimal(raw)
    upstream = None if costs.cost_details is None else costs.cost_details.upstream_inference_cost
    if upstream and (costs.is_byok or (costs.is_byok is None and cost == 0)):
        cost += upstream
    return cost


def _pico(usd: Decimal) -> int:
    """Round half to even: providers send binary fractions with all their digits."""
    if usd.adjusted() < _MIN_EXPONENT:
        return 0  # a number of a million digits is not worked out
    return round(Fraction(usd) * PICO_PER_USD)

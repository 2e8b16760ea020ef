"""The cost that a span tells, exactly, and whose figure it is."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from tollbook.dialects.otel_names import (
    COSTS,
    LANGFUSE_COST,
    SPEC_COST,
    SPEC_COST_CURRENCY,
    SPEC_COST_SOURCE,
)
from tollbook.dialects.otel_raw import json_object
from tollbook.money import PICO_PER_USD

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_USD: Final = 10**6
"""No single call ever cost so much; it also bounds the digits of a number."""
_MIN_EXPONENT: Final = -40
_MAX_CHARS: Final = 64
_INVOICED_AS_REPORTED: Final = frozenset({"openrouter", "perplexity"})
"""What they report is what they bill; a tool's own arithmetic must not be taken for that."""


def cost_of(attributes: Mapping[str, Any], provider: str, problems: list[str]) -> int | None:
    """Return the cost in pico, None where none is told.

    Args:
        attributes: of the span, floats as Decimal.
        provider: our name of it.
        problems: takes whose figure it is, where that is not the provider.
    """
    if attributes.get(SPEC_COST) is not None:
        if attributes.get(SPEC_COST_CURRENCY, "USD") != "USD":
            problems.append("the cost that the span tells is not in USD; it was not used")
            return None
        pico = _pico(attributes[SPEC_COST], SPEC_COST, problems)
        if attributes.get(SPEC_COST_SOURCE) == "provider":
            return pico
        return _of_tool(pico, SPEC_COST, provider, problems)
    for name in COSTS:
        if attributes.get(name) is not None:
            return _of_tool(_pico(attributes[name], name, problems), name, provider, problems)
    details = json_object(attributes.get(LANGFUSE_COST))
    if details and details.get("total") is not None:
        pico = _pico(details["total"], LANGFUSE_COST, problems)
        return _of_tool(pico, LANGFUSE_COST, provider, problems)
    return None


def _of_tool(pico: int | None, name: str, provider: str, problems: list[str]) -> int | None:
    if pico is None:
        return None
    if provider in _INVOICED_AS_REPORTED:
        problems.append(f"{name} may be a tool's own figure: it does not replace the card's")
        return None
    problems.append(f"the reported cost is {name}, which a tool worked out, not the provider")
    return pico


def _pico(value: object, name: str, problems: list[str]) -> int | None:
    """Round half to even: costs come as binary fractions with all their digits."""
    usd: Decimal | None = None
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        usd = Decimal(value)
    elif isinstance(value, str) and len(value) <= _MAX_CHARS:
        try:
            usd = Decimal(value)
        except InvalidOperation:
            usd = None
    if usd is None or not usd.is_finite() or not 0 <= usd <= _MAX_USD:
        problems.append(f"{name} is no amount of money; it was not used")
        return None
    if usd.adjusted() < _MIN_EXPONENT:
        return 0
    return round(Fraction(usd) * PICO_PER_USD)

"""Numbers as a country writes them: exact texts in, texts for eyes out.

Separators are those of the Unicode CLDR for each locale; ``in`` groups by the Indian system.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from types import MappingProxyType
from typing import Final, NamedTuple


class Locale(NamedTuple):
    """What separates thousands and decimals; what stands before percent signs."""

    thousands: str
    decimal: str
    percent: str = "%"
    groups_of_two: bool = False


_NARROW: Final = "\u202f"
_FIXED: Final = "\u00a0"
LOCALES: Final = MappingProxyType(
    {
        "en": Locale(",", "."),
        "de": Locale(".", ",", f"{_FIXED}%"),
        "fr": Locale(_NARROW, ",", f"{_NARROW}%"),
        "es": Locale(".", ",", f"{_FIXED}%"),
        "it": Locale(".", ","),
        "nl": Locale(".", ","),
        "pl": Locale(_FIXED, ","),
        "pt": Locale(".", ","),
        "sv": Locale(_FIXED, ",", f"{_FIXED}%"),
        "ch": Locale("\u2019", "."),
        "in": Locale(",", ".", groups_of_two=True),
        "plain": Locale("", "."),
    }
)
UNKNOWN: Final = "\u2013"
_CENT: Final = Decimal("0.01")
_CONTEXT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_GROUP: Final = 3


def amount(text: str | None, locale: Locale) -> str:
    """Return an amount with cents; what is below a cent with two figures that say something."""
    if text is None:
        return UNKNOWN
    exact = Decimal(text)
    shown = exact.quantize(_CENT, context=_CONTEXT)
    if exact and not shown:
        shown = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), context=_CONTEXT)
    sign, digits = ("-", f"{-shown:f}") if shown < 0 else ("", f"{shown:f}")
    whole, _, rest = digits.partition(".")
    return f"{sign}{_grouped(whole, locale)}{locale.decimal}{rest}"


def whole(number: int | None, locale: Locale) -> str:
    """Return a count."""
    if number is None:
        return UNKNOWN
    sign = "-" if number < 0 else ""
    return f"{sign}{_grouped(str(abs(number)), locale)}"


def percent(text: str | None, locale: Locale) -> str:
    """Return a share that is given in percent."""
    if text is None:
        return UNKNOWN
    return f"{text.replace('.', locale.decimal)}{locale.percent}"


def _grouped(digits: str, locale: Locale) -> str:
    head, tail = digits[:-_GROUP], digits[-_GROUP:]
    size = 2 if locale.groups_of_two else _GROUP
    parts: list[str] = []
    while head:
        parts.insert(0, head[-size:])
        head = head[:-size]
    return locale.thousands.join([*parts, tail])

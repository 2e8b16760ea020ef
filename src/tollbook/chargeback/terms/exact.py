"""Exact fractions of money: read from text, rounded once, shared without a remainder."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeVar

from tollbook.chargeback.terms.errors import TermError
from tollbook.money import PICO_PER_USD

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGITS_MAX: Final = 30
_DIGITS: Final = 6
K = TypeVar("K")


def number(text: str, name: str, where: str) -> Fraction:
    """Return a decimal number of zero or more.

    Raises:
        TermError: it is none, or has more than 30 digits on a side of the point.
    """
    try:
        found = Decimal(text)
        is_right = found.is_finite() and found >= 0 and abs(found.adjusted()) <= _DIGITS_MAX
    except InvalidOperation:
        is_right = False
    if not is_right:
        raise TermError(name, f"{where}: {text[:64]!r} is not a decimal number of 0 or more")
    return Fraction(Decimal(text))


def pico_of(usd: Fraction) -> Fraction:
    """Return dollars in pico, still exact."""
    return usd * PICO_PER_USD


def settle(shares: Mapping[K, Fraction]) -> dict[K, int]:
    """Round amounts so that they add up to their sum, rounded half to even.

    Each is cut to the integer below it; what is lacking then goes to the largest remainders, ties
    to the first. So every part is less than one away from its share. Zeros are left out.
    """
    whole = round(sum(shares.values(), Fraction(0)))
    floors = {key: share.numerator // share.denominator for key, share in shares.items()}
    missing = whole - sum(floors.values())
    by_remainder = sorted(shares, key=lambda key: floors[key] - shares[key])
    for key in by_remainder[:missing]:
        floors[key] += 1
    return {key: amount for key, amount in floors.items() if amount}


def ratio_percent(part: Fraction, whole: Fraction) -> str | None:
    """Return a share in per cent with two digits; None of nothing."""
    return None if not whole else fixed_text(part * 100 / whole, 2)


def plain(value: Fraction) -> str:
    """Return a quantity as decimal text, without digits where it is whole, else with six."""
    return str(value.numerator) if value.denominator == 1 else fixed_text(value, _DIGITS)


def fixed_text(value: Fraction, digits: int) -> str:
    """Return a number with so many digits after the point, half to even."""
    scaled = round(value * 10**digits)
    whole, part = divmod(abs(scaled), 10**digits)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"

"""From quantities to shares, exactly: fractions in, integer weights out, no float in between."""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Final

from tollbook.money import split_pico

if TYPE_CHECKING:
    from collections.abc import Sequence

RATIO_DIGITS: Final = 12
_RATIO_ONE: Final = 10**RATIO_DIGITS


def integer_weights(shares: Sequence[Fraction]) -> list[int]:
    """Return integers in the same proportion."""
    common = lcm(*(share.denominator for share in shares))
    return [share.numerator * (common // share.denominator) for share in shares]


def normalised(quantities: Sequence[Fraction]) -> list[Fraction] | None:
    """Return shares that add up to exactly 1; None where nobody has a quantity.

    A quantity below zero, such as a net credit, counts as none.
    """
    kept = [max(quantity, Fraction(0)) for quantity in quantities]
    whole = sum(kept)
    return [quantity / whole for quantity in kept] if whole else None


def raised_to(shares: Sequence[Fraction], least: Fraction) -> list[Fraction]:
    """Raise shares to a least one; the others give way in proportion, and the sum stays 1.

    Whoever would fall below by giving way is raised too. Where the least shares do not fit, all are
    equal.
    """
    if not shares or not least:
        return list(shares)
    if least * len(shares) >= 1:
        return [Fraction(1, len(shares))] * len(shares)
    raised: set[int] = set()
    while True:
        others = sum(share for at, share in enumerate(shares) if at not in raised)
        left = 1 - least * len(raised)
        factor = left / others if others else Fraction(0)
        below = {
            at for at, share in enumerate(shares) if at not in raised and share * factor < least
        }
        if not below:
            return [least if at in raised else share * factor for at, share in enumerate(shares)]
        raised |= below


def ratio_texts(weights: Sequence[int]) -> list[str]:
    """Return weights as decimal ratios of 12 digits whose sum is exactly 1 (largest remainder)."""
    return [ratio_text(part) for part in split_pico(_RATIO_ONE, weights)]


def ratio_text(part: int) -> str:
    """Return a number of 10^-12 as decimal text: ``0.250000000000``."""
    whole, rest = divmod(part, _RATIO_ONE)
    return f"{whole}.{rest:0{RATIO_DIGITS}d}"

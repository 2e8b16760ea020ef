"""Exact money: integers of 10^-12 US dollars ("pico"), rates as exact fractions, sums that hold.

No float is accepted or produced, and nothing here depends on the caller's decimal context. A
rounding happens in one place only, :meth:`Rate.cost_pico`, once per price component.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Sequence

PICO_PER_USD = 10**12
_SCALE = 12


class NotMoneyError(TollbookError):
    """A value that is not an exact amount of dollars."""

    def __init__(self, value: object, expected: str) -> None:
        super().__init__(f"{value!r} is not an amount of money; expected {expected}")


def _exact(value: Decimal | str | int) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (Decimal, str, int)):
        raise NotMoneyError(value, 'a decimal number as text, such as "2.50"')
    try:
        return Fraction(Decimal(value) if isinstance(value, str) else value)
    except (ArithmeticError, ValueError) as error:
        raise NotMoneyError(value, 'a decimal number as text, such as "2.50"') from error


def pico_from_usd(value: Decimal | str | int) -> int:
    """Return dollars as pico.

    Raises:
        NotMoneyError: not a finite decimal number, or finer than 10^-12 dollars.
    """
    # Reports turn millions of sums: a Fraction for each would be most of their time.
    if type(value) is Decimal:
        numerator, denominator = _ratio(value)
    else:
        numerator, denominator = _exact(value).as_integer_ratio()
    pico, rest = divmod(numerator * PICO_PER_USD, denominator)
    if rest:
        raise NotMoneyError(value, "at most 12 digits after the point")
    return pico


def usd_text(pico: int) -> str:
    """Return dollars with all twelve digits after the point: ``"0.000123000000"``."""
    sign = "-" if pico < 0 else ""
    whole, part = divmod(abs(pico), PICO_PER_USD)
    return f"{sign}{whole}.{part:0{_SCALE}d}"


def usd_decimal(pico: int) -> Decimal:
    """Return dollars as a Decimal with scale 12, whatever the caller's decimal context."""
    digits = tuple(int(digit) for digit in str(abs(pico)))
    return Decimal((int(pico < 0), digits, -_SCALE))


def _ratio(value: Decimal) -> tuple[int, int]:
    try:
        return value.as_integer_ratio()
    except (OverflowError, ValueError) as error:
        raise NotMoneyError(value, 'a decimal number as text, such as "2.50"') from error


class Rate(NamedTuple):
    """An exact price: ``numerator`` pico for every ``denominator`` units (tokens, requests ...)."""

    numerator: int
    denominator: int

    @classmethod
    def usd_per(cls, price: Decimal | str | int, units: int) -> Rate:
        """Make the rate of ``price`` dollars per ``units`` units (1_000_000 for "per MTok").

        Raises:
            NotMoneyError: the price is not a finite decimal number, or negative.
        """
        fraction = _exact(price) * PICO_PER_USD / units
        if fraction < 0:
            raise NotMoneyError(price, "a price of zero or more")
        return cls(fraction.numerator, fraction.denominator)

    def times(self, factor: Fraction) -> Rate:
        """Return the rate scaled exactly, as for a discount."""
        fraction = Fraction(self.numerator, self.denominator) * factor
        return Rate(fraction.numerator, fraction.denominator)

    def cost_pico(self, quantity: int) -> int:
        """Return the cost of ``quantity`` units, half to even on the last pico."""
        if self.denominator == 1:
            return self.numerator * quantity
        quotient, remainder = divmod(self.numerator * quantity, self.denominator)
        twice = 2 * remainder
        if twice > self.denominator or (twice == self.denominator and quotient % 2):
            quotient += 1
        return quotient

    def usd_per_million(self) -> str:
        """Return the price of a million units as decimal text, exact where decimal allows it."""
        fraction = Fraction(self.numerator * 1_000_000, self.denominator * PICO_PER_USD)
        scaled = fraction * 10**18
        if scaled.denominator != 1:
            return f"{fraction.numerator}/{fraction.denominator}"
        whole, part = divmod(scaled.numerator, 10**18)
        decimals = f"{part:018d}".rstrip("0")
        return f"{whole}.{decimals}" if decimals else str(whole)


def split_pico(total: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights; the parts sum to it (largest remainder, ties to the first).

    Raises:
        ValueError: no weights, a negative weight, or all weights zero.
    """
    whole = sum(weights)
    if not weights or min(weights) < 0 or whole == 0:
        raise ValueError("weights must be non-negative and not all zero")
    sign = -1 if total < 0 else 1
    shares = [divmod(abs(total) * weight, whole) for weight in weights]
    missing = abs(total) - sum(share for share, _ in shares)
    by_remainder = sorted(range(len(weights)), key=lambda at: (-shares[at][1], at))
    lucky = set(by_remainder[:missing])
    return [sign * (share + (at in lucky)) for at, (share, _) in enumerate(shares)]

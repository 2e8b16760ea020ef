"""Shares and averages of exact amounts, rounded once, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.money import split_pico, usd_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_TENTHS = 1000
"""Of a percent, in a whole."""


def rounded(numerator: int, denominator: int) -> int:
    """Return a quotient as a whole number, half to even; the denominator is positive."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    return quotient + (twice > denominator or (twice == denominator and quotient % 2))


def percent(part: int, whole: int) -> str | None:
    """Return a share in percent with one digit after the point; None of nothing."""
    return _tenths(rounded(part * _TENTHS, whole)) if whole > 0 else None


def percents(parts: Sequence[int]) -> list[str | None]:
    """Return the shares of parts in their sum, which add up to 100.0; None of nothing."""
    if min(parts, default=0) < 0 or not any(parts):
        return [None] * len(parts)
    return [_tenths(one) for one in split_pico(_TENTHS, parts)]


def _tenths(value: int) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // 10}.{abs(value) % 10}"


def usd_each(pico: int, number: int) -> str | None:
    """Return what one of so many costs, to 10^-12 dollars, half to even; None of none."""
    return usd_text(rounded(pico, number)) if number > 0 else None

"""Amounts as people are sent them: whole cents whose sum is the sum that stands below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PICO_PER_CENT: Final = 10**10


def round_cents(pico: int) -> int:
    """Return an amount in cents, half to even."""
    cents, rest = divmod(pico, PICO_PER_CENT)
    twice = 2 * rest
    return cents + (twice > PICO_PER_CENT or (twice == PICO_PER_CENT and cents % 2 == 1))


def cents_of(parts: Sequence[int], total_cents: int | None = None) -> list[int]:
    """Round parts to cents so that they add up (largest remainder, ties to the first).

    No part moves by a whole cent, and one that is whole cents stays as it is.

    Args:
        parts: in pico; of either sign.
        total_cents: what they add up to; None is their sum, rounded half to even.
    """
    whole = [divmod(one, PICO_PER_CENT) for one in parts]
    if total_cents is None:
        total_cents = round_cents(sum(parts))
    missing = total_cents - sum(cents for cents, _ in whole)
    assert 0 <= missing <= sum(rest > 0 for _, rest in whole), "not the rounded sum of the parts"
    by_rest = sorted(range(len(parts)), key=lambda at: (-whole[at][1], at))
    lucky = set(by_rest[:missing])
    return [cents + (at in lucky) for at, (cents, _) in enumerate(whole)]


def cents_text(cents: int) -> str:
    """Return cents as dollars with two digits: ``-12.05``."""
    sign = "-" if cents < 0 else ""
    dollars, rest = divmod(abs(cents), 100)
    return f"{sign}{dollars}.{rest:02d}"

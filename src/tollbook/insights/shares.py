"""How unequal amounts are: the Lorenz curve, the Gini coefficient, the share of the largest.

Gini, C. (1912); the form for ranked amounts x_1 <= ... <= x_n is
G = sum((2 i - n - 1) x_i) / (n sum(x_i)). All of it is exact: integers and fractions.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

POINTS_MAX: Final = 101


class Point(NamedTuple):
    """A point of the Lorenz curve: the smaller owners, and what they have together."""

    owners: int
    amount: int


def lorenz(amounts: Sequence[int], points: int = POINTS_MAX) -> list[Point]:
    """Return points of the Lorenz curve, from none of the owners to all of them.

    Args:
        amounts: zero or more each, in any order.
        points: how many at most; with fewer owners each is a point.
    """
    ranked = [0, *accumulate(sorted(amounts))]
    count = len(amounts)
    steps = min(points - 1, count)
    places = dict.fromkeys((at * count) // steps for at in range(steps + 1)) if steps else [0]
    return [Point(at, ranked[at]) for at in places]


def gini(amounts: Sequence[int]) -> Fraction | None:
    """Return the Gini coefficient: 0 is all the same, near 1 is one that has it all.

    None where there is nothing to divide.
    """
    total, count = sum(amounts), len(amounts)
    if total <= 0:
        return None
    ranked = sorted(amounts)
    weighted = sum((2 * at - count - 1) * amount for at, amount in enumerate(ranked, 1))
    return Fraction(weighted, count * total)


def top_count(count: int, percent: int) -> int:
    """Return how many the top so many percent are: rounded up, so at least one."""
    return -(-count * percent // 100)


def top_amount(amounts: Sequence[int], percent: int) -> int:
    """Return what the top so many percent of the owners have together."""
    return sum(sorted(amounts, reverse=True)[: top_count(len(amounts), percent)])


def decimal_text(value: Fraction, digits: int) -> str:
    """Return a fraction of zero or more rounded half to even, as text."""
    scaled = round(value * 10**digits)
    whole, part = divmod(scaled, 10**digits)
    return f"{whole}.{part:0{digits}d}"

"""Weights that explain direct cost best: least squares with no weight below zero, exactly.

Lawson and Hanson's active set method (Solving Least Squares Problems, 1974, chapter 23) on the
normal equations, in rational arithmetic: no tolerance, and it ends. A column that the active ones
already explain (a multiple of one, say) has no slope, so it never comes in.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Matrix = list[list[Fraction]]


def fit(rows: Sequence[Sequence[int]], wanted: Sequence[int]) -> list[Fraction]:
    """Return weights ``x >= 0`` that make the squares of ``rows · x - wanted`` least in sum.

    Args:
        rows: for each tenant, how much of each column it has.
        wanted: for each tenant, its direct cost.
    """
    width = len(rows[0]) if rows else 0
    gram = [
        [Fraction(sum(row[a] * row[b] for row in rows)) for b in range(width)]
        for a in range(width)
    ]  # fmt: skip
    aim = [
        Fraction(sum(row[a] * value for row, value in zip(rows, wanted, strict=True)))
        for a in range(width)
    ]
    weights = [Fraction(0)] * width
    active: list[int] = []
    while True:
        slope = {
            at: aim[at] - sum((gram[at][b] * weights[b] for b in active), Fraction(0))
            for at in range(width) if at not in active
        }  # fmt: skip
        best = max(slope, key=lambda at: (_steepness(slope[at], gram[at][at]), -at), default=None)
        if best is None or slope[best] <= 0:
            return weights
        active.append(best)
        _settle(gram, aim, weights, active)


def _steepness(slope: Fraction, length: Fraction) -> Fraction:
    """Return what decides between columns of different sizes; it has no say in the outcome."""
    return slope * abs(slope) / length if length else Fraction(-1)


def _settle(gram: Matrix, aim: list[Fraction], weights: list[Fraction], active: list[int]) -> None:
    """Bring the weights of the active columns to their optimum; those that reach 0 leave."""
    while active:
        found = _solve(gram, aim, active)
        if all(value > 0 for value in found):
            for at, value in zip(active, found, strict=True):
                weights[at] = value
            return
        step = min(
            weights[at] / (weights[at] - value)
            for at, value in zip(active, found, strict=True) if value <= 0
        )  # fmt: skip
        for at, value in zip(active, found, strict=True):
            weights[at] += step * (value - weights[at])
        for at in [at for at in active if weights[at] <= 0]:
            weights[at] = Fraction(0)
            active.remove(at)


def _solve(gram: Matrix, aim: list[Fraction], chosen: list[int]) -> list[Fraction]:
    """Solve the equations of columns that do not depend on each other, by elimination."""
    rows = [[*(gram[a][b] for b in chosen), aim[a]] for a in chosen]
    size = len(chosen)
    for at in range(size):
        # The Gram matrix of independent columns has no zero here, whatever their order.
        pivot = rows[at][at]
        for below in range(at + 1, size):
            factor = rows[below][at] / pivot
            if factor:
                for column in range(at, size + 1):
                    rows[below][column] -= factor * rows[at][column]
    found = [Fraction(0)] * size
    for at in reversed(range(size)):
        known = sum((rows[at][b] * found[b] for b in range(at + 1, size)), Fraction(0))
        found[at] = (rows[at][size] - known) / rows[at][at]
    return found

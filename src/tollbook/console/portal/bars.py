"""Bars over time as SVG, drawn where the numbers are: whole pixels, a text for each bar."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH: Final = 720
HEIGHT: Final = 160
_ROOMY: Final = 5
"""Pixels for a bar, from which on there is room between two."""


class Bar(NamedTuple):
    """One bar."""

    x: int
    y: int
    width: int
    height: int
    words: str
    """What it is of, and how much."""


def bars(values: Sequence[tuple[str, Any]], shown: Callable[[Any], str]) -> list[Bar]:
    """Return a bar for each name and value; unknown has none.

    Args:
        values: name and number, or decimal text, in the order in which they stand.
        shown: writes a value for people.
    """
    known = [(at, name, value) for at, (name, value) in enumerate(values) if value is not None]
    highest = max((Decimal(value) for _, _, value in known), default=Decimal(0))
    if highest <= 0:
        return []
    step = WIDTH / len(values)
    made = []
    for at, name, value in known:
        # Rounded for the eye; a value that is there is seen.
        height = max(1, int(Decimal(value) * HEIGHT / highest)) if Decimal(value) > 0 else 0
        gap = 2 if step >= _ROOMY else 0
        x, width = int(at * step), max(1, int((at + 1) * step) - int(at * step) - gap)
        made.append(Bar(x, HEIGHT - height, width, height, f"{name}: {shown(value)}"))
    return made

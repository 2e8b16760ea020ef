"""Free quotas: so many units a day or month cost nothing, such as searches for grounding.

Which units were the free ones is nobody's: they are shared in proportion to cost, so that the order
of calls, and of their arrival, changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tollbook.chargeback.terms.cells import Cell, Key, volume_of
from tollbook.chargeback.terms.exact import settle
from tollbook.chargeback.terms.volume import Amounts, Effect, unpriced_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.chargeback.terms.model import FreeQuota


def quota_effect(what: FreeQuota, cells: Sequence[Cell]) -> Effect:
    """Return what a quota takes off for each owner and kind.

    Args:
        what: the quota.
        cells: the scope's; by day where the quota is one of days.
    """
    by_time: dict[Any, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_time[cell.at].append(cell)
    amounts: Amounts = {}
    used = free = 0
    for some in by_time.values():
        volume = volume_of(some, what.kinds)
        own = min(volume, what.units)
        used, free = used + volume, free + max(own, 0)
        if own <= 0:
            continue
        exact: dict[tuple[Key, str | None], Fraction] = {}
        for cell in some:
            for kind in what.kinds:
                cost = cell.cost.get(kind, 0)
                if cell.is_priced and cost:
                    at = (cell.key, kind)
                    exact[at] = exact.get(at, Fraction(0)) - Fraction(cost * own, volume)
        for place, amount in settle(exact).items():
            amounts[place] = amounts.get(place, 0) + amount
    facts: dict[str, str | int | None] = {
        "volume": str(used), "unit": "+".join(what.kinds), "free_units": free,
    }  # fmt: skip
    return Effect(amounts, facts, unpriced_problem(cells))

"""Hours that the ledger has twice: half of them is just what the provider has less on the day."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.reconcile.keys import HOURS_PER_DAY, Key, hour_text
from tollbook.chargeback.reconcile.ledgerside import LedgerCell
from tollbook.chargeback.reconcile.model import Cause

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.findings import Findings
    from tollbook.chargeback.reconcile.world import World

_STRETCHES_MAX: Final = 4
"""Doubled stretches found on one day."""
_TOKENS_MIN: Final = 100
"""Fewer tokens are half of some hour by chance."""

_Hours = dict[Key, list[LedgerCell]]


def claim_doubled(world: World, findings: Findings) -> None:
    """Claim hours, and runs of hours, that are booked twice.

    Every kind of every model of such hours is even, and of half of them or more the leftover of
    the day is half to the token. Those of them whose leftover is another are claimed too: there
    is something else on the same day.
    """
    days = sorted({cell.day for cell in world.inside() if cell.tokens_left < 0})
    if not days:
        return
    hours = world.hours(days[0], days[-1] + 1)
    by_day: dict[int, _Hours] = defaultdict(
        lambda: defaultdict(lambda: [LedgerCell() for _ in range(HOURS_PER_DAY)])
    )
    for (hour, key), one in hours.items():
        by_day[hour // HOURS_PER_DAY][key][hour % HOURS_PER_DAY] = one
    for day in days:
        for _ in range(_STRETCHES_MAX):
            stretch = _best_stretch(world, day, by_day[day])
            if stretch is None:
                break
            _claim(world, findings, day, by_day[day], stretch)


def _best_stretch(world: World, day: int, hours: _Hours) -> tuple[int, int] | None:
    best: tuple[int, int, int] | None = None
    for first in range(HOURS_PER_DAY):
        sums: dict[Key, int] = defaultdict(int)
        for last in range(first + 1, HOURS_PER_DAY + 1):
            for key, mine in hours.items():
                if mine[last - 1].tokens:
                    sums[key] += mine[last - 1].tokens
            matches = _matches(world, day, sums)
            # The most cells; of as many the shorter stretch.
            if matches and (best is None or (matches, first - last) > (best[0], best[1] - best[2])):
                best = (matches, first, last)
    return None if best is None else best[1:]


def _matches(world: World, day: int, sums: dict[Key, int]) -> int:
    """Return of how many cells half the sum is what is left; 0 where it is no doubling."""
    if any(tokens % 2 for tokens in sums.values()):
        return 0
    matched = [
        key for key, tokens in sums.items()
        if (cell := world.cells.get((day, key))) is not None
        and cell.provided is not None and cell.tokens_left == -tokens // 2
    ]  # fmt: skip
    if 2 * len(matched) < len(sums) or sum(sums[key] for key in matched) < 2 * _TOKENS_MIN:
        return 0
    return len(matched)


def _claim(
    world: World, findings: Findings, day: int, hours: _Hours, stretch: tuple[int, int]
) -> None:
    first, last = (day * HOURS_PER_DAY + hour for hour in stretch)
    about = ("hours", hour_text(first), hour_text(last))
    for key, mine in hours.items():
        some = mine[stretch[0] : stretch[1]]
        tokens = sum(one.tokens for one in some)
        if tokens:
            cell = world.cells[day, key]
            cost = sum(one.cost for one in some) // 2
            amount = cell.claim(-tokens // 2, -cost)
            findings.add(Cause.DOUBLED, about, day, key, -tokens // 2, amount)
    findings.tell(
        Cause.DOUBLED, about, (first, last), since=hour_text(first), until=hour_text(last),
        exactly_twice=True,
    )  # fmt: skip

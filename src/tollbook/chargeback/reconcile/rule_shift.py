"""Days that begin elsewhere: the provider counts by another zone, or by when a call ended.

Of a zone there is proof: moved by the same number of hours, the ledger's quantities are the
provider's on most cells, which they are not as they stand. Sizes are then exact by the hour. Of
calls around midnight there is a pair of days whose leftovers cancel.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.reconcile.keys import HOUR_NS, HOURS_PER_DAY, Key, day_text
from tollbook.chargeback.reconcile.model import Cause

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.cells import Cell
    from tollbook.chargeback.reconcile.findings import Findings
    from tollbook.chargeback.reconcile.ledgerside import LedgerCell
    from tollbook.chargeback.reconcile.world import World

SHIFT_MAX_H: Final = 14
_DAYS_MIN: Final = 3
_AGREE_BEFORE_MAX: Final = Fraction(1, 2)
_AGREE_AFTER_MIN: Final = Fraction(3, 5)
_PAIR_REST_MAX: Final = Fraction(1, 50)
"""Of the larger of two days' leftovers that may remain of the pair."""

_Sums = dict[tuple[int, Key], tuple[int, int]]


def claim_zone(world: World, findings: Findings) -> None:
    """Claim what a provider's other zone moves between days."""
    wanted = {
        (cell.day, cell.key): cell.tokens_left + cell.ledger.tokens
        for cell in world.inside()
        if cell.provided is not None and (cell.provided or cell.ledger.tokens)
    }
    if len({day for day, _ in wanted}) < _DAYS_MIN:
        return
    agreeing = sum(world.cells[at].ledger.tokens == tokens for at, tokens in wanted.items())
    if agreeing > _AGREE_BEFORE_MAX * len(wanted):
        return
    hours = world.hours(world.first_day - 1, world.last_day + 1)
    told = _told_shift(world)
    shifts = [told] if told else [h for h in range(-SHIFT_MAX_H, SHIFT_MAX_H + 1) if h]
    best, best_sums, most = 0, _Sums(), agreeing
    for shift in shifts:
        sums = _moved(hours, shift)
        agree = sum(sums.get(at, (0, 0))[0] == tokens for at, tokens in wanted.items())
        if agree > most:
            best, best_sums, most = shift, sums, agree
    if best and most >= _AGREE_AFTER_MIN * len(wanted):
        _claim_moved(world, findings, best, best_sums)


def _told_shift(world: World) -> int | None:
    """Return the hours by which the lines themselves say that days begin; None: not at all."""
    offsets = {line.offset_ns for line in (*world.provider.usage, *world.provider.money)}
    offset = offsets.pop() if len(offsets) == 1 else 0
    return None if not offset or offset % HOUR_NS else offset // HOUR_NS


def _moved(hours: dict[tuple[int, Key], LedgerCell], shift: int) -> _Sums:
    sums: dict[tuple[int, Key], list[int]] = defaultdict(lambda: [0, 0])
    for (hour, key), one in hours.items():
        mine = sums[(hour - shift) // HOURS_PER_DAY, key]
        mine[0] += one.tokens
        mine[1] += one.cost
    return {at: (tokens, cost) for at, (tokens, cost) in sums.items()}


def _claim_moved(world: World, findings: Findings, shift: int, sums: _Sums) -> None:
    about = ("zone",)
    for day, key in sorted({*sums, *world.cells}, key=lambda at: (at[0], str(at[1]))):
        if not world.is_inside(day):
            continue
        cell = world.cell(day, key)
        if cell.provided is None:
            continue
        tokens, cost = sums.get((day, key), (0, 0))
        tokens -= cell.ledger.tokens
        if tokens or cost != cell.ledger.cost:
            amount = cell.claim(tokens, cost - cell.ledger.cost)
            findings.add(Cause.BOUNDARY, about, day, key, tokens, amount)
    findings.tell(
        Cause.BOUNDARY, about, hours=None,
        provider_day_begins=f"{abs(shift)} h {'after' if shift > 0 else 'before'} midnight UTC",
        shift_h=shift,
    )  # fmt: skip


def claim_midnight(world: World, findings: Findings, day: int) -> bool:
    """Claim a day that a neighbour has to the token, if that is all of the day.

    Where little is called, a call around midnight may be a whole day of the ledger's.
    """
    cells = [cell for (at, _), cell in world.cells.items() if at == day and cell.tokens_left]
    for other in (day - 1, day + 1):
        pairs = [(cell, world.cells.get((other, cell.key))) for cell in cells]
        if not all(there and there.tokens_left == -cell.tokens_left for cell, there in pairs):
            continue
        for cell, there in pairs:
            if there is not None:
                _claim_pair(findings, *sorted((cell, there), key=lambda one: one.day))
        return bool(cells)
    return False


def claim_pairs(world: World, findings: Findings) -> None:
    """Claim leftovers of neighbouring days that cancel."""
    for day, key in sorted(world.cells, key=lambda at: (at[0], str(at[1]))):
        cell, after = world.cells[day, key], world.cells.get((day + 1, key))
        if after is None or cell.tokens_left * after.tokens_left >= 0:
            continue
        mine, other = cell.tokens_left, after.tokens_left
        if abs(mine + other) > _PAIR_REST_MAX * max(abs(mine), abs(other)):
            continue
        _claim_pair(findings, cell, after)


def _claim_pair(findings: Findings, cell: Cell, after: Cell) -> None:
    mine = cell.tokens_left
    moved = min(abs(mine), abs(after.tokens_left)) * (1 if mine > 0 else -1)
    about = ("midnight", day_text(after.day))
    findings.add(Cause.BOUNDARY, about, cell.day, cell.key, moved, cell.claim(moved))
    findings.add(Cause.BOUNDARY, about, after.day, cell.key, -moved, after.claim(-moved))
    findings.tell(Cause.BOUNDARY, about, between=[day_text(cell.day), day_text(after.day)])

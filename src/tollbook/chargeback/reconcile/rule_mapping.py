"""Models under another name: what the ledger has of one the provider has of another, day by day."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.reconcile.model import Cause
from tollbook.usage import INPUT_KINDS

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.cells import Cell
    from tollbook.chargeback.reconcile.findings import Findings
    from tollbook.chargeback.reconcile.world import World

_REST_MAX: Final = Fraction(1, 200)
"""Of the quantities that may differ."""
_DAYS_MIN: Final = Fraction(4, 5)
"""Of the days on which they must agree."""

_Sums = dict[tuple[int, bool], int]
"""By day and whether it is input."""


def claim_mapped(world: World, findings: Findings) -> None:
    """Claim pairs of models, each of which only one side has, with the same quantities."""
    cells: dict[str, list[Cell]] = defaultdict(list)
    for cell in world.inside():
        if cell.key.model is not None:
            cells[cell.key.model].append(cell)
    only_ledger = {
        model: _sums(mine, -1) for model, mine in cells.items()
        if not any(cell.provided for cell in mine) and any(cell.tokens_left < 0 for cell in mine)
    }  # fmt: skip
    only_provider = {
        model: _sums(mine, 1) for model, mine in cells.items()
        if not any(cell.ledger.tokens for cell in mine)
        and any(cell.tokens_left > 0 for cell in mine)
    }  # fmt: skip
    for ours, mine in sorted(only_ledger.items()):
        for theirs, other in sorted(only_provider.items()):
            if not _agree(mine, other):
                continue
            del only_provider[theirs]
            about = (ours, theirs)
            for cell in (*cells[ours], *cells[theirs]):
                tokens = cell.tokens_left
                if tokens:
                    amount = cell.claim(tokens)
                    findings.add(Cause.MAPPING, about, cell.day, cell.key, tokens, amount)
            findings.tell(Cause.MAPPING, about, ledger_model=ours, provider_model=theirs)
            break


def _sums(cells: list[Cell], sign: int) -> _Sums:
    sums: _Sums = defaultdict(int)
    for cell in cells:
        if sign * cell.tokens_left > 0:
            sums[cell.day, cell.key.kind in INPUT_KINDS] += sign * cell.tokens_left
    return sums


def _agree(mine: _Sums, other: _Sums) -> bool:
    whole, there = sum(mine.values()), sum(other.values())
    if abs(whole - there) > _REST_MAX * max(whole, there):
        return False
    places = {*mine, *other}
    near = sum(
        abs(mine.get(at, 0) - other.get(at, 0))
        <= _REST_MAX * max(mine.get(at, 0), other.get(at, 0))
        for at in places
    )
    return near >= _DAYS_MIN * len(places)

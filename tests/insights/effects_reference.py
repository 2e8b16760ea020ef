"""The analysis of changes written down cell by cell: what the statement is held against."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.insights.effects import CACHED_KINDS, TOKENS, Effects
from tollbook.reports.exact_ratio import rounded
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping


class Cell(NamedTuple):
    """Where spend is compared."""

    pair: tuple[str | None, str | None]
    """Tenant and feature: new or gone as a whole."""
    model: str | None
    group: tuple[str | None, ...] = ()
    """Whatever else the cell is told apart by."""


class Side(NamedTuple):
    """One cell in one range: quantities and pico by kind, and the pico of it all."""

    quantities: dict[str, int]
    amounts: dict[str, int]
    total: int


EMPTY: Final = Side({}, {}, 0)


def effects(before: Mapping[Cell, Side], now: Mapping[Cell, Side]) -> dict[Cell, Effects]:
    """Return why each cell changed; the effects of a cell add up to its change exactly."""
    had, has = {cell.pair for cell in before}, {cell.pair for cell in now}
    kept = had & has
    cells = dict.fromkeys((*before, *now))
    growth = _growth(before, now, kept)
    paid = _paid_by_model(before)
    found = {}
    for cell in cells:
        one, two = before.get(cell, EMPTY), now.get(cell, EMPTY)
        if cell.pair not in kept:
            new, gone = (two.total, -one.total) if cell.pair in has else (0, -one.total)
            found[cell] = Effects(new=new, gone=gone)
        else:
            found[cell] = _of_cell(one, two, growth, paid.get(cell.model, {}))
    return found


def _family(kind: str) -> str:
    return TOKENS if kind in TOKEN_KINDS else kind


def _priced(side: Side) -> list[str]:
    """Return the kinds that have a quantity to be priced by."""
    return [kind for kind, many in side.quantities.items() if many > 0 and kind in side.amounts]


def _growth(
    before: Mapping[Cell, Side], now: Mapping[Cell, Side], kept: set[tuple[str | None, str | None]]
) -> dict[str, tuple[int, int]]:
    """Return all quantities of before and now by family, of the pairs that are in both."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for at, sides in enumerate((before, now)):
        for cell, side in sides.items():
            if cell.pair in kept:
                for kind in _priced(side):
                    sums[_family(kind)][at] += side.quantities[kind]
    return {family: (one, two) for family, (one, two) in sums.items()}


def _paid_by_model(before: Mapping[Cell, Side]) -> dict[str | None, dict[str, tuple[int, int]]]:
    """Return pico and quantity by model and kind."""
    sums: dict[str | None, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for cell, side in before.items():
        for kind in _priced(side):
            found = sums[cell.model][kind]
            found[0] += side.amounts[kind]
            found[1] += side.quantities[kind]
    return {
        model: {kind: (amount, many) for kind, (amount, many) in kinds.items()}
        for model, kinds in sums.items()
    }


def _of_cell(
    one: Side, two: Side, growth: Mapping[str, tuple[int, int]],
    paid: Mapping[str, tuple[int, int]],
) -> Effects:  # fmt: skip
    before_kinds, now_kinds = _priced(one), _priced(two)
    start = sum(one.amounts[kind] for kind in before_kinds)
    end = sum(two.amounts[kind] for kind in now_kinds)
    grown = sum(_grown(one.amounts[kind], growth.get(_family(kind))) for kind in before_kinds)
    valued = {
        kind: _value(two.quantities[kind], _rate_before(kind, one, two, paid)) for kind in now_kinds
    }
    at_old = sum(valued.values())
    cached_now = sum(valued[kind] for kind in now_kinds if kind in CACHED_KINDS)
    cached_as_before = _as_before(one, two, cached_now)
    mixed = at_old - cached_now + cached_as_before
    return Effects(
        volume=grown - start, mix=mixed - grown, cache=at_old - mixed, price=end - at_old,
        other=(two.total - end) - (one.total - start),
    )  # fmt: skip


def _grown(amount: int, sums: tuple[int, int] | None) -> int:
    if sums is None or sums[0] <= 0:
        return amount
    return rounded(amount * sums[1], sums[0])


def _rate_before(
    kind: str, one: Side, two: Side, paid: Mapping[str, tuple[int, int]]
) -> tuple[int, int]:
    """Return pico and quantity: of the cell before, of its model before, or else as now."""
    if one.quantities.get(kind, 0) > 0 and kind in one.amounts:
        return one.amounts[kind], one.quantities[kind]
    return paid.get(kind) or (two.amounts[kind], two.quantities[kind])


def _value(quantity: int, paid: tuple[int, int]) -> int:
    return rounded(quantity * paid[0], paid[1])


def _as_before(one: Side, two: Side, cached_now: int) -> int:
    """Return the cell's input text of now, cached in the proportions of before."""
    before = [kind for kind in _priced(one) if kind in CACHED_KINDS]
    tokens_before = sum(one.quantities[kind] for kind in before)
    if not tokens_before:
        return cached_now  # there was nothing to be cached: no proportions to compare with
    tokens_now = sum(two.quantities[kind] for kind in _priced(two) if kind in CACHED_KINDS)
    return rounded(tokens_now * sum(one.amounts[kind] for kind in before), tokens_before)

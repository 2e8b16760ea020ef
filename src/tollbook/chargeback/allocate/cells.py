"""The cost of a period in cells: one for each owner, provider and whatever a policy asks about."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.reports import measures
from tollbook.usage import INPUT_KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tollbook.reports.query import Filter

Names = tuple[str, ...]
Key = tuple[str | None, ...]
Owner = tuple[str, ...]
"""The values of a rule's owner fields."""

CALLS: Final = "calls"
COST: Final = "cost"
COST_SO_FAR: Final = "cost_so_far"
TOKENS: Final = "tokens"
QUANTITIES: Final = (CALLS, TOKENS, *measures.TOKEN_SUMS)
"""Metrics that the ledger itself knows, beside cost."""


class Cell(NamedTuple):
    """One group of entries: cost in pico and what was used. Unknown cost counts as none."""

    key: Key
    cost: int
    used: Mapping[str, int]


class Cells(NamedTuple):
    """All cells of a period, and what their keys are made of."""

    names: Names
    cells: Sequence[Cell]


def used_of(row: Mapping[str, int | None]) -> dict[str, int]:
    """Return the quantities of a group from its sums (see ``wide_rows``)."""
    used = {
        name: sum(row.get(kind) or 0 for kind in kinds)
        for name, kinds in measures.TOKEN_SUMS.items()
    }
    tokens = sum(row.get(kind) or 0 for kind in (*INPUT_KINDS, *OUTPUT_KINDS))
    return {CALLS: row.get(CALLS) or 0, TOKENS: tokens} | used


def matches(names: Names, key: Key, where: Iterable[Filter]) -> bool:
    """Whether a cell matches every filter; ``unknown`` is no tenant, as in reports."""
    for item in where:
        value = key[names.index(item.dimension)]
        if (value in item.values) is item.negate:
            return False
    return True


def owner_of(names: Names, key: Key, fields: Sequence[str]) -> Owner | None:
    """Return the owner of a cell; None where one of its fields is not set."""
    values = [key[names.index(name)] for name in fields]
    owner = tuple(value for value in values if value is not None)
    return owner if len(owner) == len(fields) else None


def total(cells: Iterable[Cell], names: Names, fields: Sequence[str], metric: str) -> (
    dict[Owner, Fraction]
):  # fmt: skip
    """Return how much of a ledger metric each owner has."""
    sums: dict[Owner, int] = {}
    for cell in cells:
        owner = owner_of(names, cell.key, fields)
        if owner is not None:
            amount = cell.cost if metric == COST else cell.used.get(metric, 0)
            sums[owner] = sums.get(owner, 0) + amount
    return {owner: Fraction(amount) for owner, amount in sums.items()}

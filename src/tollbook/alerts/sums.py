"""The few sums of a group that rules need, in exact integers, from the one query object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.reports import measures

if TYPE_CHECKING:
    from collections.abc import Iterable

MEASURES: Final = (
    measures.COST, measures.CALLS, measures.ERRORS, measures.OPERATIONS,
    "uncached_input_tokens", "cache_read_tokens", "visible_output_tokens",
    "uncached_input_tokens_cost_usd", "cache_read_tokens_cost_usd",
    "visible_output_tokens_cost_usd",
)  # fmt: skip
"""What is asked for."""


class Sums(NamedTuple):
    """Sums of one group; money in pico, unknown cost counts nothing and is counted beside."""

    cost: int = 0
    calls: int = 0
    errors: int = 0
    retries: int = 0
    unknown: int = 0
    """Calls whose cost is not known."""
    uncached: int = 0
    uncached_cost: int = 0
    read: int = 0
    read_cost: int = 0
    output: int = 0
    output_cost: int = 0

    def plus(self, other: Sums) -> Sums:
        """Return both together."""
        return Sums(*(one + two for one, two in zip(self, other, strict=True)))

    def minus(self, other: Sums) -> Sums:
        """Return what is left without the other."""
        return Sums(*(one - two for one, two in zip(self, other, strict=True)))


def sums_of_row(row: dict[str, Any]) -> Sums:
    """Return the sums of a row of ``wide_rows``."""
    calls = int(row[measures.CALLS] or 0)
    return Sums(
        cost=row[measures.COST] or 0,
        calls=calls,
        errors=int(row[measures.ERRORS] or 0),
        retries=calls - int(row[measures.OPERATIONS] or 0),
        unknown=calls - int(row[measures.KNOWN_CALLS] or 0),
        uncached=int(row["uncached_input_tokens"] or 0),
        uncached_cost=row["uncached_input_tokens_cost_usd"] or 0,
        read=int(row["cache_read_tokens"] or 0),
        read_cost=row["cache_read_tokens_cost_usd"] or 0,
        output=int(row["visible_output_tokens"] or 0),
        output_cost=row["visible_output_tokens_cost_usd"] or 0,
    )


def total(some: Iterable[Sums]) -> Sums:
    """Return all of them together."""
    found = Sums()
    for one in some:
        found = found.plus(one)
    return found

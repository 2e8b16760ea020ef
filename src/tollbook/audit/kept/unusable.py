"""Values that could not be used, counted by what is wrong with them, for the report to say.

Without the values: only names of attributes, how often, and where it was first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.counts import MAX_COUNT
from tollbook.dialects.otel_counts import as_quantity
from tollbook.dialects.otel_names import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from tollbook.audit.read import Where

_PLAIN: Final = frozenset(name for names in COUNTS.values() for name in names)
_KINDS_MAX: Final = 200
_TOLD_MAX: Final = 20


class Unusable:
    """Counts them."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, Where]] = {}
        self._others = 0

    def add(self, problems: Iterable[str], where: Where) -> None:
        """Take problems of a span."""
        for one in problems:
            had = self._seen.get(one)
            if had is not None:
                self._seen[one] = (had[0] + 1, had[1])
            elif len(self._seen) < _KINDS_MAX:
                self._seen[one] = (1, where)
            else:
                self._others += 1

    def take(self) -> list[str]:
        """Return what was seen since the last time, in words, the most frequent first."""
        seen, others = self._seen, self._others
        self._seen, self._others = {}, 0
        ordered = sorted(seen.items(), key=lambda one: -one[1][0])
        others += sum(count for _, (count, _) in ordered[_TOLD_MAX:])
        notes = [
            f"{problem} ({count:,} {'value' if count == 1 else 'values'}{_first(where)})"
            for problem, (count, where) in ordered[:_TOLD_MAX]
        ]
        return [*notes, f"and {others:,} other values that could not be used"] if others else notes


def bad_counts(attributes: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    """Say of which counts a value is none: below zero, not a number, beyond 10^12.

    Args:
        attributes: of a span.
        names: those among them that tell how much was used.
    """
    for name in names:
        value = attributes[name]
        if type(value) is int and 0 <= value <= MAX_COUNT:
            continue  # nearly all
        if name in _PLAIN and as_quantity(value) is None:
            yield f"{name} is not a count; it was not used"


def _first(where: Where) -> str:
    if where.line is not None:
        return f", first at line {where.line}"
    return "" if where.offset is None else f", first at byte {where.offset:,}"

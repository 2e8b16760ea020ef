"""The attributes of a span to the quantities that they tell, as numbers that can be trusted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.dialects.counts import MAX_COUNT
from tollbook.dialects.otel_names import COUNTS

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_DIGITS: Final = 13


class Counts(Struct, kw_only=True):
    """What was told of one call; None is not told."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    cache_read_audio: int | None = None
    output_audio: int | None = None
    input_image: int | None = None
    cache_read_image: int | None = None
    output_image: int | None = None
    search_units: int | None = None
    web_searches: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was told that could be billed."""
        return (
            self.input is None
            and self.output is None
            and self.total is None
            and self.search_units is None
        )


def counts_of(attributes: Mapping[str, Any], problems: list[str]) -> Counts:
    """Return the quantities, of each the first name that has a usable one."""
    counts = Counts()
    for quantity, names in COUNTS.items():
        for name in names:
            value = attributes.get(name)
            if value is None:
                continue
            count = as_quantity(value)
            if count is not None:
                setattr(counts, quantity, count)
                break
            problems.append(f"{name} is not a count; it was not used")
    return counts


def as_quantity(value: object) -> int | None:
    """Return a count that came as an integer, a whole float or digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS):
            return None
        value = int(value)
    if isinstance(value, (float, Decimal)):
        if not -1 < value <= MAX_COUNT:  # NaN is neither
            return None
        whole = int(value)
        if whole != value:
            return None
        value = whole
    if isinstance(value, int) and 0 <= value <= MAX_COUNT:
        return value
    return None

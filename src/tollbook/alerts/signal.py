"""What a rule says when it fires."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from tollbook.alerts.rule import Kind, Rule, Severity
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.params import format_filter
from tollbook.reports.query import Filter

Unit = Literal["usd", "percent", "count"]
Entity = tuple[str | None, ...]


class Signal(Struct, frozen=True, kw_only=True):
    """One series of one rule that is not as it should be."""

    rule: str
    kind: Kind
    severity: Severity
    each: tuple[str, ...]
    entity: Entity
    """Values of the dimensions in ``each``; None is "not set"."""
    since: datetime
    until: datetime
    """The window that was looked at."""
    where: tuple[str, ...]
    """Filters that give exactly its calls."""
    observed: str
    expected: str | None
    unit: Unit
    excess_pico: int
    """Dollars above what was expected, in pico; 0 where it is not about dollars."""
    calls: int
    words: str
    """One sentence with the numbers, without names of tenants."""
    tenant: str | None = None
    """Whose it is, where the rule knows although it is not for each tenant."""
    runs: tuple[str, ...] = ()

    @property
    def named(self) -> dict[str, str]:
        """The entity in words."""
        return {
            dimension: value if value is not None else _unset(dimension)
            for dimension, value in zip(self.each, self.entity, strict=True)
        }


def _unset(dimension: str) -> str:
    return UNKNOWN if dimension == "tenant" else "(not set)"


def entity_filters(rule: Rule, entity: Entity) -> tuple[str, ...]:
    """Return the filters of one series of a rule."""
    own = [Filter(name, (value,)) for name, value in zip(rule.each, entity, strict=False)]
    taken = {one.dimension for one in own}
    others = [one for one in rule.filters if one.dimension not in taken or one.negate]
    return tuple(format_filter(one) for one in (*others, *own))

"""Capacity that is paid by the hour: each hour split into what was used and what stood idle.

An hour costs what accrues in it. Its used part is tokens served by capacity, by weight of kind, and
at most all of it; that part is shared by the hour's owners by their weighted tokens. The rest is
idle and has no owner (OpenCost: total = workload + idle).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from tollbook.chargeback.allocate.shares import integer_weights
from tollbook.chargeback.terms.exact import number, ratio_percent
from tollbook.chargeback.terms.model import Capacity
from tollbook.chargeback.terms.spans import HOUR_NS, capacity_cost, hours, moment_of, ns_of
from tollbook.money import split_pico, usd_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.chargeback.terms.cells import Cell, Key
    from tollbook.chargeback.terms.model import Term
    from tollbook.chargeback.terms.spans import Window

_MINUTE_NS = 60 * 10**9
_NAMES_SHOWN = 5


class CapacityEffect(NamedTuple):
    """What capacity costs whom, by day; and what of calls is paid with it."""

    used: dict[tuple[date, Key], int]
    idle: dict[date, int]
    covered: dict[tuple[date, Key, str | None], int]
    """Negative: what calls were charged by a card."""
    facts: dict[str, str | int | None]
    problems: list[str]


def capacity_effect(name: str, term: Term, cells: Sequence[Cell], window: Window) -> CapacityEffect:
    """Return what capacity costs in a time; used and idle together are exactly that.

    Args:
        name: of the term, for errors.
        term: whose capacity.
        cells: its scope's, by hour.
        window: which time; within the term.
    """
    what = term.what
    assert isinstance(what, Capacity)
    weights = {kind: number(text, name, "weights") for kind, text in what.weights.items()}
    by_hour: dict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_hour[_hour_of(cell.at)].append(cell)
    used: dict[tuple[date, Key], int] = defaultdict(int)
    idle: dict[date, int] = defaultdict(int)
    total_used = total_idle = full_hours = busy_hours = 0
    for hour in hours(window):
        cost = capacity_cost(name, term, hour)
        tokens = _weighted(by_hour.get(hour.start_ns // HOUR_NS * HOUR_NS, ()), weights)
        served = sum(tokens.values(), Fraction(0))
        share = _share(what.tokens_per_minute_per_unit, what.units, hour, served)
        busy_hours += served > 0
        full_hours += share > 1
        own = int(cost * min(share, Fraction(1)))
        day = moment_of(hour.start_ns).date()
        if own:
            for key, part in zip(
                tokens, split_pico(own, integer_weights(list(tokens.values()))), strict=True
            ):
                used[day, key] += part
        idle[day] += cost - own
        total_used, total_idle = total_used + own, total_idle + cost - own
    facts: dict[str, str | int | None] = {
        "capacity_usd": usd_text(total_used + total_idle), "used_usd": usd_text(total_used),
        "idle_usd": usd_text(total_idle), "hours_with_traffic": busy_hours,
        "hours_above_capacity": full_hours,
        "used_percent": ratio_percent(Fraction(total_used), Fraction(total_used + total_idle)),
    }  # fmt: skip
    problems = []
    if full_hours:
        problems.append(f"{full_hours} hours served more than the capacity: counted as full")
    if what.tokens_per_minute_per_unit is None:
        problems.append("the capacity is not known: hours with any traffic count as used")
    unpriced = sorted({cell.key.model or "unknown" for cell in cells if not cell.is_priced})
    if unpriced:
        problems.append(
            f"calls of {', '.join(unpriced[:_NAMES_SHOWN])} stay unpriced; a card with rates of 0 "
            "says that they are paid by the hour"
        )
    covered = _covered(cells, weights) if what.covers_calls else {}
    return CapacityEffect(
        {at: part for at, part in used.items() if part},
        {day: part for day, part in idle.items() if part}, covered, facts, problems,
    )  # fmt: skip


def _hour_of(at: datetime) -> int:
    return ns_of(at.replace(tzinfo=UTC))


def _weighted(cells: Sequence[Cell], weights: dict[str, Fraction]) -> dict[Key, Fraction]:
    """Return the tokens of each owner in one hour; those that net to nothing left out."""
    found: dict[Key, Fraction] = {}
    for cell in cells:
        tokens = sum(
            (weights.get(kind, Fraction(0)) * units for kind, units in cell.units.items()),
            Fraction(0),
        )
        found[cell.key] = found.get(cell.key, Fraction(0)) + tokens
    return {key: tokens for key, tokens in found.items() if tokens > 0}


def _share(per_minute: int | None, units: int, hour: Window, served: Fraction) -> Fraction:
    if per_minute is None:
        return Fraction(served > 0)
    return served / Fraction(per_minute * units * (hour.end_ns - hour.start_ns), _MINUTE_NS)


def _covered(
    cells: Sequence[Cell], weights: dict[str, Fraction]
) -> dict[tuple[date, Key, str | None], int]:
    """Return what takes back the charge of the kinds that the capacity serves."""
    found: dict[tuple[date, Key, str | None], int] = defaultdict(int)
    for cell in cells:
        for kind, cost in cell.cost.items():
            if kind is None or weights.get(kind):
                found[cell.at.date(), cell.key, kind] -= cost
    return {at: amount for at, amount in found.items() if amount}

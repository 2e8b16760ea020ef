"""Spend over time as charts have it: the largest of a dimension, the rest as one, and every step.

Sums come from reports; what is left of a step after the largest is taken away from its total in
whole pico, so that the parts add up to the report's total.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.console.pages.range import Grain, buckets, grain_of, seen
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.measures import is_money
from tollbook.reports.params import format_filter
from tollbook.reports.query import Filter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.console.pages.context import PageContext

TOP: Final = 8
"""Named parts of a stack; more colours cannot be told apart."""
OTHER: Final = "(other)"
NOT_SET: Final = "not set"
WHEN: Final = "when"
WHAT: Final = "what"
VALUE: Final = "value"


class Series(NamedTuple):
    """Values over time by a dimension."""

    grain: Grain
    values: list[dict[str, Any]]
    """``when``, ``what`` and ``value`` for every step and part: dollars as text, or a count."""
    names: list[str]
    """The parts, the largest first, the rest last."""
    steps: list[str]

    def pivot(self) -> list[dict[str, Any]]:
        """Return a row for each step with a column for each part."""
        rows: dict[str, dict[str, Any]] = {step: {WHEN: step} for step in self.steps}
        for one in self.values:
            rows[one[WHEN]][one[WHAT]] = one[VALUE]
        return list(rows.values())


def exact(measure: str, value: Any) -> int | None:
    """Return a measured value as a whole number: dollars in pico."""
    if value is None:
        return None
    return pico_from_usd(value) if is_money(measure) else int(value)


def shown(measure: str, value: int | None) -> str | int | None:
    """Return a whole number as reports show the measure."""
    if value is None:
        return None
    return usd_text(value) if is_money(measure) else value


def over_time(
    context: PageContext, dimension: str | None, *, measure: str = "cost_usd", top: int = TOP,
    where: Iterable[str] = (),
) -> Series:  # fmt: skip
    """Return a measure over a page's range by the largest of a dimension.

    Args:
        context: of the page; its ``per`` sets the steps.
        dimension: that the steps are divided by; None: not at all.
        measure: that is added up.
        top: how many are named.
        where: further filters.

    Raises:
        QueryError: a wrong name.
        QueryTimeoutError: it took too long.
    """
    grain = grain_of(context)
    where = tuple(where)
    steps = buckets(seen(context), grain, context.tz)
    whole = context.spend(by=(grain,), measures=(measure,), where=where)
    totals = {row[grain]: exact(measure, row[measure]) for row in whole.rows if row.get(grain)}
    while steps and steps[0] not in totals and len(steps) > 1 and totals:
        steps = steps[1:]
    steps += [step for step in totals if step not in set(steps)]
    if dimension is None:
        values = [
            {WHEN: step, WHAT: "All", VALUE: shown(measure, totals.get(step, 0))} for step in steps
        ]
        return Series(grain, values, ["All"], steps)
    ranked = context.spend(
        by=(dimension,), measures=(measure,), order=(f"-{measure}",), limit=top, where=where
    )
    largest = [row[dimension] for row in ranked.rows if not row.get("is_other")]
    has_more = any(row.get("is_other") for row in ranked.rows)
    parts = _parts(context, (grain, dimension), measure, (largest, has_more), where)
    names = [_name(one) for one in largest]
    values = []
    for step in steps:
        known = [parts.get((step, one)) for one in largest]
        values += [
            {WHEN: step, WHAT: name, VALUE: shown(measure, value)}
            for name, value in zip(names, known, strict=True)
            if value is not None or step not in totals
        ]
        if has_more and totals.get(step) is not None:
            rest = (totals[step] or 0) - sum(value or 0 for value in known)
            values.append({WHEN: step, WHAT: OTHER, VALUE: shown(measure, rest)})
    return Series(grain, values, [*names, OTHER] if has_more else names, steps)


def _parts(
    context: PageContext, by: tuple[str, str], measure: str, largest: tuple[list[Any], bool],
    where: tuple[str, ...],
) -> dict[tuple[str, Any], int | None]:  # fmt: skip
    names, has_more = largest
    grain, dimension = by
    # Without a rest there is no need to say which ones; and filters of one dimension would widen
    # one that the page has already, which the pick below does not mind.
    only = [format_filter(Filter(dimension, tuple(names)))] if has_more and names else []
    found = context.spend(by=by, measures=(measure,), where=(*where, *only))
    return {
        (row[grain], row[dimension]): exact(measure, row[measure])
        for row in found.rows
        if not row.get("is_other")
    }


def _name(value: str | None) -> str:
    return NOT_SET if value is None else value

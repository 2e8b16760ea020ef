"""Time and money: what has accrued at a moment, so that any cut of a time adds up to the whole.

An amount for a stretch accrues by elapsed time, in whole pico, rounded down at each moment. What
falls into ``[a, b)`` is the difference of two such sums; hence the parts of any partition add up
exactly, whatever hours or days it has, also where daylight saving makes a day 23 or 25 hours.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.periods.period import Period
from tollbook.chargeback.terms.exact import number, pico_of
from tollbook.chargeback.terms.model import Capacity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from tollbook.chargeback.terms.model import Term

HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    """From the first moment to the first that is no longer in it (epoch, UTC)."""

    start_ns: int
    end_ns: int

    def within(self, other: Window) -> Window:
        """Return what both have; it may be empty, with its end not after its start."""
        return Window(max(self.start_ns, other.start_ns), min(self.end_ns, other.end_ns))

    @property
    def is_empty(self) -> bool:
        """Whether no moment is in it."""
        return self.end_ns <= self.start_ns


def ns_of(at: datetime) -> int:
    """Return a moment in nanoseconds since the epoch."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def moment_of(at_ns: int) -> datetime:
    """Return a moment as reports take it; finer than microseconds is cut off."""
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def month_window(period: Period) -> Window:
    """Return a month's first moment, and that of the next."""
    return Window(period.start_ns, period.end_ns)


def months(window: Window, timezone: str) -> Iterator[Window]:
    """Yield the calendar months that a time touches, whole."""
    month = Period.of(moment_of(window.start_ns), timezone)
    while month.start_ns < window.end_ns:
        yield month_window(month)
        month = month.following


def hours(window: Window) -> Iterator[Window]:
    """Yield the UTC hours of a time; the first and last may be cut."""
    at = window.start_ns // HOUR_NS * HOUR_NS
    while at < window.end_ns:
        yield Window(at, at + HOUR_NS).within(window)
        at += HOUR_NS


def accrued(total: Fraction, whole: Window, window: Window) -> int:
    """Return what of an amount for a stretch falls into a part of it, in whole units."""
    part = window.within(whole)
    if part.is_empty:
        return 0
    length = whole.end_ns - whole.start_ns
    first = total * (part.start_ns - whole.start_ns) / length
    last = total * (part.end_ns - whole.start_ns) / length
    return last.numerator // last.denominator - first.numerator // first.denominator


def capacity_cost(name: str, term: Term, window: Window) -> int:
    """Return what capacity costs in a time, in pico; the parts of a time add up to the time.

    The time lies within the term. A price per hour or day accrues from the epoch on, one per month
    within its month, what was paid upfront from the term's start to its end.
    """
    what = term.what
    assert isinstance(what, Capacity)
    price = pico_of(number(what.price_per_unit_usd, name, "price_per_unit_usd")) * what.units
    upfront = pico_of(number(what.upfront_usd, name, "upfront_usd"))
    cost = 0
    if upfront:
        assert term.end is not None, "checked when it was read"
        cost += accrued(upfront, Window(ns_of(term.start), ns_of(term.end)), window)
    if what.per == "month":
        return cost + sum(accrued(price, month, window) for month in months(window, term.timezone))
    step_ns = HOUR_NS if what.per == "hour" else DAY_NS
    return cost + _run_up(price, step_ns, window.end_ns) - _run_up(price, step_ns, window.start_ns)


def _run_up(price: Fraction, step_ns: int, at_ns: int) -> int:
    run_up = price * at_ns / step_ns
    return run_up.numerator // run_up.denominator

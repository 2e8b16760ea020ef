"""What an export covers: billing periods, and within each the stretches of days to read in turn.

An entry belongs to one billing period for ever (:mod:`tollbook.chargeback.periods`). An export of
a period *as billed* has what belongs to it, late calls of closed months included. An export of a
range *as known now* has all calls of the range, each under the billing period it landed in. Both
are read a day at a time, so memory is bounded by the groups of one day.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook.chargeback.periods import (
    Period,
    closes,
    entry_window,
    the_period,
    timezone_of_periods,
)
from tollbook.reports.errors import QueryError
from tollbook.reports.query import LATEST, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.chargeback.desk import Desk
    from tollbook.reports.query import Filter

BILLED: Final = "billed"
KNOWN: Final = "known"
PERIODS_MAX: Final = 600


class Segment(NamedTuple):
    """A part of one UTC day in one billing period."""

    query: SpendQuery
    """Selects its entries; without dimensions."""
    period: Period
    start: datetime
    end: datetime
    is_correction: bool
    """Its calls are of a closed period, and were booked after that was closed."""


class Scope(NamedTuple):
    """All that an export covers."""

    view: str
    query: SpendQuery
    """The whole; its total is that of the file."""
    parts: tuple[tuple[Period, SpendQuery], ...]
    """For each billing period what of it is covered."""


def billed_scope(desk: Desk, name: str, where: tuple[Filter, ...]) -> Scope:
    """Return a billing period as billed.

    Raises:
        PeriodNameError: it is no month.
    """
    period = the_period(desk.books, desk.config, name)
    query = SpendQuery(
        since=EPOCH, until=LATEST, where=where, billing_period=period.name,
        entry_window=entry_window(desk.books, desk.config, period.name),
    )  # fmt: skip
    return Scope(BILLED, query, ((period, query),))


def known_scope(desk: Desk, since: datetime, until: datetime, where: tuple[Filter, ...]) -> Scope:
    """Return all calls of a range as known now, by the billing periods that they landed in.

    Raises:
        QueryError: the range is empty, or touches too many periods.
    """
    whole = SpendQuery(since=since, until=until, where=where)
    zone = timezone_of_periods(desk.books, desk.config)
    parts = []
    for name in sorted(_periods(desk, whole, zone)):
        window = entry_window(desk.books, desk.config, name)
        query = replace(whole, billing_period=name, entry_window=window)
        parts.append((Period.parse(name, zone), query))
    return Scope(KNOWN, whole, tuple(parts))


def _periods(desk: Desk, whole: SpendQuery, zone: str) -> set[str]:
    """Return every billing period that entries of a range may have landed in."""
    found: set[str] = set()
    by = replace(whole, tz=zone, by=("month", "named_period"), measures=("calls",))
    for row in wide_rows(desk.reader, by):
        found.add(row["named_period"] or f"{row['month']:%Y-%m}")
    if not found:
        return found
    closed = [one.period for one in closes(desk.books)]
    later = [one for one in closed if one > min(found)]
    found.update(later)
    if closed and min(found) <= closed[-1]:
        # What is booked now for a closed month lands in the first that is open.
        found.add(Period.parse(closed[-1], zone).following.name)
    if len(found) > PERIODS_MAX:
        raise QueryError("--since", f"the range touches {len(found)} billing periods")
    return found


def segments(desk: Desk, scope: Scope) -> Iterator[Segment]:
    """Yield the stretches of a scope that have entries, by billing period and time."""
    for period, query in scope.parts:
        assert query.entry_window is not None
        is_after_close = query.entry_window.after_entry is not None
        days = sorted(
            row["day"].replace(tzinfo=UTC)
            for row in wide_rows(
                desk.reader, replace(query, by=("day",), measures=("calls",), tz="UTC")
            )
        )
        for day in days:
            for start, end in _cut(day, period, query):
                yield Segment(
                    query=replace(query, since=start, until=end), period=period, start=start,
                    end=end, is_correction=is_after_close and start < period.start,
                )  # fmt: skip


def _cut(day: datetime, period: Period, query: SpendQuery) -> Iterator[tuple[datetime, datetime]]:
    """Yield a day, cut where the billing period and the range begin and end."""
    begin = datetime.combine(day.date(), time(0), tzinfo=UTC)
    after = begin + timedelta(days=1)
    cuts = {begin, after}
    cuts |= {
        edge for edge in (period.start, period.end, query.since, query.until)
        if begin < edge < after
    }  # fmt: skip
    edges = sorted(cuts)
    for start, end in pairwise(edges):
        if start >= query.since and end <= query.until:
            yield start, end

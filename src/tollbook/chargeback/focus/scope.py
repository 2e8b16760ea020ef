"""What an export covers: billing periods, and within each the stretches of days to read in turn.

An entry belongs to one billing period for ever (:mod:`tollbook.chargeback.periods`). An export of
a period *as billed* has what belongs to it, late calls of closed months included. An export of a
range *as known now* has all calls of the range, each under the billing period it landed in. Both
are read some days at a time, as many as have few calls, so memory is bounded.
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

    from tollbook.desk import Desk
    from tollbook.reports.query import Filter

BILLED: Final = "billed"
KNOWN: Final = "known"
PERIODS_MAX: Final = 600
BATCH_CALLS: Final = 50_000
"""Days with no more calls than that in all are read at once: most questions cost the same."""
_DAY: Final = timedelta(days=1)


class Segment(NamedTuple):
    """A part of one UTC day in one billing period."""

    period: Period
    start: datetime
    end: datetime
    is_correction: bool
    """Its calls are of a closed period, and were booked after that was closed."""


class Batch(NamedTuple):
    """Segments that are read with one question: whole days, or one part of a day."""

    query: SpendQuery
    """Selects their entries; without dimensions."""
    segments: tuple[Segment, ...]


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


def batches(desk: Desk, scope: Scope) -> Iterator[Batch]:
    """Yield the stretches of a scope that have entries, by billing period and time."""
    for period, query in scope.parts:
        by_day = replace(query, by=("day",), measures=("calls",), tz="UTC")
        found = sorted(
            (row["day"].replace(tzinfo=UTC), abs(int(row["calls"] or 0)))
            for row in wide_rows(desk.reader, by_day)
        )
        held: list[Segment] = []
        calls = 0
        for day, count in found:
            parts = list(_cut(day, period, query))
            is_whole = len(parts) == 1 and parts[0][1] - parts[0][0] == _DAY
            if held and not (is_whole and calls + count <= BATCH_CALLS):
                yield _batch(query, held)
                held, calls = [], 0
            if is_whole:
                held.append(_segment(period, query, parts[0]))
                calls += count
            else:
                yield from (_batch(query, [_segment(period, query, part)]) for part in parts)
        if held:
            yield _batch(query, held)


def _segment(period: Period, query: SpendQuery, part: tuple[datetime, datetime]) -> Segment:
    assert query.entry_window is not None
    is_late = query.entry_window.after_entry is not None and part[0] < period.start
    return Segment(period, *part, is_correction=is_late)


def _batch(query: SpendQuery, held: list[Segment]) -> Batch:
    return Batch(replace(query, since=held[0].start, until=held[-1].end), tuple(held))


def _cut(day: datetime, period: Period, query: SpendQuery) -> Iterator[tuple[datetime, datetime]]:
    """Yield a day, cut where the billing period and the range begin and end."""
    begin = datetime.combine(day.date(), time(0), tzinfo=UTC)
    after = begin + _DAY
    cuts = {begin, after}
    cuts |= {
        edge for edge in (period.start, period.end, query.since, query.until)
        if begin < edge < after
    }  # fmt: skip
    edges = sorted(cuts)
    for start, end in pairwise(edges):
        if start >= query.since and end <= query.until:
            yield start, end

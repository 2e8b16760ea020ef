"""Which models calls were made with, as the price book sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook import clock
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.times import parse_period
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import zone_of
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tollbook.desk import Desk

MEASURES: Final = ("calls", *KINDS, "cost_usd", "reported_cost_usd")


def range_of(since: str, until: str | None, tz: str) -> tuple[datetime, datetime]:
    """Return the range of a request; without an end, that of the time that is named, or now.

    Raises:
        QueryError: a time or a zone that is none.
    """
    zone, now = zone_of(tz), clock.utc_now()
    first = parse_period(since, zone, now, "--since")
    if until is not None:
        return first.start, parse_period(until, zone, now, "--until").start
    return first.start, max(first.end, now) if first.start >= first.end else first.end


def traffic(
    desk: Desk,
    since: datetime,
    until: datetime,
    by: tuple[str, ...],
    where: tuple[Filter, ...] = (),
    tz: str = "UTC",
) -> Iterator[dict[str, Any]]:
    """Yield the sums of charges by dimensions, those that net to nothing left out.

    Raises:
        QueryTimeoutError: it took too long.
    """
    query = SpendQuery(
        since=since, until=until, tz=tz, by=by, where=(*where, Filter("adjustment", (None,))),
        measures=MEASURES,
    )  # fmt: skip
    for row in wide_rows(desk.reader, query):
        if row["calls"] or any(row[kind] for kind in KINDS):
            yield row

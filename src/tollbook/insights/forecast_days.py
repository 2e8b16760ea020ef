"""What a forecast starts from: exact amounts of local days, of all and of each group."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from tollbook.reports.query import Filter
from tollbook.reports.times import start_of_day
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

_PROFILE_DAYS = 28
_HOURS = 24
_DAY = timedelta(days=1)


class History(NamedTuple):
    """Pico by local day of one group."""

    amounts: dict[date, int]

    def complete(self, first: date, today: date) -> tuple[date, list[int]]:
        """Return the first day with spend and the amounts from it to yesterday, gaps as zero."""
        days = [day for day, amount in self.amounts.items() if first <= day < today and amount]
        start = min(days, default=today)
        count = (today - start).days
        # Credits may exceed a day's cost; a forecast is of days that cost something.
        return start, [max(self.amounts.get(start + _DAY * at, 0), 0) for at in range(count)]

    def between(self, first: date, until: date) -> int:
        """Return what the days from the first to before the last one cost."""
        return sum(amount for day, amount in self.amounts.items() if first <= day < until)


class Days(NamedTuple):
    """The histories of all groups up to a moment."""

    total: History
    groups: dict[str | None, History]
    first: date
    """The first day that is whole in the range."""
    today: date
    """The day that the range ends in; not complete."""
    month: date
    """First day of today's month."""
    rest_of_today: float
    """Share of a day's spend that usually comes after this time of day."""

    @property
    def days_to_month_end(self) -> int:
        """Days after today in its month."""
        following = (self.month + 31 * _DAY).replace(day=1)
        return (following - self.today).days - 1


def read_days(
    reader: Reader, query: SpendQuery, by: str | None, largest: int | None = None
) -> Days:
    """Return the amounts by local day of a query's range, and from the start of its last month on.

    Args:
        reader: the ledger.
        query: range, zone and filters.
        by: dimension of the groups; None: all only.
        largest: so many groups with the most spend; None: all of them.

    Raises:
        QueryTimeoutError: it took too long.
    """
    zone = zone_of(query.tz)
    end = query.until.astimezone(zone)
    today = end.date()
    month = today.replace(day=1)
    asked_first = query.since.astimezone(zone).date()
    first = asked_first if start_of_day(asked_first, zone) >= query.since else asked_first + _DAY
    whole = replace(query, since=min(query.since, start_of_day(month, zone)), order=())
    groups: dict[str | None, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    total: dict[date, int] = defaultdict(int)
    for row in wide_rows(reader, replace(whole, by=("day",), measures=("cost_usd",))):
        total[row["day"].date()] += row["cost_usd"] or 0
    if by is not None:
        chosen = whole if largest is None else _of_largest(reader, whole, by, largest)
        for row in wide_rows(reader, replace(chosen, by=("day", by), measures=("cost_usd",))):
            groups[row[by]][row["day"].date()] += row["cost_usd"] or 0
    return Days(
        total=History(dict(total)),
        groups={name: History(dict(days)) for name, days in groups.items()},
        first=first, today=today, month=month,
        rest_of_today=_rest_of_day(reader, query, end),
    )  # fmt: skip


def _of_largest(reader: Reader, query: SpendQuery, by: str, number: int) -> SpendQuery:
    """Return a query with a filter for the groups with the most spend."""
    sums = {
        row[by]: row["cost_usd"] or 0
        for row in wide_rows(reader, replace(query, by=(by,), measures=("cost_usd",)))
    }
    ranked = sorted(sums, key=lambda name: (-sums[name], str(name)))[:number]
    if len(ranked) == len(sums):
        return query
    return replace(query, where=(*query.where, Filter(by, tuple(ranked))))


def _rest_of_day(reader: Reader, query: SpendQuery, end: datetime) -> float:
    """Return the share of the last weeks' spend that came after this time of day."""
    zone = zone_of(query.tz)
    until = start_of_day(end.date(), zone)
    since = start_of_day(end.date() - _PROFILE_DAYS * _DAY, zone)
    hours = [0] * _HOURS
    rows: list[dict[str, Any]] = list(
        wide_rows(
            reader,
            replace(
                query, since=since, until=until, by=("hour",), measures=("cost_usd",), order=()
            ),
        )
    )
    for row in rows:
        local = row["hour"].replace(tzinfo=query.until.tzinfo).astimezone(zone)
        hours[local.hour] += max(row["cost_usd"] or 0, 0)
    whole = sum(hours)
    into_hour = (end.minute * 60 + end.second) / 3600
    if not whole:
        return 1 - (end.hour + into_hour) / _HOURS
    later = sum(hours[end.hour + 1 :]) + hours[end.hour] * (1 - into_hour)
    return later / whole

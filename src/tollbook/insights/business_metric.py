"""Business metrics of the books: what an owner has of seats, tickets and the like in some days.

The body is what the allocation room writes: rows of owner, day and quantity, and how a range is
made of them. It is read here as it stands in the books.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from tollbook.books.documents import Subject, document_history
from tollbook.errors import TollbookError
from tollbook.reports.errors import UnknownNameError
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from tollbook.books.store import Books

_DAY = timedelta(days=1)


class MetricTextError(TollbookError):
    """A metric of the books that cannot be read."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"metric {name[:64]!r}: {problem}; import it again")


class _Row(Struct, frozen=True, array_like=True):
    owner: str
    day: date
    quantity: str


class _Metric(Struct, frozen=True):
    rows: list[_Row]
    unit: str = "units"
    aggregate: str = "last"


def metric_names(books: Books) -> list[str]:
    """Return the names of the metrics in the books."""
    return sorted({one.name for one in document_history(books, Subject.METRIC)})


def metric_unit(books: Books, name: str) -> str:
    """Return what a metric counts."""
    return _metric(books, name).unit


def metric_quantities(
    books: Books, name: str, since: datetime, until: datetime, tz: str
) -> dict[str, Fraction]:
    """Return the quantity of each owner in the local days of a range.

    Raises:
        UnknownNameError: there is no such metric.
        MetricTextError: it cannot be read.
    """
    metric, zone = _metric(books, name), zone_of(tz)
    first = since.astimezone(zone).date()
    after = (until - timedelta(microseconds=1)).astimezone(zone).date() + _DAY
    by_owner: dict[str, list[tuple[date, Fraction]]] = defaultdict(list)
    try:
        for row in sorted(metric.rows, key=lambda row: (row.owner, row.day)):
            if row.day < after:
                by_owner[row.owner].append((row.day, Fraction(row.quantity)))
    except ValueError as error:
        raise MetricTextError(name, str(error)) from error
    found = {}
    for owner, rows in by_owner.items():
        if metric.aggregate == "sum":
            found[owner] = sum((much for day, much in rows if day >= first), Fraction(0))
        elif metric.aggregate == "average":
            found[owner] = _average(rows, first, after)
        else:
            found[owner] = rows[-1][1]
    return found


def _average(rows: list[tuple[date, Fraction]], first: date, after: date) -> Fraction:
    """Return the average over days; each has what the last row up to it says."""
    total, held, at, day = Fraction(0), Fraction(0), 0, first
    while day < after:
        while at < len(rows) and rows[at][0] <= day:
            held = rows[at][1]
            at += 1
        total += held
        day += _DAY
    return total / (after - first).days


def _metric(books: Books, name: str) -> _Metric:
    versions = document_history(books, Subject.METRIC, name)
    if not versions:
        raise UnknownNameError("--unit metric:", name, metric_names(books))
    newest = max(versions, key=lambda one: one.version)
    try:
        return msgspec.json.decode(newest.body, type=_Metric)
    except msgspec.DecodeError as error:
        raise MetricTextError(name, str(error)) from error

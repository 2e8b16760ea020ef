"""Business metrics of the books: what an owner has of seats, tickets and the like in some days."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from tollbook.books.documents import Subject, document_history
from tollbook.chargeback.allocate.metrics import Metric, MetricError, metric_values, newest_metric
from tollbook.reports.errors import UnknownNameError
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from fractions import Fraction

    from tollbook.books.documents import Document
    from tollbook.books.store import Books


def metric_unit(books: Books, name: str) -> str:
    """Return what a metric counts.

    Raises:
        UnknownNameError: there is no such metric.
        MetricError: it cannot be read.
    """
    document = _newest(books, name)
    try:
        return msgspec.json.decode(document.body, type=Metric).unit
    except msgspec.DecodeError as error:
        raise MetricError(name, str(error)) from error


def metric_quantities(
    books: Books, name: str, since: datetime, until: datetime, tz: str
) -> dict[str, Fraction]:
    """Return the quantity of each owner in the local days of a range; raises as the unit does."""
    zone = zone_of(tz)
    last = (until - timedelta(microseconds=1)).astimezone(zone).date()
    first = since.astimezone(zone).date()
    return metric_values(_newest(books, name), first, last + timedelta(days=1))


def _newest(books: Books, name: str) -> Document:
    known = sorted({one.name for one in document_history(books, Subject.METRIC)})
    if name not in known:
        raise UnknownNameError("--unit metric:", name, known)
    return newest_metric(books, name)

"""Imported metrics: seats and the like, by owner and date, from a CSV file."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from tollbook.books.documents import Subject, document_history
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.books.documents import Document
    from tollbook.books.store import Books

ROWS_MAX: Final = 200_000
_DIGITS_MAX: Final = 30
Aggregate = Literal["last", "sum", "average"]


class MetricError(TollbookError):
    """A metric that cannot be read or is not there."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"metric {name[:64]!r}: {problem}")


class MetricRow(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """So many of one owner on one day."""

    owner: str
    day: date
    quantity: str


class Metric(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of a metric document; the newest version holds for all times."""

    rows: list[MetricRow]
    unit: str = "units"
    aggregate: Aggregate = "last"
    """What a month has: the last row up to its end, the sum of its rows, or the average over its
    days (each day has what the last row up to it says)."""


def read_metric_csv(name: str, text: str, *, unit: str, aggregate: Aggregate) -> Metric:
    """Read ``owner,date,quantity`` (or ``tenant`` for owner) with a header.

    Raises:
        MetricError: naming the line and what is expected.
    """
    lines = csv.reader(io.StringIO(text))
    header = [cell.strip().lower() for cell in next(lines, [])]
    wanted = ["owner" if cell in ("tenant", "tenant_id") else cell for cell in header]
    if sorted(wanted) != ["date", "owner", "quantity"]:
        raise MetricError(name, "expected the columns owner, date and quantity")
    rows: list[MetricRow] = []
    seen: set[tuple[str, date]] = set()
    for cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(wanted) or len(rows) >= ROWS_MAX:
            raise MetricError(
                name, f"line {lines.line_num}: expected 3 cells and at most {ROWS_MAX:,} rows"
            )
        row = _row(name, dict(zip(wanted, cells, strict=True)), lines.line_num)
        if (row.owner, row.day) in seen:
            raise MetricError(name, f"line {lines.line_num}: {row.owner} has {row.day} twice")
        seen.add((row.owner, row.day))
        rows.append(row)
    rows.sort(key=lambda row: (row.owner, row.day))
    return Metric(rows=rows, unit=unit, aggregate=aggregate)


def _row(name: str, cells: Mapping[str, str], line: int) -> MetricRow:
    owner = cells["owner"].strip()
    if not owner:
        raise MetricError(name, f"line {line}: the owner is empty")
    try:
        day = date.fromisoformat(cells["date"].strip())
    except ValueError as error:
        raise MetricError(name, f"line {line}: the date is not like 2026-10-01") from error
    _quantity(name, cells["quantity"], f"line {line}: ")
    return MetricRow(owner, day, cells["quantity"].strip())


def _quantity(name: str, text: str, where: str = "") -> Fraction:
    try:
        number = Decimal(text.strip())
        is_right = number.is_finite() and number >= 0 and abs(number.adjusted()) <= _DIGITS_MAX
    except InvalidOperation:
        is_right = False
    if not is_right:
        raise MetricError(name, f"{where}the quantity is not a decimal number of 0 or more")
    return Fraction(Decimal(text.strip()))


def newest_metric(books: Books, name: str) -> Document:
    """Return the newest version of a metric.

    Raises:
        MetricError: there is none.
        BooksError: the books cannot be read.
    """
    versions = document_history(books, Subject.METRIC, name)
    if not versions:
        raise MetricError(name, "is not known; import it with tollbook allocate metric import")
    return versions[-1]


def metric_values(document: Document, first: date, after: date) -> dict[str, Fraction]:
    """Return what each owner has in ``[first, after)``; whoever has no row up to then is missing.

    Raises:
        MetricError: the document cannot be read.
    """
    try:
        metric = msgspec.json.decode(document.body, type=Metric)
    except msgspec.DecodeError as error:
        raise MetricError(document.name, str(error)) from error
    by_owner: dict[str, list[MetricRow]] = {}
    for row in sorted(metric.rows, key=lambda row: (row.owner, row.day)):
        if row.day < after:
            by_owner.setdefault(row.owner, []).append(row)
    values: dict[str, Fraction] = {}
    for owner, rows in by_owner.items():
        if metric.aggregate == "last":
            values[owner] = _quantity(document.name, rows[-1].quantity)
        elif metric.aggregate == "average":
            values[owner] = _average(document.name, rows, first, after)
        elif any(row.day >= first for row in rows):
            own = (_quantity(document.name, row.quantity) for row in rows if row.day >= first)
            values[owner] = sum(own, Fraction(0))
    return values


def _average(name: str, rows: list[MetricRow], first: date, after: date) -> Fraction:
    total, held, at = Fraction(0), Fraction(0), 0
    day = first
    while day < after:
        while at < len(rows) and rows[at].day <= day:
            held = _quantity(name, rows[at].quantity)
            at += 1
        total += held
        day += timedelta(days=1)
    return total / (after - first).days

"""Lines of tenants' and cost centres' statements, each with an id that leads back to its calls.

A line is a sum of entries that belong to a billing period as billed: calls of one month, feature
and model, or one adjustment. Its id is a digest of what it is a sum of, so the same line has the
same id whenever a statement is made, and its entries are found again by it alone.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tollbook.chargeback.filing import original_month
from tollbook.chargeback.periods import Period
from tollbook.ledger.adjust import AdjustmentType
from tollbook.ledger.schema import Kind
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.times import start_of_day
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import zone_of
from tollbook.usage import INPUT_KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.reports.reader import Reader

By = Literal["tenant", "cost_center"]
Section = Literal["usage", "correction", "allocation", "adjustment"]
What = Literal["calls", "adjustment", "day"]

MEASURES: Final = ("calls", "cost_usd", "billable_usd", "input_tokens", "output_tokens")
_MONTHS: Final = ("month", "named_period")
_CALLS: Final = ("feature", "provider", "model")
_ADJUSTED: Final = ("adjustment", "adjustment_id", "corrects", "reason")
_ID_CHARS: Final = 16
_OF: Final[dict[By, tuple[str, ...]]] = {
    "tenant": ("tenant",),
    "cost_center": ("cost_center", "tenant"),
}
_ADJUSTMENTS: Final = Filter("kind", (Kind.ADJUSTMENT.value,))
_CHARGES: Final = Filter("kind", (Kind.ADJUSTMENT.value,), negate=True)


class Line(Struct, frozen=True, kw_only=True):
    """One line. Amounts are in pico; None is unknown, never zero."""

    line_id: str
    what: What
    by: By
    owner: str
    """``unknown`` where nobody is named."""
    section: Section
    key: tuple[tuple[str, str | None], ...]
    """Dimension and value of all that it is a sum of; months and days as local dates."""
    original_period: str
    """The month that it is of: another than the period's where it corrects a closed one."""
    calls: int
    calls_without_cost: int
    input_tokens: int
    output_tokens: int
    cost: int | None
    billable: int | None

    def of(self, dimension: str) -> str | None:
        """Return the value of a dimension, None where it is not set or not of this line."""
        return next((value for name, value in self.key if name == dimension), None)


class LineName(NamedTuple):
    """What the id of a line says: period, whose statement, what kind of line, and the digest."""

    period: str
    by: By
    what: What


_LETTERS: Final = {"tenant": "t", "cost_center": "c", "calls": "l", "adjustment": "a", "day": "d"}


def line_id(name: LineName, key: tuple[tuple[str, str | None], ...]) -> str:
    """Return the id of a line: ``2026-10-tl-0123456789abcdef``."""
    told = msgspec.json.encode([name.period, name.by, name.what, key])
    digest = hashlib.sha256(told).hexdigest()[:_ID_CHARS]
    return f"{name.period}-{_LETTERS[name.by]}{_LETTERS[name.what]}-{digest}"


def parse_line_id(text: str) -> LineName | None:
    """Return what an id says, None where it is none."""
    period, _, rest = text[:7], text[7:8], text[8:]
    kinds, _, digest = rest.partition("-")
    is_digest = len(digest) == _ID_CHARS and set(digest) <= set("0123456789abcdef")
    for by in _OF:
        for what in ("calls", "adjustment", "day"):
            if is_digest and text[7] == "-" and kinds == _LETTERS[by] + _LETTERS[what]:
                return LineName(period, by, what)
    return None


def read_lines(
    reader: Reader, query: SpendQuery, period: Period, by: By, what: What
) -> Iterator[Line]:
    """Yield the lines of one kind, of all owners that the query selects.

    Args:
        reader: the ledger.
        query: what belongs to the period as billed.
        period: which month.
        by: whose statements.
        what: ``calls`` and ``adjustment`` together are everything; so is ``day``.

    Raises:
        QueryTimeoutError: it took too long.
    """
    names = _names(by, what)
    where = query.where if what == "day" else (*query.where, _kind(what))
    asked = replace(query, by=names, where=where, tz=period.timezone, measures=MEASURES)
    for row in wide_rows(reader, asked):
        key = tuple((name, _text(name, row[name])) for name in names)
        made = _line(LineName(period.name, by, what), query, key, row)
        if made.calls or made.cost or made.billable or made.input_tokens or made.output_tokens:
            yield made


def _names(by: By, what: What) -> tuple[str, ...]:
    if what == "day":
        return (_OF[by][0], "day")
    return (*_OF[by], *_MONTHS, *_CALLS, *(_ADJUSTED if what == "adjustment" else ()))


def _kind(what: What) -> Filter:
    return _ADJUSTMENTS if what == "adjustment" else _CHARGES


def _text(name: str, value: Any) -> str | None:
    if isinstance(value, datetime):
        return f"{value:%Y-%m}" if name == "month" else f"{value:%Y-%m-%d}"
    return None if value is None else str(value)


def _line(
    name: LineName, query: SpendQuery, key: tuple[tuple[str, str | None], ...],
    row: dict[str, Any],
) -> Line:  # fmt: skip
    told = dict(key)
    month = told.get("month") or (told.get("day") or "")[:7]
    home = original_month(query, month)
    calls = row["calls"] or 0
    known = row["known_calls"] or 0
    cost = row["cost_usd"]
    return Line(
        line_id=line_id(name, key), what=name.what, by=name.by, owner=key[0][1] or UNKNOWN,
        section=_section(name, home, told.get("adjustment")), key=key, original_period=home,
        calls=calls, calls_without_cost=calls - known,
        input_tokens=_sum(row, INPUT_KINDS), output_tokens=_sum(row, OUTPUT_KINDS),
        cost=None if calls and not known and not cost else cost or 0, billable=row["billable_usd"],
    )  # fmt: skip


def _section(name: LineName, home: str, adjustment: str | None) -> Section:
    if home != name.period:
        return "correction"
    if adjustment == AdjustmentType.ALLOCATION:
        return "allocation"
    return "usage" if adjustment is None else "adjustment"


def _sum(row: dict[str, Any], kinds: tuple[str, ...]) -> int:
    return sum(int(row[kind] or 0) for kind in kinds)


def query_of(query: SpendQuery, period: Period, line: Line) -> SpendQuery:
    """Return the query that selects exactly the entries of a line."""
    where = [] if line.what == "day" else [_kind(line.what)]
    since, until = query.since, query.until
    for name, value in line.key:
        if name == "month":
            assert value is not None, "every entry has a month"
            month = Period(value, period.timezone)
            since, until = month.start, month.end
        elif name == "day":
            assert value is not None, "every entry has a day"
            day, zone = datetime.fromisoformat(value).date(), zone_of(period.timezone)
            since = start_of_day(day, zone)
            until = start_of_day(day + timedelta(days=1), zone)
        else:
            where.append(Filter(name, (value,)))
    return replace(query, since=since, until=until, where=(*query.where, *where))

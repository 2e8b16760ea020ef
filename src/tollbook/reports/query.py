"""The one query object: what the command line, the API, a page, an export and an alert all ask."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from tollbook.reports import dimensions, measures
from tollbook.reports.errors import QueryError, UnknownNameError
from tollbook.reports.zone import EPOCH, zone_of

ROWS_MAX: Final = 10_000
BY_MAX: Final = 24
"""Exports group by all that tells one line of a bill from another."""
WHERE_MAX: Final = 32
VALUES_MAX: Final = 1_000
VALUE_CHARS_MAX: Final = 1_024
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
RANGE_MAX: Final = timedelta(days=366 * 100)
BILLING_PERIOD: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)

Moment = Annotated[datetime, Meta(tz=True)]


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """Entries whose dimension has one of the values (``negate``: none of them).

    None among the values is "not set". Every entry matches exactly one of a filter and its
    negation, those without a value included.
    """

    dimension: str
    values: tuple[str | None, ...]
    negate: bool = False


class EntryWindow(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which entries are those of a billing period *as billed*.

    The home of an entry is the period that it names, or else the month of its call. It belongs to
    its home if it was booked before that was closed, and otherwise to the first period that was
    open when it was booked. So every entry belongs to one period, and to that for ever.
    """

    period: str
    start: Moment
    """First moment of the month, and the first that is no longer in it."""
    end: Moment
    after_entry: int | None = None
    """Last entry when the month before was closed; None: it is open, so nothing comes from it."""
    upto_entry: int | None = None
    """Last entry when this period was closed; None: it is open."""


class SpendQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sums of the ledger's entries over ``[since, until)``.

    Filters on different dimensions must all match; of the values of one, any. Construction brings
    the query to a canonical form (UTC, merged and sorted filters), so equal questions are equal.

    Raises:
        QueryError: a name that does not exist, an empty range, a limit exceeded.
    """

    since: Moment
    until: Moment
    tz: str = "UTC"
    """IANA zone of the time buckets and of what is printed."""
    by: tuple[str, ...] = ()
    where: tuple[Filter, ...] = ()
    measures: tuple[str, ...] = measures.DEFAULT
    order: tuple[str, ...] = ()
    """Dimensions or measures; ``-`` before a name is descending. Empty: by time, then cost."""
    limit: int = ROWS_MAX
    """Groups shown; the rest is one further row, so that the rows add up to the total."""
    booked_before: Moment | None = None
    """The ledger as it was at that moment; None is as known now."""
    billing_period: str | None = None
    """``YYYY-MM``: only what belongs to that billing period *as billed*, see ``EntryWindow``."""
    entry_window: EntryWindow | None = None
    """What ``billing_period`` means in the books; filled in by who knows them, before it is run."""

    def __post_init__(self) -> None:
        zone_of(self.tz)
        for name in ("since", "until", "booked_before"):
            moment = getattr(self, name)
            if moment is not None:
                force_setattr(self, name, _utc(name, moment))
        if self.since >= self.until:
            raise QueryError(
                "--until", f"{self.until.isoformat()} is not after {self.since.isoformat()}"
            )
        self._check_names()
        self._check_period()
        if not 1 <= self.limit <= ROWS_MAX:
            raise QueryError("--limit", f"{self.limit} is not between 1 and {ROWS_MAX}")
        force_setattr(self, "where", _merged(self.where))

    def _check_period(self) -> None:
        period, window = self.billing_period, self.entry_window
        if period is not None and not BILLING_PERIOD.fullmatch(period):
            raise QueryError("--billing-period", f"{period[:64]!r} is not a month such as 2026-10")
        if window is not None and window.period != period:
            raise QueryError("--billing-period", f"{window.period} was looked up, not {period}")

    def _check_names(self) -> None:
        for name in self.by:
            if not dimensions.is_dimension(name):
                raise UnknownNameError("--by", name, dimensions.NAMES)
        for name in self.measures:
            if name not in measures.NAMES:
                raise UnknownNameError("--measures", name, measures.NAMES)
        for name in self.order:
            if name.removeprefix("-") not in {*self.by, *self.measures}:
                raise UnknownNameError(
                    "--order", name.removeprefix("-"), {*self.by, *self.measures}
                )
        for option, names, most in (
            ("--by", self.by, BY_MAX),
            ("--measures", self.measures, len(measures.NAMES)),
            ("--order", [name.removeprefix("-") for name in self.order], 2 * BY_MAX),
        ):
            if len(names) > most or len(set(names)) != len(names):
                raise QueryError(option, f"expected at most {most} names, each once")
        if not self.measures:
            raise QueryError("--measures", "expected at least one measure")


def _utc(name: str, moment: datetime) -> datetime:
    if moment.tzinfo is None or not EPOCH <= moment <= LATEST:
        raise QueryError(
            f"--{name.replace('_', '-')}",
            f"{moment.isoformat()} is not a moment with an offset between 1970 and 2200",
        )
    return moment.astimezone(UTC)


def canonical_filters(where: tuple[Filter, ...]) -> tuple[Filter, ...]:
    """Return filters merged by dimension and sorted; an empty value is "not set".

    Raises:
        QueryError: a dimension that cannot be filtered by, or a limit exceeded.
    """
    return _merged(where)


def _merged(where: tuple[Filter, ...]) -> tuple[Filter, ...]:
    merged: dict[tuple[str, bool], set[str | None]] = {}
    for item in where:
        if not dimensions.is_filter(item.dimension):
            known = [name for name in dimensions.NAMES if name not in dimensions.TIMES]
            raise UnknownNameError("--where", item.dimension, known)
        if not item.values:
            raise QueryError("--where", f"{item.dimension} has no value")
        merged.setdefault((item.dimension, item.negate), set()).update(
            _value(item.dimension, value) for value in item.values
        )
    if len(merged) > WHERE_MAX or any(len(values) > VALUES_MAX for values in merged.values()):
        raise QueryError("--where", f"expected at most {WHERE_MAX} filters of {VALUES_MAX} values")
    return tuple(
        Filter(dimension, tuple(sorted(values, key=lambda text: (text is not None, text))), negate)
        for (dimension, negate), values in sorted(merged.items())
    )


def _value(dimension: str, value: str | None) -> str | None:
    if not value or (dimension == "tenant" and value == dimensions.UNKNOWN):
        return None
    if len(value) > VALUE_CHARS_MAX or "\0" in value:
        raise QueryError(
            "--where", f"a value of {dimension} is longer than {VALUE_CHARS_MAX} characters"
        )
    return value

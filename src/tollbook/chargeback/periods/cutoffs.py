"""Where closed periods end in the ledger, and so which period each entry belongs to.

Closing a period writes down the last entry there was. Entries are numbered in the order in which
they were booked, so *as billed* is a comparison of numbers, and nothing that is booked later can
change it. Months close in order; a month that was never closed but lies before one that was is
closed with it, so cut-offs never go back and every entry belongs to exactly one period.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from tollbook.books.tables_periods import period_closes
from tollbook.chargeback.periods.period import Period
from tollbook.reports.query import EntryWindow

if TYPE_CHECKING:
    from tollbook.books.store import Books
    from tollbook.config import Config
    from tollbook.reports.explain import Explanation
    from tollbook.reports.query import SpendQuery


class Close(Struct, frozen=True, kw_only=True):
    """A period that was closed, once and for ever."""

    period: str
    seal: str
    cutoff_entry_id: int
    timezone: str
    mode: str
    closed_by: str
    closed_at_ns: int


def closes(books: Books) -> list[Close]:
    """Return the closed periods, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    with books.read() as connection:
        rows = connection.execute(sa.select(period_closes).order_by(period_closes.c.period))
        return [Close(**row._asdict()) for row in rows]


def timezone_of_periods(books: Books, config: Config) -> str:
    """Return the zone of billing periods: that of what was closed, or else the setting."""
    closed = closes(books)
    return closed[-1].timezone if closed else config.finance.timezone


def the_period(books: Books, config: Config, name: str) -> Period:
    """Return a period by name, in the zone of the others.

    Raises:
        PeriodNameError: it is no month.
    """
    return Period.parse(name, timezone_of_periods(books, config))


def window_among(period: Period, closed: list[Close]) -> EntryWindow:
    """Return what belongs to a period, given what was closed (oldest first)."""
    after, upto = _cutoff(period.previous, closed), _cutoff(period, closed)
    return EntryWindow(
        period=period.name, start=period.start, end=period.end,
        # A month before that is closed with this one leaves nothing for it, as an open one does.
        after_entry=None if after == upto else after, upto_entry=upto,
    )  # fmt: skip


def period_among(entry_id: int, home: Period, closed: list[Close]) -> str:
    """Return the period that an entry belongs to; the same as its windows say, turned round."""
    before = [one.period for one in closed if one.cutoff_entry_id < entry_id]
    if not before:
        return home.name
    return max(home.name, Period(before[-1], home.timezone).following.name)


def with_periods(books: Books, config: Config, explained: Explanation) -> Explanation:
    """Return an explanation whose entries say in which month's bill they are.

    Raises:
        BooksError: the books cannot be read.
    """
    closed = closes(books)
    zone = closed[-1].timezone if closed else config.finance.timezone
    called = Period.of(datetime.fromisoformat(explained.called_at), zone)
    entries = []
    for one in explained.entries:
        home = called if one.billing_period is None else Period(one.billing_period, zone)
        entries.append(replace(one, billing_period=period_among(one.entry_id, home, closed)))
    return replace(explained, entries=entries)


def _cutoff(period: Period, closed: list[Close]) -> int | None:
    return next((one.cutoff_entry_id for one in closed if one.period >= period.name), None)


def entry_window(books: Books, config: Config, name: str) -> EntryWindow:
    """Return which entries belong to a period as billed.

    Raises:
        PeriodNameError: the name is no month.
        BooksError: the books cannot be read.
    """
    return window_among(the_period(books, config, name), closes(books))


def as_billed(books: Books, config: Config, query: SpendQuery) -> SpendQuery:
    """Return a query whose billing period, if it has one, is looked up in the books.

    Raises:
        PeriodNameError: the period is no month.
        BooksError: the books cannot be read.
    """
    if query.billing_period is None:
        return query
    return replace(query, entry_window=entry_window(books, config, query.billing_period))

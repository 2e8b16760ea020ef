"""Sums of what belongs to a period as billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from tollbook.chargeback.periods.cutoffs import as_billed
from tollbook.reports import measures
from tollbook.reports.query import LATEST, Filter, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk


def period_query(
    desk: Desk, period: Period, by: tuple[str, ...] = (), where: tuple[Filter, ...] = (),
    shown: tuple[str, ...] = (measures.COST,), *, only_own: bool = False,
) -> SpendQuery:  # fmt: skip
    """Return the query of what belongs to a period; see :func:`sums`."""
    query = as_billed(
        desk.books, desk.config,
        SpendQuery(
            since=EPOCH, until=LATEST, tz=period.timezone, by=by, where=where, measures=shown,
            billing_period=period.name,
        ),
    )  # fmt: skip
    assert query.entry_window is not None, "it was looked up just now"
    if only_own:
        query = replace(query, entry_window=replace(query.entry_window, after_entry=None))
    return query


def sums(
    desk: Desk, period: Period, by: tuple[str, ...] = (), where: tuple[Filter, ...] = (),
    shown: tuple[str, ...] = (measures.COST,), *, only_own: bool = False,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield the sums of what belongs to a period as billed; see ``wide_rows``.

    Args:
        desk: what is open.
        period: which month.
        by: dimensions.
        where: filters.
        shown: measures.
        only_own: without what came late for earlier periods that were closed.

    Raises:
        QueryTimeoutError: it took too long.
    """
    query = period_query(desk, period, by, where, shown, only_own=only_own)
    return wide_rows(desk.reader, query)

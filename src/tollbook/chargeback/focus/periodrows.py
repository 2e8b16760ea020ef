"""The Billing Period dataset: a row for each billing period and issuer that has charges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.chargeback.periods import PeriodState, closes, period_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.books.store import Books
    from tollbook.chargeback.focus.columns import Row
    from tollbook.chargeback.periods import Period

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SeenPeriods:
    """Collects which periods and issuers the rows of an export have."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._seen: dict[tuple[Period, str], None] = {}

    def add(self, period: Period, issuer: str) -> None:
        """Note a row's period and issuer."""
        self._seen.setdefault((period, issuer))

    def rows(self) -> Iterator[Row]:
        """Yield the dataset."""
        closed_at = {one.period: one.closed_at_ns for one in closes(self._books)}
        now = clock.utc_now().replace(microsecond=0)
        for period, issuer in sorted(self._seen):
            is_closed = period_state(self._books, period.name) is PeriodState.CLOSED
            at_ns = closed_at.get(period.name)
            changed = now if at_ns is None else _EPOCH + timedelta(seconds=at_ns // 10**9)
            yield {
                "BillingPeriodStart": period.start,
                "BillingPeriodEnd": period.end,
                "BillingPeriodCreated": period.start,
                "BillingPeriodLastUpdated": max(changed, period.start),
                "BillingPeriodStatus": "Closed" if is_closed else "Open",
                "InvoiceIssuerName": issuer,
            }

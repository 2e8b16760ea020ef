"""What the running month may come to: an estimate, said to be one, with how it was made.

So far, plus the average of the last full days times what is left of the month. The range is what
it would be if every day left were like the quietest, or the busiest, of those days. Amounts stay
integers; only their meaning is an estimate.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.periods.cutoffs import timezone_of_periods
from tollbook.chargeback.periods.period import Period as Month
from tollbook.console.portal.tenant.query import own_query
from tollbook.money import usd_text
from tollbook.reports.query import Filter
from tollbook.reports.times import Period, start_of_day
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from datetime import datetime

    from tollbook.desk import Desk

DAYS: Final = 7
METHOD: Final = (
    f"so far, plus the average of the last {DAYS} full days for each day that is left; the range "
    "is from the quietest to the busiest of them"
)
_CALLS_ONLY: Final = Filter("kind", ("adjustment",), negate=True)
_DAY_S: Final = 86_400
_MEASURES: Final = ("calls", "billable_usd")


def own_projection(desk: Desk, tenant: str, now: datetime) -> dict[str, Any]:
    """Return what a tenant has been charged in the running month, and what it may come to.

    Raises:
        QueryTimeoutError: it took too long.
        BooksError: the books cannot be read.
    """
    timezone = timezone_of_periods(desk.books, desk.config)
    zone = zone_of(timezone)
    month = Month.of(now, timezone)
    today = start_of_day(now.astimezone(zone).date(), zone)
    first = start_of_day((now.astimezone(zone) - timedelta(days=DAYS)).date(), zone)
    so_far = _sum(desk, tenant, Period(month.start, max(now, month.start + timedelta(seconds=1))))
    query = own_query(
        tenant, Period(first, today), measures=_MEASURES, tz=timezone, by=("day",),
        where=(_CALLS_ONLY,),
    )  # fmt: skip
    found = [row["billable_usd"] for row in wide_rows(desk.reader, query)]
    days = [one for one in found if one is not None]
    left_s = max(0, int((month.end - now).total_seconds()))
    if not days:
        estimate: dict[str, str | None] = dict.fromkeys(("low_usd", "expected_usd", "high_usd"))
    else:
        base = so_far or 0
        # Days without a call are days too.
        quietest, busiest = (min(days) if len(days) == DAYS else 0), max(days, default=0)
        estimate = {
            "low_usd": usd_text(base + quietest * left_s // _DAY_S),
            "expected_usd": usd_text(base + sum(days) * left_s // (DAYS * _DAY_S)),
            "high_usd": usd_text(base + busiest * left_s // _DAY_S),
        }
    return {
        "period": month.name, "timezone": timezone, "until": month.end,
        "so_far_usd": None if so_far is None else usd_text(so_far), **estimate,
        "is_estimate": True, "method": METHOD,
    }  # fmt: skip


def _sum(desk: Desk, tenant: str, period: Period) -> int | None:
    query = own_query(tenant, period, measures=_MEASURES)
    known = [
        row["billable_usd"]
        for row in wide_rows(desk.reader, query)
        if row["billable_usd"] is not None
    ]
    return sum(known) if known else None

"""A tenant's months as billed: what they came to, and each as a file."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from msgspec.structs import replace

from tollbook.chargeback.invoices.content import content_of
from tollbook.chargeback.invoices.csvfile import write_csv
from tollbook.chargeback.invoices.export import file_name, sources_of
from tollbook.chargeback.invoices.pdf import write_pdf
from tollbook.chargeback.periods.cutoffs import closes, the_period, timezone_of_periods
from tollbook.chargeback.periods.period import Period as Month
from tollbook.chargeback.periods.sums import period_query
from tollbook.console.portal.tenant.query import check_own, own_filter, own_query
from tollbook.money import usd_text
from tollbook.reports.query import LATEST
from tollbook.reports.times import Period
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from datetime import datetime

    from tollbook.desk import Desk

MONTHS_MAX: Final = 24
FileFormat = Literal["pdf", "csv"]
MEDIA_TYPES: Final[dict[FileFormat, str]] = {"pdf": "application/pdf", "csv": "text/csv"}
_KEPT_MAX: Final = 20_000


class StatementFile(NamedTuple):
    """A statement as it is sent."""

    name: str
    media_type: str
    content: bytes


class ClosedTotals:
    """What closed months came to, by tenant: they never change, so each is asked for once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str, int], str | None] = {}

    def get(self, desk: Desk, tenant: str, month: Month, cutoff: int | None) -> str | None:
        """Return the dollars that a tenant is charged for a month; None is not known."""
        if cutoff is None:
            return _total(desk, tenant, month)
        key = (tenant, month.name, cutoff)
        with self._lock:
            if key in self._found:
                return self._found[key]
        total = _total(desk, tenant, month)
        with self._lock:
            if len(self._found) >= _KEPT_MAX:
                self._found.clear()
            self._found[key] = total
        return total


def _total(desk: Desk, tenant: str, month: Month) -> str | None:
    asked = replace(
        period_query(desk, month), where=(own_filter(tenant),), measures=("calls", "billable_usd")
    )
    check_own(asked, tenant)
    amounts = [row["billable_usd"] for row in wide_rows(desk.reader, asked)]
    known = [one for one in amounts if one is not None]
    return usd_text(sum(known)) if known else None


def own_statements(
    desk: Desk, tenant: str, now: datetime, totals: ClosedTotals
) -> list[dict[str, Any]]:
    """Return the months before the running one in which a tenant has anything, newest first.

    Raises:
        QueryTimeoutError: it took too long.
        BooksError: the books cannot be read.
    """
    timezone = timezone_of_periods(desk.books, desk.config)
    running = Month.of(now, timezone).name
    cutoffs = {one.period: one.cutoff_entry_id for one in closes(desk.books)}
    query = own_query(
        tenant, Period(EPOCH, LATEST), measures=("calls",), tz=timezone, by=("month",)
    )
    names = sorted(f"{row['month']:%Y-%m}" for row in wide_rows(desk.reader, query))
    past = [name for name in reversed(names) if name < running][:MONTHS_MAX]
    return [
        {
            "period": name, "state": "final" if name in cutoffs else "provisional",
            "billed_usd": totals.get(desk, tenant, Month(name, timezone), cutoffs.get(name)),
            "files": sorted(MEDIA_TYPES),
        }
        for name in past
    ]  # fmt: skip


def own_file(
    desk: Desk, tenant: str, period: str, kind: FileFormat, *, shows_cost: bool
) -> StatementFile:
    """Return one month of a tenant as a file.

    Raises:
        PeriodNameError: it is no month.
        NobodyError: there is nothing to state.
        MissingPackageError: what writes PDF is not installed.
    """
    month = the_period(desk.books, desk.config, period)
    own_filter(tenant)  # refuses the word for "nobody", which statements take for a tenant
    sources = sources_of(desk, month, "tenant", tenant, "both" if shows_cost else "billable")
    assert list(sources.lines) == [tenant], "a statement of a portal is of its tenant"
    content = content_of(sources, tenant)
    # How many entries there are is told by everybody's calls.
    told = content.stamp | {"query": {"tenant": tenant}, "last_entry_id": "when it was made"}
    content = content._replace(stamp=told)
    with TemporaryDirectory(prefix="tollbook-statement-") as directory:
        path = Path(directory) / file_name(tenant, month.name, kind, set())
        (write_pdf if kind == "pdf" else write_csv)(path, content)
        return StatementFile(path.name, MEDIA_TYPES[kind], path.read_bytes())

"""What can be asked of calls that serve several tenants: what is to be moved, and move it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.chargeback.allocate.models_split import (
    Split,
    book_splits,
    booked_of,
    booked_splits,
    find_splits,
    sums_by_tenant,
)
from tollbook.chargeback.periods.cutoffs import the_period
from tollbook.desk import Desk, Operation
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.chargeback.periods.period import Period

CURRENCY: Final = "USD"


class WhichSplit(Struct, forbid_unknown_fields=True, kw_only=True):
    """A month, and one batch where it is about that alone."""

    period: str
    batch: str | None = None


def preview(desk: Desk, asked: WhichSplit) -> dict[str, Any]:
    """Return what there is to be moved and what is, by tenant."""
    period = the_period(desk.books, desk.config, asked.period)
    return _answer(desk, period, find_splits(desk, period, asked.batch))


def book(desk: Desk, asked: WhichSplit) -> dict[str, Any]:
    """Book what is to be moved, or the difference to what was."""
    period = the_period(desk.books, desk.config, asked.period)
    made = book_splits(desk, period, asked.batch)
    runs = [
        {"run_id": run_id, "split": one.name, "entries": entries}
        for one, run_id, entries in made if run_id is not None
    ]  # fmt: skip
    booked = sum(entries for *_, entries in made)
    answer = _answer(desk, period, [one for one, *_ in made])
    return answer | {"runs": runs, "booked": booked}


def _answer(desk: Desk, period: Period, splits: Iterable[Split]) -> dict[str, Any]:
    runs = booked_splits(desk, period)
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for one in splits:
        wanted = sums_by_tenant(one.amounts.items())
        booked = sums_by_tenant(booked_of(runs, period, one.name).items())
        rows += [
            {
                "split": one.name, "tenant": tenant or UNKNOWN,
                "amount_usd": usd_text(wanted.get(tenant, 0)),
                "booked_usd": usd_text(booked.get(tenant, 0)), "reason": one.reason,
            }
            for tenant in sorted(wanted.keys() | booked.keys(), key=lambda who: who or "")
        ]  # fmt: skip
        problems += one.problems
    return {"rows": rows, "problems": problems, "period": period.name, "currency": CURRENCY}


PREVIEW: Final = Operation(
    "allocate.split_preview", "GET", "/allocations/split", WhichSplit, preview,
    "Return what calls that serve several tenants cost each.",
)  # fmt: skip
BOOK: Final = Operation(
    "allocate.split", "POST", "/allocations/split", WhichSplit, book,
    "Book what calls that serve several tenants cost each.", writes=True,
)  # fmt: skip
OPERATIONS: Final = (PREVIEW, BOOK)
"""All that can be asked of them."""

"""Where an amount stands, what is booked there already, and how the difference is booked.

What a period must have is worked out anew each time from all that is known. Booked is only what is
lacking to it, so the same again books nothing, and calls that come late in any order end in the
same sums. What is booked after a period was closed belongs to the one that is open, by the rule
that holds for every entry, and names the run that it corrects.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.chargeback.terms.cells import COSTS, costs_by_kind
from tollbook.chargeback.terms.spans import DAY_NS, ns_of
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.reports import measures
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk

_IDENTITY: Final = ("tenant_id", "team_id", "cost_center", "feature")
_AROUND: Final = timedelta(days=2)
"""A provider's month in its own zone may begin and end so much earlier or later."""


class Posting(NamedTuple):
    """One place in the books, as fine as terms book."""

    adjustment: str
    day: date
    """UTC."""
    provider: str | None
    tenant: str | None = None
    team: str | None = None
    cost_center: str | None = None
    feature: str | None = None
    model: str | None = None
    price_tier: str | None = None
    region: str | None = None
    kind: str | None = None
    """Whose cost component it is; None: of none."""


_BY: Final = ("adjustment_id", *(name for name in Posting._fields if name != "kind"))
Booked = dict[str, dict[Posting, int]]
"""Run id to what it booked."""


def booked_runs(
    desk: Desk, period: Period, prefix: str, types: tuple[AdjustmentType, ...]
) -> Booked:
    """Return what earlier runs of a period have booked, from the ledger itself.

    Args:
        desk: what is open.
        period: of which month.
        prefix: what the ids of the runs begin with.
        types: of the adjustments that such runs book.

    Raises:
        QueryTimeoutError: it took too long.
    """
    query = SpendQuery(
        since=period.start - _AROUND, until=period.end + _AROUND, by=_BY,
        where=(Filter("adjustment", tuple(one.value for one in types)),),
        measures=(*COSTS, measures.COST),
    )  # fmt: skip
    found: Booked = {}
    for row in wide_rows(desk.reader, query):
        run_id = row["adjustment_id"] or ""
        if not run_id.startswith(prefix):
            continue
        own = found.setdefault(run_id, {})
        for kind, amount in costs_by_kind(row).items():
            at = _posting(row, kind)
            own[at] = own.get(at, 0) + amount
    return found


def _posting(row: Mapping[str, Any], kind: str | None) -> Posting:
    values = {name: row[name] for name in Posting._fields if name not in ("day", "kind")}
    return Posting(day=row["day"].date(), kind=kind, **values)


def difference(before: Mapping[Posting, int], after: Mapping[Posting, int]) -> dict[Posting, int]:
    """Return what must be booked to come from one to the other; zeros left out."""
    changes = {at: after.get(at, 0) - before.get(at, 0) for at in dict.fromkeys((*after, *before))}
    return {at: change for at, change in changes.items() if change}


def whole_of(runs: Mapping[str, Mapping[Posting, int]]) -> dict[Posting, int]:
    """Return what several runs have booked together; zeros left out."""
    found: dict[Posting, int] = {}
    for amounts in runs.values():
        for at, amount in amounts.items():
            found[at] = found.get(at, 0) + amount
    return {at: amount for at, amount in found.items() if amount}


def last_run(prefix: str, runs: Mapping[str, Any]) -> tuple[int, str | None]:
    """Return the number of the last run and its id; 0 and None where there was none."""
    numbers = {int(one.removeprefix(prefix)): one for one in runs if _is_run(one, prefix)}
    return (max(numbers), numbers[max(numbers)]) if numbers else (0, None)


def _is_run(run_id: str, prefix: str) -> bool:
    number = run_id.removeprefix(prefix)
    return run_id.startswith(prefix) and number.isdecimal() and number.isascii()


def book_difference(
    desk: Desk, period: Period, prefix: str, runs: Booked, wanted: Mapping[Posting, int],
    reason: str,
) -> tuple[str | None, int]:  # fmt: skip
    """Bring what runs have booked to what is wanted.

    Args:
        desk: open for writing, and inside a transaction of its store that was begun before ``runs``
            was read: two at a time would both book the difference.
        period: in whose books it stands.
        prefix: of the ids of these runs, ending in ``:``; the number of the run follows.
        runs: what they have booked.
        wanted: what there is to be.
        reason: for people: what, and by which document.

    Returns:
        The id of the run and how many entries were added; None and 0 where nothing was lacking.
    """
    own = {run_id: amounts for run_id, amounts in runs.items() if _is_run(run_id, prefix)}
    changes = difference(whole_of(own), wanted)
    if not changes:
        return None, 0
    number, before = last_run(prefix, own)
    run_id = f"{prefix}{number + 1}"
    entries = [
        _adjustment(period, at, changes[at], before, reason)
        for at in sorted(changes, key=_in_order)
    ]
    return run_id, book_adjustments(desk.store, run_id, entries)


def _in_order(at: Posting) -> tuple[Any, ...]:
    return tuple((value is not None, str(value or "")) for value in at)


def _adjustment(
    period: Period, at: Posting, amount: int, corrects: str | None, reason: str
) -> Adjustment:
    values = (at.tenant, at.team, at.cost_center, at.feature)
    return Adjustment(
        adjustment=AdjustmentType(at.adjustment), at_ns=_at_ns(period, at.day), cost=amount,
        identity={
            name: value for name, value in zip(_IDENTITY, values, strict=True) if value is not None
        },
        provider=at.provider, model=at.model, price_tier=at.price_tier, region=at.region,
        kind=at.kind, billing_period=period.name, corrects=corrects, reason=reason,
    )  # fmt: skip


def _at_ns(period: Period, day: date) -> int:
    """Return the day's first moment, moved into the billing period where they do not agree."""
    start_ns = ns_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
    moved_ns = min(max(start_ns, period.start_ns), period.end_ns - 1_000)
    return moved_ns if start_ns <= moved_ns < start_ns + DAY_NS else start_ns

"""Book what a policy moves: the difference to what earlier runs of the period have booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.allocate.compute import Computed, own_runs, run_prefix
from tollbook.chargeback.allocate.policy import KEEP_FIELDS, OWNER_FIELDS
from tollbook.chargeback.allocate.shelf import (
    AllocationRun,
    keep_allocation,
    newest_allocation,
)
from tollbook.chargeback.periods.events import PeriodState, period_state
from tollbook.chargeback.periods.sums import sums
from tollbook.errors import TollbookError
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.reports import measures
from tollbook.reports.query import VALUES_MAX, Filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk

_IDENTITY: Final = ("tenant_id", "team_id", "cost_center", "feature")
_LAST_NS: Final = 1_000
"""A run is dated at the period's last microsecond, after all that it moves."""


class ClosedError(TollbookError):
    """Something was to be booked into a period that is closed."""

    def __init__(self, period: str) -> None:
        super().__init__(
            f"{period} is closed and stays as it is; book it into the period that is open"
        )


class Posting(NamedTuple):
    """Where an amount stands: rule, owner (four fields), provider, model, price tier."""

    rule: str
    owner: tuple[str | None, ...]
    kept: tuple[str | None, ...]


def wanted(computed: Computed) -> dict[Posting, int]:
    """Return what a result puts where, in whole."""
    found: dict[Posting, int] = {}
    for line in computed.lines:
        kept = (line.provider, line.model, line.price_tier)
        at = Posting(line.rule, line.owner, kept)
        found[at] = found.get(at, 0) + line.amount
    return found


def booked(desk: Desk, period: Period) -> dict[Posting, int]:
    """Return what earlier runs have booked for a period, from the ledger itself."""
    ids = own_runs(desk, period)
    assert len(ids) <= VALUES_MAX, "an unlikely number of runs"
    if not ids:
        return {}
    by = ("adjustment_id", *OWNER_FIELDS, *KEEP_FIELDS)
    found: dict[Posting, int] = {}
    for row in sums(desk, period, by, (Filter("adjustment_id", tuple(ids)),)):
        rule = row["adjustment_id"].removeprefix(run_prefix(period.name)).partition(":")[2]
        at = Posting(
            rule, tuple(row[name] for name in OWNER_FIELDS),
            tuple(row[name] for name in KEEP_FIELDS),
        )  # fmt: skip
        found[at] = found.get(at, 0) + (row[measures.COST] or 0)
    return found


def difference(
    before: Mapping[Posting, int], after: Mapping[Posting, int]
) -> dict[str, dict[Posting, int]]:
    """Return what must be booked to come from one to the other, by rule; zeros left out."""
    found: dict[str, dict[Posting, int]] = {}
    for at in dict.fromkeys((*after, *before)):
        change = after.get(at, 0) - before.get(at, 0)
        if change:
            found.setdefault(at.rule, {})[at] = change
    return found


def book(desk: Desk, period: Period, computed: Computed) -> tuple[AllocationRun, int]:
    """Bring the ledger to a result, and return the run in force and how many entries were added.

    The same result again books nothing and is no new run.

    Raises:
        ClosedError: the period is closed.
        BooksError: the books cannot be written.
    """
    store = desk.store
    # The lock of the one writer: two runs at a time would both book the difference.
    with store.transaction():
        if period_state(desk.books, period.name) is PeriodState.CLOSED:
            raise ClosedError(period.name)
        last = newest_allocation(desk.books, period.name)
        added = difference(booked(desk, period), wanted(computed))
        is_same = last is not None and (last.policy_id, last.lines) == (
            computed.policy.document_id, computed.lines
        )  # fmt: skip
        if last is not None and is_same and not added:
            return last, 0
        sequence = _next_sequence(desk, period, last)
        run_id = f"{run_prefix(period.name)}{sequence}"
        count = 0
        for rule, amounts in added.items():
            assert sum(amounts.values()) == 0, "an allocation moves, it does not make"
            entries = [
                _adjustment(period, computed, at, amount, None if last is None else last.run_id)
                for at, amount in amounts.items()
            ]
            count += book_adjustments(store, f"{run_id}:{rule}", entries)
        # Should the process die before the ledger commits, the next run books what is lacking.
        kept = keep_allocation(
            desk.books, run_id, period.name, sequence, policy_id=computed.policy.document_id,
            documents=computed.documents, lines=computed.lines, problems=computed.problems,
            booked=count, author=desk.author,
        )  # fmt: skip
    return kept, count


def _next_sequence(desk: Desk, period: Period, last: AllocationRun | None) -> int:
    """Return a number that neither the books nor the ledger has; a crash may lie between them."""
    prefix = run_prefix(period.name)
    numbers = [one.removeprefix(prefix).partition(":")[0] for one in own_runs(desk, period)]
    known = [int(number) for number in numbers if number.isdigit()]
    return max([0 if last is None else last.sequence, *known]) + 1


def _adjustment(
    period: Period, computed: Computed, at: Posting, amount: int, corrects: str | None
) -> Adjustment:
    provider, model, price_tier = at.kept
    identity = {
        name: value for name, value in zip(_IDENTITY, at.owner, strict=True) if value is not None
    }
    return Adjustment(
        adjustment=AdjustmentType.ALLOCATION, at_ns=period.end_ns - _LAST_NS, cost=amount,
        identity=identity, provider=provider, model=model, price_tier=price_tier,
        billing_period=period.name, corrects=corrects,
        reason=f"{computed.policy.document_id}, rule {at.rule}",
    )  # fmt: skip

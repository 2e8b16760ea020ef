"""What must be so before a period may take its next step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Subject, document_history, documents_at
from tollbook.chargeback.periods.cutoffs import closes
from tollbook.chargeback.periods.events import EventKind, PeriodState, period_history
from tollbook.chargeback.periods.sums import sums
from tollbook.chargeback.periods.trial_balance import invoices_of, trial_balance
from tollbook.chargeback.reconcile.model import MoneyBasis, Reconciliation, State
from tollbook.chargeback.reconcile.shelf import reconciliations, shown
from tollbook.money import usd_text
from tollbook.reports import measures
from tollbook.reports.batches import BatchesQuery, run_batches
from tollbook.reports.freshness import read_freshness
from tollbook.reports.query import SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk

_SHOWN: Final = 3
_ANYTHING: Final = (measures.CALLS, measures.COST)


class Check(Struct, frozen=True, kw_only=True):
    """One condition, and whether it holds."""

    name: str
    step: PeriodState
    """The step that it is for; later ones need it too."""
    problem: str | None = None
    """None: it holds."""
    note: str | None = None
    """What else to know of it."""
    accepted_by: str | None = None
    """Who took the responsibility for exactly this problem, and why."""
    reason: str | None = None

    @property
    def stands(self) -> bool:
        """Whether it is in the way of its step."""
        return self.problem is not None and self.accepted_by is None


def checks(desk: Desk, period: Period, step: PeriodState) -> list[Check]:
    """Return what a step needs, and whether it is so or was accepted.

    Raises:
        QueryTimeoutError: a query took too long.
        BooksError: the books cannot be read.
    """
    found: list[Check] = []
    for at, make in _CHECKS:
        if _ORDER.index(at) <= _ORDER.index(step):
            found.extend(make(desk, period))
    accepted = {
        (event.detail["check"], event.detail["problem"]): event
        for event in period_history(desk.books, period.name)
        if event.kind is EventKind.ACCEPTED
    }
    answers = []
    for one in found:
        event = accepted.get((one.name, one.problem))
        if event is not None:
            one = Check(  # noqa: PLW2901 -- the same check with who accepted it
                name=one.name, step=one.step, problem=one.problem, note=one.note,
                accepted_by=event.actor, reason=event.reason,
            )  # fmt: skip
        answers.append(one)
    return answers


def _is_over(desk: Desk, period: Period) -> Iterator[Check]:
    del desk
    problem = None if clock.utc_now() >= period.end else f"{period.name} is not over yet"
    yield Check(name="month-over", step=PeriodState.RECONCILED, problem=problem)


def _is_read(desk: Desk, period: Period) -> Iterator[Check]:
    until = read_freshness(desk.reader).complete_until
    problem = note = None
    if until is None:
        problem = "it is not known how far the spool was read"
    elif until < period.end:
        # Where it stands is no part of the problem: it moves on while somebody accepts it.
        problem = f"the spool was not read up to the end of {period.name}"
        note = f"read up to {until:%Y-%m-%dT%H:%M:%SZ}"
    yield Check(name="spool-read", step=PeriodState.RECONCILED, problem=problem, note=note)


def _is_priced(desk: Desk, period: Period) -> Iterator[Check]:
    rows = sums(desk, period, ("price_state",), shown=(measures.CALLS,))
    calls = {row["price_state"]: row[measures.CALLS] or 0 for row in rows}
    unknown = {name: calls.get(name, 0) for name in ("unpriced", "unmetered")}
    count, most = sum(unknown.values()), desk.config.finance.unpriced_calls_max
    told = ", ".join(f"{number:,} {name}" for name, number in unknown.items() if number)
    problem = None if count <= most else f"calls of unknown cost: {told}; at most {most:,} may be"
    note = told if told and problem is None else None
    yield Check(name="priced", step=PeriodState.RECONCILED, problem=problem, note=note)


def _has_batches(desk: Desk, period: Period) -> Iterator[Check]:
    query = BatchesQuery(
        since=period.start, until=period.end, tz=period.timezone, states=("open", "waiting")
    )
    waiting = run_batches(desk.reader, query).rows
    names = ", ".join(str(row["batch_id"]) for row in waiting[:_SHOWN])
    problem = f"{len(waiting)} batches have no results yet: {names}" if waiting else None
    yield Check(name="batches", step=PeriodState.RECONCILED, problem=problem)


def _has_terms(desk: Desk, period: Period) -> Iterator[Check]:
    """Price terms, where there are any, are booked as they come to now."""
    from tollbook.chargeback.terms.booking import (  # noqa: PLC0415 -- rooms that use each other
        unapplied,
    )

    if not document_history(desk.books, Subject.PRICE_TERMS):
        return
    lacking = ", ".join(
        f"{name}: {usd_text(amount)} USD" for name, amount in unapplied(desk, period)
    )
    problem = f"{lacking} not booked as it comes to now; see tollbook terms apply"
    yield Check(
        name="terms-applied", step=PeriodState.RECONCILED, problem=problem if lacking else None
    )


def _has_invoices(desk: Desk, period: Period) -> Iterator[Check]:
    """Of each provider that costs something: its invoice, and a reconciliation with it."""
    runs = {run.provider: run for run in reconciliations(desk.books, period.name)}
    invoices, problems = invoices_of(desk, period)
    invoiced = {one.provider for one in invoices}
    for problem in problems:
        yield Check(name="invoice-amounts", step=PeriodState.RECONCILED, problem=problem)
    rows = sums(desk, period, ("provider",), only_own=True)
    cost = {row["provider"]: row[measures.COST] or 0 for row in rows if row["provider"]}
    for provider in sorted({name for name, amount in cost.items() if amount} | invoiced):
        yield Check(
            name=f"invoice:{provider}", step=PeriodState.RECONCILED,
            problem=None if provider in invoiced
            else f"{usd_text(cost[provider])} USD and no invoice of {provider}",
        )  # fmt: skip
        yield _reconciled(desk, provider, runs.get(provider))


def _reconciled(desk: Desk, provider: str, run: Reconciliation | None) -> Check:
    problem = note = None
    if run is None:
        problem = f"{provider} was not reconciled; see tollbook reconcile run"
    elif run.state is State.ACCEPTED:
        note = f"{run.run_id} is accepted"
    elif run.basis is not MoneyBasis.INVOICE:
        problem = f"{provider} was reconciled with {run.basis}, not with its invoice"
    else:
        left = sum(
            abs(one.difference.amount)
            for one in shown(desk.books, [run])
            if one.difference.cause == "unexplained" and one.state is not State.ACCEPTED
        )
        if left > run.tolerance:
            problem = (
                f"{usd_text(left)} USD of {provider} are unexplained; "
                f"{usd_text(run.tolerance)} may be"
            )
    return Check(
        name=f"reconciled:{provider}", step=PeriodState.RECONCILED, problem=problem, note=note
    )


def _is_trued_up(desk: Desk, period: Period) -> Iterator[Check]:
    """What entries and invoices still differ by, after true-ups."""
    tolerated = {run.provider: run.tolerance for run in reconciliations(desk.books, period.name)}
    accounts = trial_balance(desk, period)
    off = f"the trial balance is {usd_text(accounts.total)} USD, not 0"
    yield Check(
        name="trial-balance", step=PeriodState.ALLOCATED, problem=off if accounts.total else None
    )
    for provider, rest in accounts.of("variance").items():
        told = f"{usd_text(rest)} USD of {provider}'s invoice are in no entry"
        is_small = abs(rest) <= tolerated.get(provider, 0)
        yield Check(
            name=f"trued-up:{provider}", step=PeriodState.ALLOCATED,
            problem=None if is_small else f"{told}; see tollbook reconcile true-up",
            note=told if is_small else None,
        )  # fmt: skip


def _is_allocated(desk: Desk, period: Period) -> Iterator[Check]:
    from tollbook.chargeback.allocate.booking import (  # noqa: PLC0415 -- rooms that use each other
        booked,
        difference,
        wanted,
    )
    from tollbook.chargeback.allocate.compute import compute  # noqa: PLC0415 -- as above
    from tollbook.chargeback.allocate.shelf import newest_allocation  # noqa: PLC0415 -- as above

    made = newest_allocation(desk.books, period.name)
    held = documents_at(desk.books, Subject.ALLOCATION_POLICY, period.start_ns)
    problem = note = None
    if made is None and not held:
        note = "no policy is in force: nothing is allocated"
    elif made is None:
        problem = f"{', '.join(sorted(held))} was not run; see tollbook allocate run"
    else:
        name = made.policy_id.split("/")[1]
        policy = held.get(name)
        if policy is None or policy.document_id != made.policy_id:
            problem = f"{made.policy_id} was run and is not in force"
        else:
            computed = compute(desk, period, policy)
            lacking = difference(booked(desk, period), wanted(computed))
            if lacking:
                # With the amount: who accepts it does not accept another one.
                moved = sum(
                    amount for by_posting in lacking.values() for amount in by_posting.values()
                    if amount > 0
                )  # fmt: skip
                problem = (
                    f"{made.policy_id} would move {usd_text(moved)} USD otherwise now; run it again"
                )
            note = "; ".join(computed.problems) or None
    yield Check(name="allocated", step=PeriodState.ALLOCATED, problem=problem, note=note)


def _is_balanced(desk: Desk, period: Period) -> Iterator[Check]:
    by_type = {
        row["adjustment"]: row[measures.COST] or 0 for row in sums(desk, period, ("adjustment",))
    }
    off = by_type.get("allocation", 0)
    problem = f"allocations add up to {usd_text(off)} USD, not to 0" if off else None
    yield Check(name="allocations-balance", step=PeriodState.ALLOCATED, problem=problem)


def _comes_next(desk: Desk, period: Period) -> Iterator[Check]:
    """Months close in order: one with entries that was not closed would be closed with this."""
    closed = closes(desk.books)
    after = closed[-1].period if closed else ""
    query = SpendQuery(
        since=EPOCH, until=period.start, tz=period.timezone, by=("month",), measures=_ANYTHING
    )
    months = sorted(
        month for row in wide_rows(desk.reader, query)
        if (month := f"{row['month']:%Y-%m}") > after
        and any(value for name, value in row.items() if name != "month")
    )  # fmt: skip
    problem = None
    if months:
        problem = f"{', '.join(months[:_SHOWN])}: has entries and is open; it is closed before"
    yield Check(name="previous-closed", step=PeriodState.CLOSED, problem=problem)


_ORDER: Final = (
    PeriodState.OPEN, PeriodState.RECONCILED, PeriodState.ALLOCATED, PeriodState.CLOSED,
)  # fmt: skip
_CHECKS: Final[tuple[tuple[PeriodState, Callable[[Desk, Period], Iterator[Check]]], ...]] = (
    (PeriodState.RECONCILED, _is_over),
    (PeriodState.RECONCILED, _is_read),
    (PeriodState.RECONCILED, _is_priced),
    (PeriodState.RECONCILED, _has_batches),
    (PeriodState.RECONCILED, _has_terms),
    (PeriodState.RECONCILED, _has_invoices),
    (PeriodState.ALLOCATED, _is_trued_up),
    (PeriodState.ALLOCATED, _is_allocated),
    (PeriodState.ALLOCATED, _is_balanced),
    (PeriodState.CLOSED, _comes_next),
)

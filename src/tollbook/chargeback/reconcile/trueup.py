"""True-up: bring the ledger of a month to what the provider bills, by booking, never by editing.

What is to be booked is what the differences say by the policy, less what earlier true-ups of the
month have booked. So the same true-up twice books nothing, and one after a changed statement books
the change alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.chargeback.periods.cutoffs import closes
from tollbook.chargeback.periods.period import Period
from tollbook.chargeback.reconcile.errors import NothingBilledError
from tollbook.chargeback.reconcile.keys import DAY_NS
from tollbook.chargeback.reconcile.ledgerside import ADJUSTMENTS, as_datetime
from tollbook.chargeback.reconcile.model import Cause, MoneyBasis
from tollbook.chargeback.reconcile.owners import NOBODY, Owner, Owners
from tollbook.chargeback.reconcile.policy import KEEP, PROPORTIONAL, TENANT, policy_at
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.money import split_pico, usd_text
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.rollup import TRUE_UP_PREFIX
from tollbook.reports.wide import wide_rows
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.books.store import Books
    from tollbook.chargeback.reconcile.model import Difference, Part, Reconciliation
    from tollbook.desk import Desk

_TYPES: Final = {
    Cause.CREDIT: AdjustmentType.CREDIT,
    Cause.TAX: AdjustmentType.TAX,
    Cause.MINIMUM: AdjustmentType.MINIMUM,
    Cause.FEE: AdjustmentType.FEE,
    Cause.ROUNDING: AdjustmentType.ROUNDING,
}
"""All others are true-ups."""
_CAUSES: Final = {cause.value: cause for cause in Cause}
_NO_QUANTITY: Final = frozenset([Cause.PROVIDER_GAP])
"""Causes in which it is the provider whose quantities are wrong."""
_COSTS: Final = tuple(f"{kind}_cost_usd" for kind in KINDS)
_BY: Final = (
    "adjustment_id", "model", "price_tier", "tenant", "team", "cost_center", "statement",
)  # fmt: skip


class Posting(NamedTuple):
    """Where an amount of a true-up is booked."""

    cause: Cause
    model: str | None
    kind: str | None
    tier: str | None
    owner: Owner
    statement_id: str | None


class TrueUp(NamedTuple):
    """What a true-up of one provider and month books. Amounts in pico."""

    run: Reconciliation
    policy_id: str
    billing_period: str
    """In whose books it stands: a closed month's in the one that is open."""
    postings: list[tuple[Posting, int, int]]
    """Posting, amount, quantity."""
    kept: int
    """Of the difference what the policy keeps as a variance."""
    wanted: int
    """Of the difference what is booked in the end, with what was booked before."""

    @property
    def amount(self) -> int:
        """What is booked now."""
        return sum(amount for _, amount, _ in self.postings)


def plan_true_up(desk: Desk, run: Reconciliation) -> TrueUp:
    """Return what is left to book of a run, without booking it.

    Raises:
        NothingBilledError: no statement speaks of money.
        PolicyError: the policy cannot be used.
        QueryTimeoutError: the ledger took too long.
    """
    if run.basis not in {MoneyBasis.INVOICE, MoneyBasis.COST}:
        raise NothingBilledError(run.provider, run.period)
    policy, policy_id = policy_at(desk.books, run.provider, run.start_ns)
    wanted: dict[Posting, list[int]] = defaultdict(lambda: [0, 0])
    owners, kept = Owners(desk, run), 0
    for one in run.differences:
        target = policy.target(one.cause)
        if target == KEEP:
            kept += one.amount
            continue
        for part in one.parts:
            _share(wanted, owners, run, one, part, target)
    booked = _booked(desk, run)
    left = []
    for posting in sorted({*wanted, *booked}, key=_order):
        amount, tokens = wanted.get(posting, (0, 0))
        before, counted = booked.get(posting, (0, 0))
        if amount != before or tokens != counted:
            left.append((posting, amount - before, tokens - counted))
    total = sum(amount for amount, _ in wanted.values())
    return TrueUp(run, policy_id, _open_period(desk.books, run.period), left, kept, total)


def _order(posting: Posting) -> tuple[str, ...]:
    cause, model, kind, tier, owner, statement_id = posting
    return (cause, *(one or "" for one in (model, kind, tier, *owner, statement_id)))


def _share(
    wanted: dict[Posting, list[int]], owners: Owners, run: Reconciliation, one: Difference,
    part: Part, target: str,
) -> None:  # fmt: skip
    tokens = 0 if part.kind is None or one.cause in _NO_QUANTITY else part.tokens
    shares = {NOBODY: 1}
    if target.startswith(TENANT):
        shares = {Owner(target.removeprefix(TENANT)): 1}
    elif target == PROPORTIONAL:
        shares = owners.weights(one, part) or shares
    weights = list(shares.values())
    amounts, counts = split_pico(part.amount, weights), split_pico(tokens, weights)
    for owner, amount, count in zip(shares, amounts, counts, strict=True):
        posting = Posting(one.cause, part.model, part.kind, part.tier, owner, run.bill)
        wanted[posting][0] += amount
        wanted[posting][1] += count


def _booked(desk: Desk, run: Reconciliation) -> dict[Posting, list[int]]:
    """Return what earlier true-ups of the month have booked."""
    query = SpendQuery(
        since=as_datetime(run.start_ns), until=as_datetime(run.end_ns), by=_BY,
        where=(Filter("provider", (run.provider,)), ADJUSTMENTS),
        measures=("cost_usd", *KINDS, *_COSTS),
    )  # fmt: skip
    found: dict[Posting, list[int]] = defaultdict(lambda: [0, 0])
    for row in wide_rows(desk.reader, query):
        cause = _cause_of(row["adjustment_id"], run)
        if cause is None:
            continue
        rest = row["cost_usd"] or 0
        owner = Owner(row["tenant"], row["team"], row["cost_center"])
        for kind, column in zip(KINDS, _COSTS, strict=True):
            amount, count = row[column] or 0, row[kind] or 0
            if amount or count:
                rest -= amount
                _add(found, Posting(cause, row["model"], kind, row["price_tier"], owner,
                                    row["statement"]), amount, count)  # fmt: skip
        if rest:
            _add(found, Posting(cause, row["model"], None, row["price_tier"], owner,
                                row["statement"]), rest, 0)  # fmt: skip
    return {posting: sums for posting, sums in found.items() if any(sums)}


def _add(to: dict[Posting, list[int]], posting: Posting, amount: int, count: int) -> None:
    to[posting][0] += amount
    to[posting][1] += count


def _prefix(run: Reconciliation) -> str:
    return f"{TRUE_UP_PREFIX}{run.period}:{run.provider}:"


def _cause_of(adjustment_id: str | None, run: Reconciliation) -> Cause | None:
    prefix = _prefix(run)
    if not adjustment_id or not adjustment_id.startswith(prefix):
        return None
    cause, _, _ = adjustment_id.removeprefix(prefix).partition(":")
    return _CAUSES.get(cause)


def _open_period(books: Books, period: str) -> str:
    closed = [one for one in closes(books) if one.period >= period]
    return Period(closed[-1].period).following.name if closed else period


def book_true_up(desk: Desk, plan: TrueUp) -> list[str]:
    """Book a true-up, one adjustment for each cause, and return their ids.

    Each is booked whole or not at all; what a crash leaves out the next true-up books.

    Raises:
        ReadOnlyError: the ledger is open for reading.
    """
    by_cause: dict[Cause, list[tuple[Posting, int, int]]] = defaultdict(list)
    for one in plan.postings:
        by_cause[one[0].cause].append(one)
    ids = []
    for cause, postings in by_cause.items():
        adjustment_id = _next_id(desk, plan.run, cause)
        given = [_adjustment(plan, *one) for one in postings]
        book_adjustments(desk.store, adjustment_id, given)
        ids.append(adjustment_id)
    return ids


def _adjustment(plan: TrueUp, posting: Posting, amount: int, tokens: int) -> Adjustment:
    run, is_late = plan.run, plan.billing_period != plan.run.period
    return Adjustment(
        adjustment=_TYPES.get(posting.cause, AdjustmentType.TRUE_UP), at_ns=run.end_ns - DAY_NS,
        cost=amount, identity=posting.owner.identity(), provider=run.provider,
        model=posting.model, price_tier=posting.tier, kind=posting.kind, quantity=tokens,
        billing_period=plan.billing_period, statement_id=posting.statement_id,
        corrects=run.period if is_late else None,
        reason=f"{posting.cause.replace('_', ' ')}: {run.provider} {run.period} by {run.run_id}, "
        f"policy {plan.policy_id}",
    )  # fmt: skip


def _next_id(desk: Desk, run: Reconciliation, cause: Cause) -> str:
    query = SpendQuery(
        since=as_datetime(run.start_ns), until=as_datetime(run.end_ns), by=("adjustment_id",),
        where=(Filter("provider", (run.provider,)), ADJUSTMENTS), measures=("cost_usd",),
    )  # fmt: skip
    prefix = f"{_prefix(run)}{cause}:"
    numbers = [
        int(text)
        for row in wide_rows(desk.reader, query)
        if (row["adjustment_id"] or "").startswith(prefix)
        and (text := row["adjustment_id"].removeprefix(prefix)).isdecimal()
    ]
    return f"{prefix}{max(numbers, default=0) + 1}"


def true_up_rows(plan: TrueUp) -> list[dict[str, Any]]:
    """Return what is booked as rows of text."""
    return [
        {
            "provider": plan.run.provider, "billing_period": plan.billing_period,
            "cause": posting.cause.value, "tenant": posting.owner.tenant_id,
            "team": posting.owner.team_id, "cost_center": posting.owner.cost_center,
            "model": posting.model, "kind": posting.kind, "tier": posting.tier,
            "quantity": tokens, "cost_usd": usd_text(amount), "currency": "USD",
        }
        for posting, amount, tokens in plan.postings
    ]  # fmt: skip

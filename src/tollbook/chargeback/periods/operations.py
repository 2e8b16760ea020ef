"""What can be asked of billing periods: status, checks, steps, seal, approval, trial balance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from tollbook import clock
from tollbook.chargeback.periods import steps
from tollbook.chargeback.periods.checks import Check, checks
from tollbook.chargeback.periods.cutoffs import closes, the_period, timezone_of_periods
from tollbook.chargeback.periods.errors import PeriodError
from tollbook.chargeback.periods.events import (
    STEPS,
    PeriodState,
    period_history,
    period_state,
)
from tollbook.chargeback.periods.period import Period
from tollbook.chargeback.periods.sums import sums
from tollbook.chargeback.periods.trial_balance import trial_balance
from tollbook.chargeback.periods.verify import came_later, verify_period
from tollbook.desk import Operation
from tollbook.money import usd_text
from tollbook.reports import measures
from tollbook.reports.query import LATEST, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from tollbook.desk import Desk

CURRENCY: Final = "USD"


class Nothing(Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing is asked."""


class WhichPeriod(Struct, forbid_unknown_fields=True, kw_only=True):
    """A month."""

    period: str


class WhichChecks(Struct, forbid_unknown_fields=True, kw_only=True):
    """The checks of a step."""

    period: str
    step: PeriodState | None = None
    """None: of the next one."""


class TakeStep(Struct, forbid_unknown_fields=True, kw_only=True):
    """A step on, or back with a reason."""

    period: str
    to: PeriodState
    by: str | None = None
    reason: str | None = None


class AcceptCheck(Struct, forbid_unknown_fields=True, kw_only=True):
    """A check that fails and shall not stand in the way."""

    period: str
    check: str
    reason: str
    by: str | None = None


class MakeSeal(Struct, forbid_unknown_fields=True, kw_only=True):
    """A close that is to be prepared."""

    period: str
    by: str | None = None


class Approve(Struct, forbid_unknown_fields=True, kw_only=True):
    """An approval of the seal that was prepared last."""

    period: str
    seal: str | None = None
    """Its beginning, where just that one is meant."""
    by: str | None = None


class WhichBalance(Struct, forbid_unknown_fields=True, kw_only=True):
    """The trial balance of a month."""

    period: str
    by: Literal["tenant", "team", "cost_center", "feature"] = "tenant"


def status(desk: Desk, asked: Nothing) -> dict[str, Any]:
    """Return the months that have entries or were worked on, and how far they are."""
    del asked
    zone = timezone_of_periods(desk.books, desk.config)
    query = SpendQuery(
        since=EPOCH, until=LATEST, tz=zone, by=("month",), measures=(measures.CALLS,)
    )
    names = {f"{row['month']:%Y-%m}" for row in wide_rows(desk.reader, query)}
    names |= {event.period for event in period_history(desk.books)}
    names.add(Period.of(clock.utc_now(), zone).name)
    closed = {one.period: one for one in closes(desk.books)}
    rows = []
    for name in sorted(names):
        period = Period(name, zone)
        (total,) = sums(desk, period, shown=(measures.CALLS, measures.COST))
        close = closed.get(name)
        rows.append(
            {
                "period": name, "state": period_state(desk.books, name).value,
                "cost_usd": usd_text(total[measures.COST] or 0),
                "calls": total[measures.CALLS] or 0,
                "mode": close.mode if close else desk.config.finance.mode,
                "closed_at": None if close is None else _when(close.closed_at_ns),
                "closed_by": None if close is None else close.closed_by,
                "last_entry": None if close is None else close.cutoff_entry_id,
                "seal": None if close is None else close.seal,
            }
        )  # fmt: skip
    return {"rows": rows, "timezone": zone, "currency": CURRENCY}


def _when(at_ns: int) -> str:
    at = datetime.fromtimestamp(at_ns // 10**9, UTC)
    return at.isoformat().replace("+00:00", "Z")


def show(desk: Desk, asked: WhichPeriod) -> dict[str, Any]:
    """Return how far one period is: its seal, who prepared and approved it, who may."""
    period = the_period(desk.books, desk.config, asked.period)
    state = period_state(desk.books, period.name)
    try:
        one = steps.closing(desk, period)
    except PeriodError:
        one = None
    found = STEPS.index(state)
    you = steps.who(desk, None)
    return {
        "period": period.name, "timezone": period.timezone, "state": state.value,
        "next": None if state is PeriodState.CLOSED else STEPS[found + 1].value,
        "back": None if state in (PeriodState.OPEN, PeriodState.CLOSED) else STEPS[found - 1].value,
        "mode": desk.config.finance.mode, "approvers": list(desk.config.finance.approvers),
        "approvals": steps.approvals_needed(desk), "you": you,
        "may_approve": steps.is_approver(desk, you),
        "seal": None if one is None else one.seal,
        "prepared_by": None if one is None else one.prepared_by,
        "approved_by": [] if one is None else one.approved_by,
        "approvals_needed": None if one is None else one.approvals_needed,
    }  # fmt: skip


def check(desk: Desk, asked: WhichChecks) -> dict[str, Any]:
    """Return what a step needs, and whether it is so."""
    period = the_period(desk.books, desk.config, asked.period)
    state = period_state(desk.books, period.name)
    step = asked.step or STEPS[min(STEPS.index(state) + 1, len(STEPS) - 1)]
    found = checks(desk, period, step)
    return {
        "rows": [_check(one) for one in found], "period": period.name, "state": state.value,
        "step": step.value, "passes": not any(one.stands for one in found),
    }  # fmt: skip


def _check(one: Check) -> dict[str, Any]:
    result = "ok" if one.problem is None else "failed" if one.stands else "accepted"
    return {
        "check": one.name, "step": one.step.value, "result": result,
        "problem": one.problem, "note": one.note, "accepted_by": one.accepted_by,
        "reason": one.reason,
    }  # fmt: skip


def step(desk: Desk, asked: TakeStep) -> dict[str, Any]:
    """Take a period one step on, or back with a reason."""
    period = the_period(desk.books, desk.config, asked.period)
    state = steps.take_step(desk, period, asked.to, by=asked.by, reason=asked.reason)
    return {"period": period.name, "state": state.value}


def accept(desk: Desk, asked: AcceptCheck) -> dict[str, Any]:
    """Accept a check that fails, with exactly the problem that it has now."""
    period = the_period(desk.books, desk.config, asked.period)
    found = steps.accept(desk, period, asked.check, by=asked.by, reason=asked.reason)
    return {"rows": [_check(one) for one in found], "period": period.name}


def seal(desk: Desk, asked: MakeSeal) -> dict[str, Any]:
    """Prepare the close of a period; close it where no approval is needed."""
    period = the_period(desk.books, desk.config, asked.period)
    return _closing(steps.seal_period(desk, period, by=asked.by))


def approve(desk: Desk, asked: Approve) -> dict[str, Any]:
    """Approve a seal; the last approval that is needed closes the period."""
    period = the_period(desk.books, desk.config, asked.period)
    return _closing(steps.approve(desk, period, by=asked.by, seal=asked.seal))


def _closing(one: steps.Closing) -> dict[str, Any]:
    return {
        "period": one.period, "state": one.state.value, "seal": one.seal,
        "approved_by": one.approved_by, "approvals_needed": one.approvals_needed,
    }  # fmt: skip


def balance(desk: Desk, asked: WhichBalance) -> dict[str, Any]:
    """Return the trial balance of a period as billed."""
    period = the_period(desk.books, desk.config, asked.period)
    found = trial_balance(desk, period, asked.by)
    rows = [
        {
            "account": name,
            "debit_usd": usd_text(max(amount, 0)),
            "credit_usd": usd_text(max(-amount, 0)),
        }
        for name, amount in found.accounts.items()
    ]
    debit = sum(amount for amount in found.accounts.values() if amount > 0)
    credit = -sum(amount for amount in found.accounts.values() if amount < 0)
    return {
        "rows": rows, "totals": {"debit_usd": usd_text(debit), "credit_usd": usd_text(credit)},
        "difference_usd": usd_text(found.total), "problems": found.problems,
        "period": period.name, "currency": CURRENCY,
    }  # fmt: skip


def verify(desk: Desk, asked: WhichPeriod) -> dict[str, Any]:
    """Recompute the seal of a closed period and say what is not as it was."""
    kept, found = verify_period(desk, asked.period)
    return {
        "rows": [one._asdict() for one in found], "period": kept.period, "seal": kept.seal,
        "last_entry": kept.cutoff_entry_id, "prepared_by": kept.prepared_by,
        **came_later(desk, kept.period), "currency": CURRENCY,
    }  # fmt: skip


def history(desk: Desk, asked: WhichPeriod) -> dict[str, Any]:
    """Return what was done to a period, oldest first."""
    Period.parse(asked.period)
    rows = [
        {
            "at": _when(event.at_ns), "who": event.actor, "what": event.kind.value,
            "detail": " ".join(str(value) for value in event.detail.values()),
            "reason": event.reason,
        }
        for event in period_history(desk.books, asked.period)
    ]  # fmt: skip
    return {"rows": rows, "period": asked.period}


STATUS: Final = Operation(
    "periods.status", "GET", "/periods", Nothing, status,
    "List billing periods and how far they are.",
)  # fmt: skip
SHOW: Final = Operation(
    "periods.show", "GET", "/periods/show", WhichPeriod, show,
    "Show how far one billing period is, and who may approve it.",
)  # fmt: skip
CHECK: Final = Operation(
    "periods.check", "GET", "/periods/checks", WhichChecks, check,
    "Return what the next step of a period needs.",
)  # fmt: skip
STEP: Final = Operation(
    "periods.step", "POST", "/periods/step", TakeStep, step, "Move a period on, or back.",
)  # fmt: skip
ACCEPT: Final = Operation(
    "periods.accept", "POST", "/periods/accept", AcceptCheck, accept,
    "Accept a check that fails, with a reason.",
)  # fmt: skip
SEAL: Final = Operation(
    "periods.seal", "POST", "/periods/seal", MakeSeal, seal,
    "Prepare the close of a period: fix its last entry and seal it.", writes=True,
)  # fmt: skip
APPROVE: Final = Operation(
    "periods.approve", "POST", "/periods/approve", Approve, approve,
    "Approve the seal of a period; the last approval closes it.",
)  # fmt: skip
TRIAL_BALANCE: Final = Operation(
    "periods.trial_balance", "GET", "/periods/trial-balance", WhichBalance, balance,
    "Return the trial balance of a period.",
)  # fmt: skip
VERIFY: Final = Operation(
    "periods.verify", "GET", "/periods/verify", WhichPeriod, verify,
    "Compare a closed period with its seal.",
)  # fmt: skip
HISTORY: Final = Operation(
    "periods.history", "GET", "/periods/history", WhichPeriod, history,
    "Return what was done to a period.",
)  # fmt: skip
OPERATIONS: Final = (
    STATUS, SHOW, CHECK, STEP, ACCEPT, SEAL, APPROVE, TRIAL_BALANCE, VERIFY, HISTORY,
)  # fmt: skip

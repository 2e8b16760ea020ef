"""Reconciliations as rows of text, for the API and for commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.reconcile.keys import DAY_NS
from tollbook.chargeback.reconcile.model import Cause, MoneyBasis
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.model import Reconciliation, Shown

CURRENCY: Final = "USD"


def time_text(at_ns: int) -> str:
    """Return a time as RFC 3339, UTC."""
    return datetime.fromtimestamp(at_ns // 10**9, UTC).isoformat()


def run_row(run: Reconciliation) -> dict[str, Any]:
    """Return a run in one row; what no statement speaks of is None, never zero."""
    is_told = run.basis is not MoneyBasis.NONE
    return {
        "provider": run.provider, "period": run.period, "basis": run.basis.value,
        "billed_usd": usd_text(run.billed) if is_told else None,
        "ledger_usd": usd_text(run.ledger),
        "difference_usd": usd_text(run.difference) if is_told else None,
        "unexplained_usd": usd_text(run.unexplained) if is_told else None,
        "trued_up_usd": usd_text(run.trued_up),
        "left_usd": usd_text(run.difference - run.trued_up) if is_told else None,
        "coverage_percent": run.coverage,
        "accuracy_percent": run.accuracy, "finality": "final" if run.is_final else "provisional",
        "state": run.state.value, "run_id": run.run_id, "created_at": time_text(run.created_at_ns),
        "author": run.author, "currency": CURRENCY,
    }  # fmt: skip


def run_detail(run: Reconciliation) -> dict[str, Any]:
    """Return what stands beside the row of a run."""
    return {
        "run_id": run.run_id, "tolerance_usd": usd_text(run.tolerance),
        "usage_billed_usd": usd_text(run.usage_billed), "covered_usd": usd_text(run.covered),
        "errors_usd": usd_text(run.errors), "statements": list(run.statements),
        "words": list(run.words),
        "causes": [
            {"cause": cause.value, "amount_usd": usd_text(amount)}
            for cause in Cause
            if (amount := sum(one.amount for one in run.differences if one.cause is cause))
        ],
    }  # fmt: skip


def difference_row(one: Shown, now_ns: int) -> dict[str, Any]:
    """Return a difference in one row; its age is that of the first run that found it."""
    of = one.difference
    return {
        "id": of.fingerprint, "provider": of.provider, "period": of.period,
        "cause": of.cause.value, "amount_usd": usd_text(of.amount), "tokens": of.tokens,
        "model": of.model, "kind": of.kind, "tier": of.tier,
        "since": time_text(of.since_ns), "until": time_text(of.until_ns),
        "days": len(of.days), "age_days": max(now_ns - one.first_seen_ns, 0) // DAY_NS,
        "state": one.state.value, "owner": one.owner, "note": one.note,
        "evidence": of.evidence, "currency": CURRENCY,
    }  # fmt: skip

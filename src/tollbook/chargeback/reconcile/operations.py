"""What can be asked of reconciliation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from tollbook import clock
from tollbook.chargeback.periods.period import Period
from tollbook.chargeback.reconcile.answers import difference_row, run_detail, run_row
from tollbook.chargeback.reconcile.errors import NoDifferenceError, NoRunError
from tollbook.chargeback.reconcile.model import Cause, MoneyBasis, State
from tollbook.chargeback.reconcile.policy import DEFAULT_NAME, policy_at, put_policy
from tollbook.chargeback.reconcile.run import reconcile_provider
from tollbook.chargeback.reconcile.shelf import (
    reconciliations_of,
    remark,
    remarks_on,
    shown,
)
from tollbook.chargeback.reconcile.trueup import book_true_up, plan_true_up, true_up_rows
from tollbook.chargeback.statements.shelf import providers_of, statements
from tollbook.desk import Operation
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.errors import UnknownNameError
from tollbook.reports.query import SpendQuery
from tollbook.reports.times import parse_period
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.model import Reconciliation
    from tollbook.chargeback.reconcile.trueup import TrueUp
    from tollbook.desk import Desk

Month = Annotated[str, Meta(max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Words = Annotated[str, Meta(max_length=4000)]
_WEEK = timedelta(days=7)


class RunRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Reconcile a month, whole or week by week."""

    period: Month
    provider: Name | None = None
    weekly: bool = False


class ListRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The newest runs."""

    period: Month | None = None
    provider: Name | None = None


class DifferencesRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Differences of the newest runs."""

    period: Month | None = None
    provider: Name | None = None
    state: State | None = None
    cause: Cause | None = None


class DifferenceRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One difference with all its evidence."""

    difference: Name


class AssignRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Give a difference an owner."""

    difference: Name
    owner: Name
    note: Words | None = None


class NoteRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Say something of a difference."""

    difference: Name
    note: Words
    state: State | None = None


class AcceptRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Accept a difference, or the runs of a period."""

    difference: Name | None = None
    period: Month | None = None
    provider: Name | None = None
    note: Words | None = None


class TrueUpRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Show or book what brings the ledger of a month to the invoice."""

    period: Month
    provider: Name | None = None
    apply: bool = False


class PlanRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a true-up would book by the newest runs of a month."""

    period: Month
    provider: Name | None = None


class PolicyRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keep a version of a true-up policy."""

    name: Name = DEFAULT_NAME
    body: str
    effective_from: Annotated[str, Meta(max_length=64)]
    reason: Words


class ShowPolicyRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The policy in force for a provider."""

    provider: Name
    at: Annotated[str, Meta(max_length=64)] = "now"


def _run(desk: Desk, asked: RunRequest) -> dict[str, Any]:
    month = Period.parse(asked.period)
    providers = _wanted(desk, asked.provider, month)
    spans = _weeks(month) if asked.weekly else [(month.start, month.end)]
    runs: list[Reconciliation] = []
    for at, provider in enumerate(providers):
        desk.progress(at, len(providers))
        runs.extend(reconcile_provider(desk, provider, *span) for span in spans)
    desk.progress(len(providers), len(providers))
    return _answer(runs)


def _answer(runs: list[Reconciliation]) -> dict[str, Any]:
    told = [run for run in runs if run.basis is not MoneyBasis.NONE]
    return {
        "rows": [run_row(run) for run in runs], "runs": [run_detail(run) for run in runs],
        "unexplained_usd": usd_text(sum(run.unexplained for run in told)),
        "tolerance_usd": usd_text(sum(run.tolerance for run in told)),
    }  # fmt: skip


def _wanted(desk: Desk, provider: str | None, month: Period) -> list[str]:
    if provider is None:
        return _providers(desk, month)
    if provider not in desk.config.providers:
        known = {*desk.config.providers, *_providers(desk, month)}
        known |= {one.provider for one in statements(desk.books)}
        if provider not in known:
            raise UnknownNameError("--provider", provider, known)
    return [provider]


def _providers(desk: Desk, month: Period) -> list[str]:
    """Return the providers with calls, adjustments or lines of statements in the month."""
    known = providers_of(desk.books, month.start_ns, month.end_ns)
    query = SpendQuery(since=month.start, until=month.end, by=("provider",), measures=("cost_usd",))
    used = {row["provider"] for row in wide_rows(desk.reader, query) if row["provider"]}
    return sorted(used | known)


def _weeks(month: Period) -> list[tuple[datetime, datetime]]:
    """Return the weeks of a month, from Monday; the first and the last as far as they are in it."""
    spans, at = [], month.start
    while at < month.end:
        following = min(at + timedelta(days=7 - at.weekday()), month.end)
        spans.append((at, following))
        at = following
    return spans


def _list(desk: Desk, asked: ListRequest) -> dict[str, Any]:
    return _answer(reconciliations_of(desk.books, asked.period, asked.provider))


def _differences(desk: Desk, asked: DifferencesRequest) -> dict[str, Any]:
    now_ns = clock.unix_ns()
    found = shown(desk.books, reconciliations_of(desk.books, asked.period, asked.provider))
    return {
        "rows": [
            difference_row(one, now_ns)
            for one in found
            if asked.cause in {None, one.difference.cause} and asked.state in {None, one.state}
        ]
    }


def _difference(desk: Desk, asked: DifferenceRequest) -> dict[str, Any]:
    found = [
        one for one in shown(desk.books, reconciliations_of(desk.books))
        if one.difference.fingerprint.startswith(asked.difference)
    ]  # fmt: skip
    if len(found) != 1:
        raise NoDifferenceError(
            asked.difference, "several begin so" if found else "there is none in the newest runs"
        )
    (one,) = found
    return {
        "rows": [difference_row(one, clock.unix_ns())],
        "days": list(one.difference.days),
        "parts": [
            {
                "model": part.model, "kind": part.kind, "tier": part.tier, "tokens": part.tokens,
                "amount_usd": usd_text(part.amount),
            }
            for part in one.difference.parts
        ],
        "remarks": remarks_on(desk.books, one.difference.fingerprint),
    }  # fmt: skip


def _assign(desk: Desk, asked: AssignRequest) -> dict[str, Any]:
    about = remark(
        desk.books, asked.difference, author=desk.author, state=State.ASSIGNED, owner=asked.owner,
        note=asked.note,
    )  # fmt: skip
    return {"difference": about, "state": State.ASSIGNED.value, "owner": asked.owner}


def _note(desk: Desk, asked: NoteRequest) -> dict[str, Any]:
    about = remark(
        desk.books, asked.difference, author=desk.author, state=asked.state, note=asked.note
    )
    return {"difference": about, "note": asked.note}


def _accept(desk: Desk, asked: AcceptRequest) -> dict[str, Any]:
    if (asked.difference is None) == (asked.period is None):
        raise NoDifferenceError(
            asked.difference or asked.period or "accept", "name a difference or a period, not both"
        )
    if asked.difference is not None:
        about = [asked.difference]
    else:
        runs = reconciliations_of(desk.books, asked.period, asked.provider)
        about = [run.run_id for run in runs if run.basis is not MoneyBasis.NONE]
        if not about:
            raise NoRunError(f"{asked.provider or ''} {asked.period}".strip())
    accepted = [
        remark(desk.books, one, author=desk.author, state=State.ACCEPTED, note=asked.note)
        for one in about
    ]
    return {"accepted": accepted}


def _true_up(desk: Desk, asked: TrueUpRequest) -> dict[str, Any]:
    month = Period.parse(asked.period)
    providers = _wanted(desk, asked.provider, month)
    rows, totals, ids = [], [], []
    words: list[str] = []
    for provider in providers:
        run = reconcile_provider(desk, provider, month.start, month.end)
        if asked.provider is None and run.basis in {MoneyBasis.NONE, MoneyBasis.USAGE}:
            continue
        words += [f"{provider} {run.period}: {told}" for told in run.words]
        plan = plan_true_up(desk, run)
        rows += true_up_rows(plan)
        if asked.apply:
            ids += book_true_up(desk, plan)
        totals.append(_planned(run, plan))
    return {
        "rows": rows, "totals": totals, "applied": asked.apply, "adjustment_ids": ids,
        "words": words,
    }  # fmt: skip


def _planned(run: Reconciliation, plan: TrueUp) -> dict[str, Any]:
    return {
        "provider": run.provider, "period": run.period, "billing_period": plan.billing_period,
        "policy": plan.policy_id, "billed_usd": usd_text(run.billed),
        "ledger_usd": usd_text(run.ledger),
        "booked_before_usd": usd_text(plan.wanted - plan.amount),
        "books_usd": usd_text(plan.amount), "kept_usd": usd_text(plan.kept),
        "left_usd": usd_text(run.difference - plan.wanted),
        "entries": len(plan.postings), "run_id": run.run_id,
    }  # fmt: skip


def _plan(desk: Desk, asked: PlanRequest) -> dict[str, Any]:
    month = Period.parse(asked.period)
    rows, totals, words = [], [], []
    for run in reconciliations_of(desk.books, month.name, asked.provider):
        if run.period != month.name or run.basis in {MoneyBasis.NONE, MoneyBasis.USAGE}:
            continue
        words += [f"{run.provider} {run.period}: {told}" for told in run.words]
        plan = plan_true_up(desk, run)
        rows += true_up_rows(plan)
        totals.append(_planned(run, plan))
    return {"rows": rows, "totals": totals, "words": words}


def _put_policy(desk: Desk, asked: PolicyRequest) -> dict[str, Any]:
    at = parse_period(asked.effective_from, zone_of("UTC"), clock.utc_now(), "effective_from").start
    document, is_new = put_policy(
        desk.books, asked.name, asked.body, effective_from_ns=int(at.timestamp()) * 10**9,
        author=desk.author, reason=asked.reason,
    )  # fmt: skip
    return {"document": document.document_id, "is_new": is_new}


def _show_policy(desk: Desk, asked: ShowPolicyRequest) -> dict[str, Any]:
    at = parse_period(asked.at, zone_of("UTC"), clock.utc_now(), "at").start
    policy, document = policy_at(desk.books, asked.provider, int(at.timestamp()) * 10**9)
    rows = [{"cause": cause.value, "target": policy.target(cause)} for cause in Cause]
    return {"rows": rows, "document": document, "own_keys": policy.own_keys}


def exceeds(unexplained_usd: str, tolerance_usd: str) -> bool:
    """Whether more is unexplained than is allowed."""
    return pico_from_usd(unexplained_usd) > pico_from_usd(tolerance_usd)


OPERATIONS = (
    Operation(
        "reconcile.run", "POST", "/reconciliations/run", RunRequest, _run,
        "Reconcile the ledger with what providers bill.",
    ),
    Operation(
        "reconcile.list", "GET", "/reconciliations", ListRequest, _list,
        "The newest reconciliation of each provider and period.",
    ),
    Operation(
        "reconcile.differences", "GET", "/reconciliations/differences", DifferencesRequest,
        _differences, "Differences with cause, evidence, state, owner and age.",
    ),
    Operation(
        "reconcile.difference", "GET", "/reconciliations/difference", DifferenceRequest,
        _difference, "One difference with its parts, days and remarks.",
    ),
    Operation(
        "reconcile.assign", "POST", "/reconciliations/assign", AssignRequest, _assign,
        "Give a difference an owner.",
    ),
    Operation(
        "reconcile.note", "POST", "/reconciliations/note", NoteRequest, _note,
        "Note something on a difference.",
    ),
    Operation(
        "reconcile.accept", "POST", "/reconciliations/accept", AcceptRequest, _accept,
        "Accept a difference, or the reconciliations of a period.",
    ),
    Operation(
        "reconcile.true-up", "POST", "/reconciliations/true-up", TrueUpRequest, _true_up,
        "Show or book what brings the ledger of a month to the invoice.", writes=True,
    ),
    Operation(
        "reconcile.plan", "GET", "/reconciliations/true-up", PlanRequest, _plan,
        "Show what a true-up would book by the newest runs of a month.",
    ),
    Operation(
        "reconcile.put-policy", "POST", "/reconciliations/policy", PolicyRequest, _put_policy,
        "Keep a version of a true-up policy.",
    ),
    Operation(
        "reconcile.policy", "GET", "/reconciliations/policy", ShowPolicyRequest, _show_policy,
        "The true-up policy in force for a provider.",
    ),
)  # fmt: skip

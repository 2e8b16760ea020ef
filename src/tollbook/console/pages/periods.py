"""Closing: months and how far they are, and one month with what stands in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.finance_parts import (
    answered,
    calls_url,
    columns,
    command,
    figures,
    month_controls,
    month_of,
    permitted,
    pico,
    sliced,
)
from tollbook.console.pages.page import Page
from tollbook.console.pages.period_steps import step_forms, steps_table
from tollbook.console.pages.view import Choice, Field, Figure, Notice, Table, View
from tollbook.desk.permits import Permit, Scope
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_ACCOUNTS: Final = 25
_BY: Final = ("tenant", "team", "cost_center", "feature")


def periods(context: PageContext) -> View:
    """Return every month and how far it is."""
    found = answered(context, "periods.status")
    rows = [
        row | {"_links": {
            "period": f"/period?period={row['period']}",
            "cost_usd": calls_url(context, row["period"], billed=True),
            "calls": calls_url(context, row["period"], billed=True),
        }}
        for row in reversed(found.rows)
    ]  # fmt: skip
    finance = context.house.desk.config.finance
    closed = sum(row["state"] == "closed" for row in rows)
    table = Table(
        name="periods", rows=rows,
        note="As billed: each entry is in exactly one month, and a closed month never changes. "
        "What comes later is booked into the month that is open.",
        empty="The ledger has no entry yet.",
        columns=columns(
            ("period", "Month"), ("state", "State", "state"), ("cost_usd", "Cost", "usd"),
            ("calls", "Calls", "count"), ("mode", "Mode"), ("closed_at", "Closed", "time"),
            ("closed_by", "By"), ("last_entry", "Last entry", "count"), ("seal", "Seal", "id"),
        ),
    )  # fmt: skip
    told = figures(
        Figure(label="Closed months", value=closed, kind="count"),
        Figure(label="Open months", value=len(rows) - closed, kind="count"),
        Figure(label="Mode", value=finance.mode, note=_mode_words(finance.mode)),
        Figure(label="Zone", value=found.answer.get("timezone")),
    )
    nothing = () if any(row["calls"] for row in rows) else (
        Notice(text="The ledger has no call yet, so there is no month to close.", tone="plain",
               url="/getting-started", action="Send one"),
    )  # fmt: skip
    return View(
        title="Close", sections=(*found.notices("bad"), *nothing, told, table), tz=context.tz,
        subtitle="Open, reconciled, allocated, closed; nothing is ever reopened.",
        command=command("close", "status"),
    )  # fmt: skip


def _mode_words(mode: str) -> str:
    if mode == "chargeback":
        return "owners are charged: a close needs approvals"
    return "owners see what they cost: a seal closes at once"


def period(context: PageContext) -> View:
    """Return one month: its state, the next step, checks, trial balance, what came later."""
    month = month_of(context)
    found = answered(context, "periods.show", period=month)
    sections: list[Section] = [*found.notices("bad")]
    if found.problem is None:
        checks = answered(context, "periods.check", period=month)
        told = found.answer
        sections += [_figures(told), steps_table(context, told)]
        sections += [*checks.notices("bad"), _checks(context, checks.answer, month)]
        sections += permitted(context, *step_forms(told, checks.rows))
        sections += [*_known_now(context, told), *_verified(context, told),
                     *_balance(context, month), _history(context, month)]  # fmt: skip
    by = Field(name="by", label="Trial balance by", kind="select", value=context.get("by"),
               options=tuple((name, name.replace("_", " ")) for name in _BY))  # fmt: skip
    return View(
        title=f"Close of {month}", sections=tuple(sections), tz=context.tz,
        controls=month_controls(context, by), trail=(Choice("Close", "/periods"),),
        actions=(Choice("Statements of tenants", context.url("/statements", period=month)),),
        command=command("close", "check", period=month),
    )  # fmt: skip


def _figures(told: dict[str, Any]) -> Section:
    named = told["approvers"]
    may = "you may approve" if told["may_approve"] else "you are not one of them"
    return figures(
        Figure(label="State", value=told["state"], kind="state"),
        Figure(label="Next", value=told["next"] or "nothing"),
        Figure(label="You are", value=told["you"]),
        Figure(label="Approvers", value=", ".join(named) if named else "anybody",
               note=f"{told['approvals'] or 'no'} approvals needed; {may}"),
        Figure(label="Sealed by", value=told["prepared_by"],
               note=f"as {told['seal'][:16]}" if told["seal"] else "not sealed yet"),
    )  # fmt: skip


def _checks(context: PageContext, answer: dict[str, Any], month: str) -> Table:
    rows = [
        row | {
            "_tone": {"failed": "bad", "accepted": "warn"}.get(row["result"], "plain"),
            "_links": {"check": _where(context, row["check"], month)},
        }
        for row in answer.get("rows", [])
    ]  # fmt: skip
    step = answer.get("step")
    return Table(
        name="checks", title=f"What it needs to be {step}", rows=rows,
        note="A check that fails stands in the way until it holds, or an approver accepts exactly "
        "the problem that it has now, with a reason.",
        empty="Nothing to check.",
        columns=columns(
            ("check", "Check"), ("step", "For"), ("result", "Result", "state"),
            ("problem", "Problem"), ("note", "Note"), ("accepted_by", "Accepted by"),
            ("reason", "Reason"),
        ),
    )  # fmt: skip


def _where(context: PageContext, check: str, month: str) -> str | None:
    """Return the page that a check is put right on."""
    name, _, provider = check.partition(":")
    pages = {
        "priced": "/prices/unpriced", "reconciled": "/reconciliation",
        "trued-up": "/reconciliation/true-up", "invoice": "/provider-statements",
        "allocated": "/allocation", "allocations-balance": "/allocation",
        "spool-read": "/quality",
    }  # fmt: skip
    if name not in pages:
        return None
    return context.url(pages[name], period=month, provider=provider or None)


def _known_now(context: PageContext, told: dict[str, Any]) -> list[Section]:
    """Return the sums as billed and as known now; they differ by what came later."""
    month, asked = told["period"], (("measures", "cost_usd,calls"), ("tz", told["timezone"]))
    billed = context.house.answers.spend([("billing_period", month), *asked]).totals
    known = context.house.answers.spend([("period", month), *asked]).totals
    later = pico(known, "cost_usd") - pico(billed, "cost_usd")
    return [figures(
        Figure(label="As billed", value=billed["cost_usd"], kind="usd",
               note=f"{billed['calls'] or 0:,} calls",
               url=calls_url(context, month, billed=True)),
        Figure(label="Of its days, as known now", value=known["cost_usd"], kind="usd",
               note=f"{known['calls'] or 0:,} calls", url=calls_url(context, month)),
        Figure(label="Difference", value=usd_text(later), kind="usd",
               note="booked in another month, because it came after a close"),
    )]  # fmt: skip


def _verified(context: PageContext, told: dict[str, Any]) -> list[Section]:
    """Compare a closed month with its seal, where that is asked for: it reads the whole month."""
    if told["state"] != "closed":
        return []
    if context.get("verify") is None:
        return [Notice(
            text=f"Sealed as {told['seal'][:16] if told['seal'] else 'unknown'}.", tone="plain",
            url=context.url(verify="yes"), action="Recompute the seal and compare",
        )]  # fmt: skip
    found = answered(context, "periods.verify", period=told["period"])
    if found.problem is not None:
        return list(found.notices("bad"))
    if not found.rows:
        return [Notice(
            text="The seal was made anew: everything that it covers is as it was. "
            f"{found.answer['came_later_calls']} calls came later.", tone="good",
        )]  # fmt: skip
    return [Table(
        name="changed", title="Not as it was sealed", rows=[
            row | {"_tone": "bad"} for row in found.rows
        ], columns=columns(("part", "Part"), ("name", "Name"), ("problem", "Problem")),
    )]  # fmt: skip


def _balance(context: PageContext, month: str) -> list[Section]:
    found = answered(context, "periods.trial_balance", period=month, by=context.get("by"))
    if found.problem is not None:
        return list(found.notices())
    shown = sliced(context, found.rows, "accounts_from", _ACCOUNTS)
    rows = [
        row | {"_links": {"account": _account_url(context, row["account"], month)}}
        for row in shown.rows
    ]
    return [
        *(Notice(text=problem) for problem in found.answer["problems"]),
        Table(
            name="trial_balance", title="Trial balance", rows=rows, next_url=shown.next_url,
            previous_url=shown.previous_url, total=found.answer["totals"],
            note="Cost by owner against what is owed and invoiced, from two queries; debits equal "
            f"credits up to {found.answer['difference_usd']} USD.",
            empty="The month has no entry.",
            columns=columns(("account", "Account"), ("debit_usd", "Debit", "usd"),
                            ("credit_usd", "Credit", "usd")),
        ),
    ]  # fmt: skip


def _account_url(context: PageContext, account: str, month: str) -> str | None:
    kind, _, name = account.partition(":")
    dimension = {"cost": context.get("by") or "tenant", "accrual": "provider",
                 "prior": "provider"}.get(kind)  # fmt: skip
    if dimension is None or name == "internal":
        return None
    return calls_url(
        context, month, {dimension: None if name == "unknown" else name}, billed=True
    )  # fmt: skip


def _history(context: PageContext, month: str) -> Table:
    found = answered(context, "periods.history", period=month)
    return Table(
        name="history", title="What was done", rows=found.rows,
        empty="Nothing was done to this month yet.",
        columns=columns(("at", "When", "time"), ("who", "Who"), ("what", "What", "state"),
                        ("detail", "Detail"), ("reason", "Reason")),
    )  # fmt: skip


_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (
    Page("/periods", "Close", periods, _SEEN, "Finance"),
    Page("/period", "Close of a month", period, _SEEN),
)

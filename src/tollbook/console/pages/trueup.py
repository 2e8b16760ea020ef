"""What a true-up of a month would book, and the form that books it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.console.pages.finance_parts import (
    answered,
    calls_url,
    columns,
    command,
    figures,
    hidden,
    month_controls,
    month_of,
    permitted,
    pico,
    sliced,
    sum_usd,
)
from tollbook.console.pages.view import Choice, Field, Figure, Form, Notice, Table, View

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section


def true_up(context: PageContext) -> View:
    """Return the plan of a true-up by the newest runs of a month."""
    month, provider = month_of(context), context.get("provider")
    found = answered(context, "reconcile.plan", period=month, provider=provider)
    totals = found.answer.get("totals", [])
    sections: list[Section] = [*found.notices("bad")]
    sections += [Notice(text=words) for words in found.answer.get("words", [])]
    if totals:
        sections.append(figures(
            Figure(label="Billed", value=sum_usd(totals, "billed_usd"), kind="usd"),
            Figure(label="Ledger", value=sum_usd(totals, "ledger_usd"), kind="usd",
                   url=calls_url(context, month)),
            Figure(label="Booked before", value=sum_usd(totals, "booked_before_usd"), kind="usd"),
            Figure(label="Would book", value=sum_usd(totals, "books_usd"), kind="usd"),
            Figure(label="Left after that", value=sum_usd(totals, "left_usd"), kind="usd"),
        ))  # fmt: skip
    sections += [_totals(month, totals), _rows(context, found.rows, month)]
    if any(pico(row, "books_usd") or row["entries"] for row in totals):
        sections += permitted(context, _form(month, provider))
    policy = _policy(context, totals, provider)
    return View(
        title="True-up", sections=(*sections, *policy), tz=context.tz,
        subtitle=f"{month}: what brings the ledger to what is payable.",
        controls=month_controls(context),
        command=command("reconcile", "true-up", period=month, provider=provider),
        trail=(Choice("Reconciliation", context.url("/reconciliation", period=month)),),
    )  # fmt: skip


def _totals(month: str, totals: list[dict[str, Any]]) -> Table:
    return Table(
        name="totals", title="Providers", rows=totals,
        note="What it books is what the differences say by the policy, less what was booked "
        "before: twice is once.",
        empty=f"No run of {month} rests on an invoice or cost report. Reconcile the month first.",
        columns=columns(
            ("provider", "Provider"), ("billed_usd", "Billed", "usd"),
            ("ledger_usd", "Ledger", "usd"), ("booked_before_usd", "Booked before", "usd"),
            ("books_usd", "Would book", "usd"), ("kept_usd", "Kept as variance", "usd"),
            ("left_usd", "Left", "usd"), ("entries", "Entries", "count"),
            ("billing_period", "Stands in"), ("policy", "Policy", "id"),
        ),
    )  # fmt: skip


def _rows(context: PageContext, rows: list[dict[str, Any]], month: str) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = {name: "usd" for name in names if name.endswith("_usd")}
    shown = sliced(context, [
        row | {"_links": {"tenant": calls_url(context, month, {"tenant": row.get("tenant")})}}
        for row in rows
    ])  # fmt: skip
    return Table(
        name="entries", title="What would be booked", rows=shown.rows, next_url=shown.next_url,
        previous_url=shown.previous_url, empty="Nothing: the ledger is what is payable.",
        columns=tuple(
            columns((name, name.removesuffix("_usd").replace("_", " ").capitalize(),
                     "usd" if name in kinds else "name" if name == "tenant" else "text"))[0]
            for name in names if name != "currency"
        ),
    )  # fmt: skip


def _form(month: str, provider: str | None) -> Form:
    return Form(
        name="book", operation="reconcile.true-up", title="Book the true-up", is_dangerous=True,
        submit=f"Book the true-up of {month}",
        note="Appends adjustments on the last day of the month; a closed month is corrected in the "
        "one that is open. The month is reconciled anew first, so that what is booked is what is "
        "billed now.",
        fields=(*hidden(period=month, provider=provider),
                Field(name="apply", label="apply", kind="hidden", value="true")),
    )  # fmt: skip


def _policy(
    context: PageContext, totals: list[dict[str, Any]], provider: str | None
) -> tuple[Section, ...]:
    """Return whose each cause is, by the policy in force, and a form for another one."""
    whose = provider or (totals[0]["provider"] if totals else None)
    if whose is None:
        return ()
    found = answered(context, "reconcile.policy", provider=whose)
    table = Table(
        name="policy", title=f"Whose each cause is, for {whose}", rows=found.rows,
        note=f"By {found.answer.get('document', 'no policy')}.",
        columns=columns(("cause", "Cause"), ("target", "Whose")),
    )  # fmt: skip
    form = Form(
        name="policy", operation="reconcile.put-policy", title="Another policy", is_folded=True,
        submit="Keep the policy",
        note='JSON such as {"causes": {"bypass": "tenant:platform", "tax": "keep"}}: '
        "proportional, unattributed, tenant:NAME or keep for each cause.",
        fields=(
            Field(name="name", label="Name", value="default",
                  help="default, or the name of a provider: that one goes before it."),
            Field(name="body", label="Policy", kind="textarea", is_required=True),
            Field(name="effective_from", label="From", kind="date", is_required=True),
            Field(name="reason", label="Reason", is_required=True),
        ),
    )  # fmt: skip
    return (table, *permitted(context, form))

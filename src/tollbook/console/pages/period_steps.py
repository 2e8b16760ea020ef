"""The steps of a month's close in their order, and the form of the one that comes next.

Whoever has signed in does what a form does: no form has a field for a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.finance_parts import REASON, columns, hidden
from tollbook.console.pages.view import Field, Form, Table

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_STEPS: Final = (
    ("import", "Provider statements", "Import what providers bill for the month.",
     "/provider-statements", "open"),
    ("reconcile", "Reconciliation", "Reconcile, explain differences, accept what is left.",
     "/reconciliation", "open"),
    ("reconciled", "Step to reconciled", "What the checks below ask for is so.", None, "open"),
    ("true-up", "True-up", "Book what brings the ledger to what is payable.",
     "/reconciliation/true-up", "reconciled"),
    ("allocate", "Allocation", "Book what the allocation policy moves.", "/allocation",
     "reconciled"),
    ("allocated", "Step to allocated", "Entries come to the invoices, allocations to zero.", None,
     "reconciled"),
    ("seal", "Seal", "Fix the last entry, and hash all that the month rests on.", None,
     "allocated"),
    ("approve", "Approve", "The last approval closes the month.", None, "allocated"),
)  # fmt: skip
_TERMS: Final = "terms-applied"
_ORDER: Final = ("open", "reconciled", "allocated", "closed")


def steps_table(context: PageContext, told: dict[str, Any]) -> Table:
    """Return the steps with what is done, what is next and what comes later."""
    at = _ORDER.index(told["state"])
    rows = []
    for name, label, words, path, state in _STEPS:
        done = _ORDER.index(state) < at or (name == "seal" and told["seal"] is not None)
        if name == "approve" and told["mode"] == "showback":
            words = "Not needed in showback: the seal closes the month."  # noqa: PLW2901 -- its own words
        rows.append({
            "step": label, "what": words,
            "state": "done" if done else "now" if state == told["state"] else "later",
            "_links": {} if path is None else {"step": context.url(path, period=told["period"])},
        })  # fmt: skip
    return Table(
        name="steps", title="Steps", rows=rows,
        columns=columns(("step", "Step"), ("what", "What"), ("state", "State", "state")),
    )  # fmt: skip


def step_forms(told: dict[str, Any], checks: list[dict[str, Any]]) -> tuple[Form | None, ...]:
    """Return the forms of a month as it is: the next step first."""
    if told["next"] is None:
        return ()
    month = told["period"]
    failing = list(dict.fromkeys(row["check"] for row in checks if row["result"] == "failed"))
    return (
        _terms(month) if _TERMS in failing else None,
        _next(told, month, is_blocked=bool(failing)),
        _accept(told, month, failing),
        _back(told, month),
    )


def _terms(month: str) -> Form:
    return Form(
        name="terms", operation="terms.apply", title="Apply price terms", is_dangerous=True,
        submit=f"Book the price terms of {month}",
        note="Books what volume tiers, quotas, capacity and commitments of the month come to, less "
        "what was booked of it before: twice is once.",
        fields=hidden(period=month),
    )  # fmt: skip


def _next(told: dict[str, Any], month: str, *, is_blocked: bool) -> Form:
    blocked = " Checks above still fail, so it will be refused." if is_blocked else ""
    if told["next"] != "closed":
        return Form(
            name="step", operation="periods.step", title=f"Next: {told['next']}",
            submit=f"{month} is {told['next']}", note=f"In your name, {told['you']}.{blocked}",
            fields=hidden(period=month, to=told["next"]),
        )  # fmt: skip
    if told["seal"] is None or not told["approvals_needed"]:
        closes = (
            "This closes the month, for ever."
            if told["mode"] == "showback"
            else (f"It is closed by {told['approvals']} approvals.")
        )
        return Form(
            name="seal", operation="periods.seal", title="Next: seal", submit=f"Seal {month}",
            note=f"{closes} In your name, {told['you']}.{blocked}", is_dangerous=True,
            fields=hidden(period=month),
        )  # fmt: skip
    given = ", ".join(told["approved_by"]) or "nobody"
    return Form(
        name="approve", operation="periods.approve", title="Next: approve", is_dangerous=True,
        submit=f"Approve {month} as {told['you']}",
        note=f"Seal {told['seal'][:16]}, prepared by {told['prepared_by']}; approved by {given}, "
        f"{told['approvals_needed']} more needed. Exactly this seal is approved; if anything but "
        "later entries has changed since, it is refused.",
        fields=hidden(period=month, seal=told["seal"]),
    )  # fmt: skip


def _accept(told: dict[str, Any], month: str, failing: list[str]) -> Form | None:
    if not failing or not told["may_approve"]:
        return None
    options = tuple((name, name) for name in failing)
    return Form(
        name="accept", operation="periods.accept", title="Accept a check that fails",
        submit="Accept it", is_folded=True,
        note="Exactly the problem that it has now; another count or amount has to be accepted "
        "again.",
        fields=(
            *hidden(period=month),
            Field(name="check", label="Check", kind="select", options=options), REASON,
        ),
    )  # fmt: skip


def _back(told: dict[str, Any], month: str) -> Form | None:
    if told["back"] is None:
        return None
    return Form(
        name="back", operation="periods.step", title=f"Back to {told['back']}", is_folded=True,
        submit=f"Take {month} back to {told['back']}", is_dangerous=True,
        note="Voids the seal and its approvals, where there are any.",
        fields=(*hidden(period=month, to=told["back"]), REASON),
    )  # fmt: skip

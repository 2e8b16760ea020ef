"""Forms of the page of allocation: book, another policy, a shared cost, a metric."""

from __future__ import annotations

from typing import Final

from tollbook.console.pages.finance_parts import REASON, hidden
from tollbook.console.pages.view import Field, Form

_EXAMPLE: Final = """[[rules]]
name = "rest"
source = { unattributed = true }
method = { type = "proportional" }"""
_AGGREGATES: Final = (("last", "the last row"), ("sum", "the sum"), ("average", "the average"))


def run_form(month: str, policy: str, version: str | None) -> Form:
    """Return the form that books what is previewed."""
    return Form(
        name="run", operation="allocate.run", title="Book it", is_dangerous=True,
        submit=f"Book the allocation of {month}",
        note="Books the difference to what was booked before, as adjustments that come to 0; again "
        "it books nothing.",
        fields=hidden(period=month, policy=policy, version=version),
    )  # fmt: skip


def policy_form(policy: str, month: str) -> Form:
    """Return the form that keeps a policy."""
    return Form(
        name="policy", operation="allocate.policy", title="Import a policy", is_folded=True,
        submit="Keep the policy",
        note="TOML or JSON; a new version from a month on. It is previewed here before anything "
        "is booked.",
        fields=(
            Field(name="name", label="Name", value=policy, is_required=True),
            Field(name="body", label="Policy", kind="textarea", is_object=True, is_required=True,
                  placeholder=_EXAMPLE),
            Field(name="effective_from", label="From month", value=month, is_required=True),
            REASON,
        ),
    )  # fmt: skip


def cost_form(month: str) -> Form:
    """Return the form that enters a shared cost."""
    return Form(
        name="cost", operation="allocate.cost", title="Enter a shared cost", is_folded=True,
        submit=f"Enter it for {month}",
        note="What it is in the month as a whole: entering the same again books nothing, another "
        "amount books the difference.",
        fields=(
            *hidden(period=month),
            Field(name="name", label="Name", placeholder="gateway", is_required=True),
            Field(name="amount", label="Dollars", is_required=True),
            Field(name="owner", label="Owner", help="Empty: the central tenant of the settings."),
            REASON,
        ),
    )  # fmt: skip


def metric_form() -> Form:
    """Return the form that keeps a metric."""
    return Form(
        name="metric", operation="allocate.metric", title="Import a metric", is_folded=True,
        submit="Keep the metric", note="CSV with owner, date and quantity.",
        fields=(
            Field(name="name", label="Name", placeholder="seats", is_required=True),
            Field(name="csv", label="CSV file", kind="file", is_required=True),
            Field(name="unit", label="Unit", value="units"),
            Field(name="aggregate", label="Of a month", kind="select", options=_AGGREGATES),
            REASON,
        ),
    )  # fmt: skip

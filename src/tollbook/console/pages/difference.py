"""One difference of a reconciliation: its evidence, parts and days, and who works on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.console.pages.finance_parts import (
    answered,
    calls_url,
    columns,
    command,
    facts,
    figures,
    hidden,
    permitted,
    sliced,
)
from tollbook.console.pages.view import Choice, Field, Figure, Form, Table, View

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_STATES = (("", "as it is"), ("open", "open"), ("disputed", "disputed with the provider"))


def difference(context: PageContext) -> View:
    """Return the difference that the URL names."""
    about = context.need("id", "the id of a difference, see the page of reconciliation")
    found = answered(context, "reconcile.difference", difference=about)
    sections: list[Section] = [*found.notices("bad")]
    period = None
    for row in found.rows:
        period = row["period"]
        sections += _told(context, found.answer, row)
        sections += permitted(context, *_forms(row))
    return View(
        title=f"Difference {about}", sections=tuple(sections), tz=context.tz,
        trail=(Choice("Reconciliation", context.url("/reconciliation", period=period)),),
        command=command("reconcile", "evidence", about),
    )  # fmt: skip


def _told(context: PageContext, answer: dict[str, Any], row: dict[str, Any]) -> list[Section]:
    named = {"provider": row["provider"]}
    if row["model"] is not None:
        named["model"] = row["model"]
    month = row["period"] if "/" not in row["period"] else None
    calls = context.url(
        "/calls", since=row["since"], until=row["until"],
        where=[f"{name}={value}" for name, value in named.items()],
    ) if month is None else calls_url(context, month, named)  # fmt: skip
    parts = sliced(context, answer["parts"])
    return [
        figures(
            Figure(label="Amount", value=row["amount_usd"], kind="usd", url=calls,
                   note="what is billed, less what the ledger has"),
            Figure(label="Cause", value=row["cause"].replace("_", " ")),
            Figure(label="Tokens", value=row["tokens"], kind="count"),
            Figure(label="State", value=row["state"], kind="state", note=row["owner"]),
            Figure(label="Age", value=row["age_days"], kind="count", note="days"),
        ),
        facts("evidence", "Evidence", [
            *((name.replace("_", " "), value) for name, value in row["evidence"].items()),
            ("provider", row["provider"]), ("period", row["period"]), ("model", row["model"]),
            ("since", row["since"]), ("until", row["until"]),
        ]),
        Table(
            name="parts", title="Parts", rows=parts.rows, next_url=parts.next_url,
            previous_url=parts.previous_url, total={"amount_usd": row["amount_usd"]},
            note="What the amount is made of, by model, kind of tokens and tier.",
            empty="The difference is not of single models.",
            columns=columns(("model", "Model"), ("kind", "Kind"), ("tier", "Tier"),
                            ("tokens", "Tokens", "count"), ("amount_usd", "Amount", "usd")),
        ),
        Table(
            name="days", title="Days", rows=[{"day": day} for day in answer["days"]],
            empty="It is of the whole time.", columns=columns(("day", "Day, UTC")),
        ),
        Table(
            name="remarks", title="What was said of it", rows=answer["remarks"],
            empty="Nobody has said anything yet.",
            columns=columns(*((name, name.replace("_", " ").capitalize())
                              for name in _names(answer["remarks"]))),
        ),
    ]  # fmt: skip


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row)) or ["note"]


def _forms(row: dict[str, Any]) -> tuple[Form, ...]:
    about = hidden(difference=row["id"])
    note = Field(name="note", label="Note")
    return (
        Form(
            name="assign", operation="reconcile.assign", title="Give it an owner", submit="Assign",
            fields=(*about, Field(name="owner", label="Owner", value=row["owner"],
                                  is_required=True), note),
        ),
        Form(
            name="note", operation="reconcile.note", title="Say something", submit="Note it",
            note="Notes are only ever added.",
            fields=(*about, Field(name="note", label="Note", kind="textarea", is_required=True),
                    Field(name="state", label="State", kind="select", options=_STATES)),
        ),
        Form(
            name="accept", operation="reconcile.accept", title="Accept it", submit="Accept",
            is_folded=True, note="In your name: it no longer stands in the way of the close.",
            fields=(*about, note),
        ),
    )  # fmt: skip

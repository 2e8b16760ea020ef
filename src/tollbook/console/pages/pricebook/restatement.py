"""What the prices of now would change of what is booked; booked only from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.console.pages.finance_parts import (
    REASON,
    answered,
    calls_url,
    columns,
    command,
    figures,
    hidden,
    permitted,
    sliced,
)
from tollbook.console.pages.pricebook.parts import import_form, tabs, try_form
from tollbook.console.pages.view import Controls, Field, Figure, Form, Notice, Table, View

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Kind, Section


def restatement(context: PageContext) -> View:
    """Return the preview for a range that is named: it reads every call of it again."""
    since, until = context.get("from_date"), context.get("to_date")
    sections: list[Section] = []
    if since is None:
        sections.append(Notice(
            text="Choose from which day on calls shall be looked at: each is priced again with the "
            "cards of now, and nothing is booked by looking.", tone="plain",
        ))  # fmt: skip
    else:
        found = answered(context, "prices.restatement", since=since, until=until)
        sections += found.notices("bad")
        if found.problem is None:
            sections += _told(context, found.answer)
            if found.rows:
                sections += permitted(context, _book_form(since, until))
    sections += permitted(context, try_form(), import_form())
    return View(
        title="Restatement", sections=tuple(sections), tz=context.tz,
        subtitle="What the prices of now would change of what is booked.",
        controls=Controls(has_range=False, has_filters=False, tabs=tabs(context), fields=(
            Field(name="from_date", label="Calls from", kind="date", value=since),
            Field(name="to_date", label="until", kind="date", value=until),
        )),
        command=command("prices", "rerate", since=since, until=until),
    )  # fmt: skip


def _told(context: PageContext, answer: dict[str, Any]) -> list[Section]:
    totals = answer["totals"]
    money: tuple[tuple[str, str, Kind], ...] = (
        ("before_usd", "Before", "usd"), ("after_usd", "After", "usd"),
        ("change_usd", "Change", "usd"),
    )  # fmt: skip
    tenants = sliced(context, answer["tenants"])
    models = sliced(context, answer["rows"], "models_from")
    months = [
        row | {"_links": {"month": calls_url(context, row["month"])}} for row in answer["months"]
    ]
    return [
        figures(
            Figure(label="Calls that change", value=totals["calls"], kind="count"),
            Figure(label="Booked now", value=totals["before_usd"], kind="usd"),
            Figure(label="Would be", value=totals["after_usd"], kind="usd"),
            Figure(label="Change", value=totals["change_usd"], kind="usd"),
        ),
        Table(
            name="months", title="By month", rows=months, total=totals,
            note="What changes in a closed month is booked in the month that is open.",
            empty="No call of this range would change its price.",
            columns=columns(("month", "Month"), ("period", "State", "state"),
                            ("calls", "Calls", "count"), *money),
        ),
        Table(
            name="tenants", title="By tenant", rows=[
                row | {"_links": {"tenant": calls_url(
                    context, None, {"tenant": None if row["tenant"] == "unknown"
                                    else row["tenant"]})}}
                for row in tenants.rows
            ], total=totals, next_url=tenants.next_url, previous_url=tenants.previous_url,
            empty="No tenant is concerned.",
            columns=columns(("tenant", "Tenant", "name"), ("calls", "Calls", "count"), *money,
                            ("unpriced_before", "Unpriced before", "count"),
                            ("unpriced_after", "Unpriced after", "count")),
        ),
        Table(
            name="models", title="By tenant and model", rows=models.rows,
            next_url=models.next_url, previous_url=models.previous_url,
            empty="No model is concerned.",
            columns=columns(("tenant", "Tenant", "name"), ("provider", "Provider"),
                            ("model", "Model"), ("calls", "Calls", "count"), *money,
                            ("cards_before", "Cards before", "id"),
                            ("cards_after", "Cards after", "id")),
        ),
    ]  # fmt: skip


def _book_form(since: str, until: str | None) -> Form:
    return Form(
        name="book", operation="prices.restate", title="Book the restatement",
        submit="Book the change", is_dangerous=True,
        note="Each call that changes gets a reversal and a new charge; nothing is rewritten, and "
        "booking twice books nothing more.",
        fields=(*hidden(since=since, until=until), REASON),
    )  # fmt: skip

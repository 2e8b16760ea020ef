"""What changed between two dates, who changed it, and the exchange rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.console.pages.finance_parts import (
    REASON,
    answered,
    columns,
    command,
    permitted,
    searched,
    sliced,
)
from tollbook.console.pages.pricebook.parts import tabs
from tollbook.console.pages.view import Controls, Field, Form, Table, View

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

DEFAULT_SINCE: Final = "90d"


def changes(context: PageContext) -> View:
    """Return how cards differ between two moments, and every version that was kept."""
    since, until = context.get("from_date") or DEFAULT_SINCE, context.get("to_date")
    known = context.get("known_since")
    found = answered(context, "prices.diff", since=since, until=until, known_since=known)
    history = answered(context, "prices.history")
    diff = sliced(context, searched(context, found.rows, "card", "field"))
    kept = sliced(
        context, searched(context, history.rows[::-1], "card", "author", "reason"), "more"
    )
    tables = (
        Table(
            name="diff", title="Cards of the books at the two moments", rows=[
                row | {"_links": {"card": context.url("/prices/card", card=row["card"])}}
                for row in diff.rows
            ], next_url=diff.next_url, previous_url=diff.previous_url, search="q",
            note="Only what differs; dollars per million tokens, or as the card has them.",
            empty="No card differs between the two moments. Choose an earlier one.",
            columns=columns(("card", "Card", "id"), ("field", "Field"), ("before", "Before"),
                            ("after", "After"), ("change_percent", "Change", "change")),
        ),
        Table(
            name="history", title="Every change, the newest first", rows=[
                row | {"_links": {"card": context.url("/prices/card", card=row["card"])}}
                for row in kept.rows
            ], next_url=kept.next_url, previous_url=kept.previous_url,
            empty="The books have no card yet: prices are those of the settings and of the list.",
            columns=columns(
                ("created_at", "Kept", "time"), ("author", "By"), ("card", "Card", "id"),
                ("version", "Version", "count"), ("effective_from", "From", "id"),
                ("effective_until", "Until", "id"), ("changes", "What changed"),
                ("reason", "Reason"),
            ),
        ),
    )  # fmt: skip
    return View(
        title="Changes of prices", sections=(*found.notices("bad"), *tables), tz=context.tz,
        controls=Controls(has_range=False, has_filters=False, tabs=tabs(context), fields=(
            Field(name="from_date", label="From", value=since, help="A date, or 90d."),
            Field(name="to_date", label="to", value=until, placeholder="now"),
            Field(name="known_since", label="as known on", value=known, placeholder="now"),
        )),
        command=command("prices", "diff", since=since, until=until, known_since=known),
    )  # fmt: skip


def rates(context: PageContext) -> View:
    """Return the exchange rates of the books, and a form to import more."""
    currency = context.get("currency")
    found = answered(context, "prices.fx", currency=currency, since=context.get("from_date"))
    shown = sliced(context, found.rows[::-1])
    table = Table(
        name="rates", rows=shown.rows, next_url=shown.next_url, previous_url=shown.previous_url,
        note="Dollars for one unit, by day; a carried day has the last quote before it.",
        empty="No exchange rates are kept: cards and revenue in other currencies cannot be "
        "converted. Import some below.",
        columns=columns(("date", "Day"), ("currency", "Currency"), ("usd_per_unit", "Dollars"),
                        ("carried", "Carried"), ("author", "By"), ("reason", "Reason"),
                        ("created_at", "Kept", "time")),
    )  # fmt: skip
    form = Form(
        name="import", operation="prices.fx_import", title="Import exchange rates",
        submit="Keep the rates", is_folded=bool(found.rows),
        note="CSV with date, currency and usd_per_unit.",
        fields=(
            Field(name="text", label="CSV file", kind="file", file_name="file", is_required=True),
            Field(name="carry_days", label="Carry over days without a quote", kind="number",
                  value="0"),
            REASON,
        ),
    )  # fmt: skip
    return View(
        title="Exchange rates", sections=(*found.notices("bad"), table, *permitted(context, form)),
        tz=context.tz,
        controls=Controls(has_range=False, has_filters=False, tabs=tabs(context), fields=(
            Field(name="currency", label="Currency", value=currency, placeholder="EUR"),
            Field(name="from_date", label="From", kind="date", value=context.get("from_date")),
        )),
        command=command("prices", "fx", currency=currency),
    )  # fmt: skip

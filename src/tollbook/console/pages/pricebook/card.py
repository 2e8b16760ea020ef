"""One price card or model: what it costs, who changed it when and why, and how to end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.finance_parts import (
    REASON,
    answered,
    columns,
    command,
    hidden,
    permitted,
)
from tollbook.console.pages.pricebook.parts import card_form
from tollbook.console.pages.view import Choice, Controls, Field, Form, Table, View

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_TWO: Final = 2


def card(context: PageContext) -> View:
    """Return the card of the URL: by its name in the books, or by provider and model."""
    name, provider, model = (context.get(one) for one in ("card", "provider", "model"))
    about = {"card": name} if name else {"provider": provider, "model": model}
    history = answered(context, "prices.history", **about)
    if history.rows and (provider is None or model is None):
        provider, model = history.rows[-1]["provider"], history.rows[-1]["model"]
    sections: list[Section] = [*history.notices("bad")]
    if provider is not None and model is not None:
        sections += _rates(context, provider, model)
    sections.append(_history(history.rows))
    sections += _diff(context, name, history.rows)
    sections += permitted(
        context, card_form(context, provider, model), None if name is None else _end_form(name)
    )
    title = name or " ".join(one for one in (provider, model) if one) or "Price card"
    return View(
        title=title, sections=tuple(sections), tz=context.tz, subtitle="Price card",
        trail=(Choice("Price book", context.url("/prices")),),
        controls=Controls(has_range=False, has_filters=False, fields=(
            Field(name="at", label="Rates at", kind="date", value=context.get("at")),
        )),
        command=command("prices", "history", **about),
    )  # fmt: skip


def _rates(context: PageContext, provider: str, model: str) -> list[Section]:
    found = answered(context, "prices.show", provider=provider, model=model, at=context.get("at"))
    rows: list[dict[str, Any]] = [
        rate | {"source": one["source"], "card_id": one["card_id"],
                "_links": {"card_id": context.filtered("/calls", "price_card", one["card_id"])}}
        for one in found.answer.get("cards", [])
        for rate in one["rates"]
    ]  # fmt: skip
    return [*found.notices(), Table(
        name="rates", title="What it costs", rows=rows,
        note="In dollars; a kind that follows another has no rate of its own on the card.",
        empty="No card and no list price is for this model at that time: add one below.",
        columns=columns(("kind", "Kind"), ("usd", "Dollars", "usd"), ("per", "For"),
                        ("step", "Step"), ("follows", "Follows"), ("source", "Source"),
                        ("card_id", "Card", "id")),
    )]  # fmt: skip


def _history(rows: list[dict[str, Any]]) -> Table:
    return Table(
        name="history", title="History", rows=rows[::-1],
        note="Every version, the newest first. Nothing is ever changed or deleted.",
        empty="The books have no card for it: its price is that of the settings or of the list.",
        columns=columns(
            ("card", "Card", "id"), ("version", "Version", "count"), ("created_at", "Kept", "time"),
            ("author", "By"), ("reason", "Reason"), ("effective_from", "From", "id"),
            ("effective_until", "Until", "id"), ("changes", "What changed"),
        ),
    )  # fmt: skip


def _diff(context: PageContext, name: str | None, rows: list[dict[str, Any]]) -> list[Section]:
    if name is None or len(rows) < _TWO:
        return []
    last = rows[-1]["version"]
    found = answered(context, "prices.diff", card=name, versions=f"{last - 1}..{last}")
    return [Table(
        name="diff", title=f"Version {last} against {last - 1}", rows=found.rows,
        empty="They are the same.",
        columns=columns(("field", "Field"), ("before", "Before"), ("after", "After"),
                        ("change_percent", "Change", "change")),
    )]  # fmt: skip


def _end_form(name: str) -> Form:
    return Form(
        name="end", operation="prices.withdraw", title="End this card", submit="End the card",
        is_dangerous=True, is_folded=True,
        note="From that day on there is no such card; calls before it keep their price.",
        fields=(
            *hidden(card=name),
            Field(name="since", label="From", kind="date", is_required=True), REASON,
        ),
    )  # fmt: skip

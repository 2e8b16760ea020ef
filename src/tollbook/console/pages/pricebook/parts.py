"""What the pages of the price book share: their tabs, and the forms for cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.console.pages.finance_parts import REASON
from tollbook.console.pages.view import Choice, Field, Form

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_TABS: Final = (
    ("/prices", "Cards"), ("/prices/unpriced", "Unpriced"), ("/prices/changes", "Changes"),
    ("/prices/fx", "Exchange rates"), ("/prices/restatement", "Restatement"),
)  # fmt: skip
_FORMATS: Final = (("", "by its name"), ("toml", "TOML"), ("csv", "CSV"), ("json", "JSON"))
_FILE_NOTE: Final = (
    "TOML as in the settings ([[prices]]), CSV or JSON; all cards of the file are kept, or none. "
    "Versions are only ever added."
)


def tabs(context: PageContext) -> tuple[Choice, ...]:
    """Return the pages of the price book as tabs."""
    return tuple(
        Choice(label, context.url(path, where=None), path == context.path) for path, label in _TABS
    )


def card_form(context: PageContext, provider: str | None = None, model: str | None = None) -> Form:
    """Return the form for one card; folded unless it is for a model that is named."""
    known = tuple((name, name) for name in sorted(context.house.desk.config.providers))
    dollars = "In dollars per million tokens; empty follows the nearest that is given."
    return Form(
        name="card", operation="prices.card", title="Add a card", submit="Keep the card",
        is_folded=model is None,
        note="Either a discount off the list price, or own rates. New calls are priced with it at "
        "once; calls that are booked already stay as they are until a restatement is booked.",
        fields=(
            Field(name="provider", label="Provider", kind="select", options=known, value=provider,
                  is_required=True),
            Field(name="model", label="Model", value=model, is_required=True,
                  help="A name, * and ? as in file names."),
            Field(name="effective_from", label="From", kind="date", is_required=True),
            Field(name="effective_until", label="Until", kind="date",
                  help="The first day it no longer holds; empty: open."),
            Field(name="service_tier", label="Tier", placeholder="batch, priority ..."),
            Field(name="region", label="Region"),
            Field(name="discount_percent", label="Discount off the list, percent", kind="number"),
            Field(name="input", label="Input", kind="number", help=dollars),
            Field(name="output", label="Output", kind="number"),
            Field(name="cache_read", label="Cache read", kind="number"),
            Field(name="cache_write_5m", label="Cache write, 5 min", kind="number"),
            Field(name="cache_write_1h", label="Cache write, 1 h", kind="number"),
            Field(name="reasoning", label="Reasoning", kind="number"),
            Field(name="currency", label="Currency of the rates", placeholder="USD"),
            REASON,
        ),
    )  # fmt: skip


def try_form() -> Form:
    """Return the form that shows what a file of cards would change, and keeps nothing."""
    return Form(
        name="try", operation="prices.try", title="Try a file of cards", is_folded=True,
        submit="Show what it would change", shows_answer=True,
        note="Nothing is kept: the answer says which cards are new or changed, and what they would "
        "make of calls that are booked, by tenant and by month. " + _FILE_NOTE,
        fields=(
            Field(name="text", label="File", kind="file", file_name="file", is_required=True),
            Field(name="format", label="Format", kind="select", options=_FORMATS),
            Field(name="since", label="On calls since", kind="date", help="Empty: all there are."),
        ),
    )  # fmt: skip


def import_form() -> Form:
    """Return the form that keeps a file of cards."""
    return Form(
        name="import", operation="prices.import", title="Import a file of cards", is_folded=True,
        submit="Keep the cards", then="/prices/restatement",
        note=_FILE_NOTE + " Booked calls change only when the restatement is booked, on the page "
        "that follows.",
        fields=(
            Field(name="text", label="File", kind="file", file_name="file", is_required=True),
            Field(name="format", label="Format", kind="select", options=_FORMATS),
            REASON,
        ),
    )  # fmt: skip

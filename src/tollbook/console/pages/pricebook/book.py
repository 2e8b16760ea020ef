"""The price book: cards in force, what used models cost, coverage, and what looks wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.finance_parts import (
    answered,
    columns,
    command,
    figures,
    permitted,
    searched,
    sliced,
)
from tollbook.console.pages.pricebook.parts import card_form, import_form, tabs, try_form
from tollbook.console.pages.view import Controls, Field, Figure, Notice, Table, View
from tollbook.reports.exact_ratio import rounded

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_RATES: Final = (
    ("uncached_input_tokens", "Input"), ("visible_output_tokens", "Output"),
    ("cache_read_tokens", "Cache read"), ("cache_write_5m_tokens", "Cache write 5 min"),
    ("cache_write_1h_tokens", "Cache write 1 h"), ("reasoning_tokens", "Reasoning"),
)  # fmt: skip
_PRICED: Final = "priced"


def prices(context: PageContext) -> View:
    """Return the price book at a moment, and how it covers the calls of the page's range."""
    found = answered(context, "prices.show", at=context.get("at"))
    sections: list[Section] = [*found.notices("bad"), *_coverage(context)]
    if found.problem is None:
        sections += [_in_force(context, found.answer["in_force"]),
                     _used(context, found.answer["cards"])]  # fmt: skip
    sections += permitted(context, card_form(context), try_form(), import_form())
    at = context.get("at")
    return View(
        title="Price book", sections=tuple(sections), tz=context.tz,
        subtitle="What each model costs and since when, by the contract or by the list.",
        controls=Controls(
            has_filters=False, tabs=tabs(context),
            fields=(Field(name="at", label="Cards at", kind="date", value=at),),
        ),
        command=command("prices", "show", at=at),
    )  # fmt: skip


def _coverage(context: PageContext) -> list[Section]:
    spend = context.spend(by=("price_state",), measures=("calls", "cost_usd"))
    calls = {row["price_state"]: row["calls"] for row in spend.rows}
    whole = sum(calls.values())
    priced = calls.get(_PRICED, 0)
    since = dict(context.range_pairs())
    check = answered(
        context, "prices.check", since=since.get("since", "month"), until=since.get("until"),
        tz=since.get("tz"),
    )  # fmt: skip
    missing = check.answer.get("unpriced", [])
    sections: list[Section] = [figures(
        Figure(label="Calls with a price", kind="percent", url=context.url("/calls"),
               value=_percent(priced, whole), note=f"{priced:,} of {whole:,} in this range"),
        Figure(label="Unpriced models", value=len(missing), kind="count",
               tone="bad" if missing else "plain", url=context.url("/prices/unpriced")),
        Figure(label="Cards of the books", value=check.answer.get("book_cards"), kind="count"),
        Figure(label="Cards of the settings", value=check.answer.get("cards"), kind="count"),
    )]  # fmt: skip
    if missing:
        sections.append(Notice(
            text=f"{len(missing)} {'model has' if len(missing) == 1 else 'models have'} no "
            "price: totals are too low by what that cost.",
            url=context.url("/prices/unpriced"), action="See what is at stake",
        ))  # fmt: skip
    if check.rows:
        sections.append(Table(
            name="findings", title="To look at", rows=check.rows,
            note="Cards checked against one another, against the list price, and against the "
            "calls of the range.",
            columns=columns(("severity", "How bad", "state"), ("finding", "Finding"),
                            ("card", "Card", "id"), ("model", "Model"), ("detail", "Detail")),
        ))  # fmt: skip
    return sections


def _percent(part: int, whole: int) -> str | None:
    """Return a share in percent, rounded down so that only all of it is 100."""
    if not whole:
        return None
    hundredths = rounded(part * 10_000, whole) if part == whole else part * 10_000 // whole
    return f"{hundredths // 100}.{hundredths % 100:02}"


def _in_force(context: PageContext, rows: list[dict[str, Any]]) -> Table:
    shown = sliced(context, searched(context, rows, "card", "provider", "model", "reason"))
    linked = [
        row | {"_links": {
            "card": context.url("/prices/card", card=row["card"] if row["document"] else None,
                                provider=row["provider"], model=row["model"]),
            "model": context.filtered("/calls", "model", row["model"]),
        }}
        for row in shown.rows
    ]  # fmt: skip
    return Table(
        name="cards", title="Cards in force", rows=linked, search="q", next_url=shown.next_url,
        previous_url=shown.previous_url,
        note="Of two that are for the same call the first one prices it; a call that no card is "
        "for has the list price.",
        empty="No card of your own is in force: all calls have list prices. Add a card below.",
        columns=columns(
            ("card", "Card", "id"), ("provider", "Provider"), ("model", "Model", "id"),
            ("service_tier", "Tier"), ("region", "Region"), ("prices", "Prices"),
            ("effective_from", "From", "id"), ("effective_until", "Until", "id"),
            ("from", "Kept in"),
            ("reason", "Reason"),
        ),
    )  # fmt: skip


def _used(context: PageContext, cards: list[dict[str, Any]]) -> Table:
    rows = [used_row(context, one) for one in cards]
    shown = sliced(context, rows, "used_from")
    return Table(
        name="used", title="Cards that calls were booked with", rows=shown.rows,
        next_url=shown.next_url, previous_url=shown.previous_url,
        note="Dollars per million tokens before context steps. A card is never changed: calls "
        "name the one that they were priced with.",
        empty="No call has been priced yet. Send one through the gateway.",
        columns=columns(
            ("model", "Model", "id"), ("provider", "Provider"), ("source", "Source"),
            ("tier", "Tier"), ("from", "From", "id"), ("until", "Until", "id"),
            *((name, label, "rate") for name, label in _RATES), ("card_id", "Card", "id"),
        ),
    )  # fmt: skip


def used_row(context: PageContext, one: dict[str, Any]) -> dict[str, Any]:
    """Return a card that entries name as a row, with its usual rates beside one another."""
    rates = {rate["kind"]: rate["usd"] for rate in one["rates"] if rate["step"] is None}
    return {
        "card_id": one["card_id"], "provider": one["provider"], "model": one["model"],
        "source": one["source"], "tier": one["service_tier"],
        "from": (one["effective_from"] or "")[:10] or None,
        "until": (one["effective_until"] or "")[:10] or None,
        **{name: rates.get(name) for name, _ in _RATES},
        "_links": {
            "card_id": context.filtered("/calls", "price_card", one["card_id"]),
            "model": context.url("/prices/card", provider=one["provider"], model=one["model"]),
        },
    }  # fmt: skip

"""Models without a price: the dollars at stake, for whom, and a form to give them one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.console.pages.finance_parts import answered, columns, command, figures, permitted
from tollbook.console.pages.pricebook.parts import card_form, tabs
from tollbook.console.pages.view import Controls, Field, Figure, Table, View

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section


def unpriced(context: PageContext) -> View:
    """Return the queue of unpriced models in the page's range, the dearest first."""
    given = dict(context.range_pairs())
    like = context.get("like")
    asked = {name: given.get(name) for name in ("since", "until", "tz")}
    asked["since"] = asked["since"] or given.get("period")
    found = answered(context, "prices.unpriced", **asked, like=like)
    sections: list[Section] = [*found.notices("bad")]
    if found.problem is None:
        sections += _told(context, found.answer)
    sections += permitted(
        context, card_form(context, context.get("provider"), context.get("model"))
    )
    return View(
        title="Unpriced models", sections=tuple(sections), tz=context.tz,
        subtitle="What they cost is in no total. The dollars here are estimates.",
        controls=Controls(has_filters=False, tabs=tabs(context), fields=(
            Field(name="like", label="Estimate with the price of", value=like,
                  placeholder="openai/gpt-4o"),
        )),
        command=command("prices", "unpriced", **asked, like=like),
    )  # fmt: skip


def _told(context: PageContext, answer: dict[str, object]) -> list[Section]:
    totals, rows = answer["totals"], answer["rows"]
    assert isinstance(totals, dict)
    assert isinstance(rows, list)
    linked = [
        row | {
            "card": "add a card",
            "_links": {
                "model": context.url("/calls", where=[
                    f"provider={row['provider']}", "price_state=unpriced",
                ]) if row["model"] is None else context.filtered("/calls", "model", row["model"]),
                "card": context.url(provider=row["provider"], model=row["model"]),
            },
        }
        for row in rows
    ]  # fmt: skip
    return [
        figures(
            Figure(label="At stake, estimated", value=totals["estimated_usd"], kind="usd",
                   tone="warn" if rows else "good"),
            Figure(label="Calls without a price", value=totals["calls"], kind="count",
                   url=context.filtered("/calls", "price_state", "unpriced")),
            Figure(label="Models without an estimate", value=totals["models_without_estimate"],
                   kind="count"),
        ),
        Table(
            name="unpriced", rows=linked, total={"calls": totals["calls"],
                                                 "estimated_usd": totals["estimated_usd"]},
            note="The estimate is what a similar model's price would make of the same usage; "
            "it is booked nowhere.",
            empty="Every call of this range has a price.",
            columns=columns(
                ("model", "Model", "name"), ("provider", "Provider"), ("price_tier", "Tier"),
                ("calls", "Calls", "count"), ("input_tokens", "Input", "count"),
                ("output_tokens", "Output", "count"), ("since", "Since"),
                ("tenants", "Tenants", "count"), ("estimated_usd", "At stake", "usd"),
                ("estimated_with", "Estimated with"), ("why", "Why"), ("card", "Do"),
            ),
        ),
    ]  # fmt: skip

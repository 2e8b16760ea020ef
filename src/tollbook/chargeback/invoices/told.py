"""What every form of a statement says in the same words: headings, columns, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.chargeback.cents import cents_text
from tollbook.chargeback.invoices.content import described
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.spend import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.chargeback.invoices.content import Content, Price, Priced

AMOUNT: Final = f"amount_{CURRENCY.lower()}"
COLUMNS: Final = (
    "line_id", "section", "original_period", "tenant", "feature", "provider", "model",
    "description", "corrects", "calls", "calls_without_price", "input_tokens", "output_tokens",
    AMOUNT, "amount_exact", "cost_usd",
)  # fmt: skip
_RANGE: Final = frozenset(["since", "until", "measures"])
MONEY: Final = frozenset([AMOUNT, "amount_exact", "cost_usd"])
_PRICES: Final[dict[Price, str]] = {
    "cost": "what providers charge, with shared costs",
    "billable": "the price agreed with you",
    "both": "the price agreed; cost beside it",
}


def title_of(content: Content) -> str:
    """Return the heading of a statement."""
    return f"Statement of LLM usage {content.period.name}"


def owner_words(content: Content) -> str:
    """Return whose it is, for people."""
    kind = "Tenant" if content.by == "tenant" else "Cost centre"
    return f"{kind}: {'not attributed' if content.owner == UNKNOWN else content.owner}"


def line_row(content: Content, priced: Priced) -> dict[str, Any]:
    """Return a line by the names of :data:`COLUMNS`; money as text, counts as numbers."""
    one = priced.line
    exact = one.cost if content.price == "cost" else one.billable
    return {
        "line_id": one.line_id, "section": one.section, "original_period": one.original_period,
        "tenant": one.of("tenant"), "feature": one.of("feature"), "provider": one.of("provider"),
        "model": one.of("model"), "description": described(one), "corrects": one.of("corrects"),
        "calls": one.calls, "calls_without_price": one.calls_without_cost,
        "input_tokens": one.input_tokens, "output_tokens": one.output_tokens,
        AMOUNT: _text(priced.amount), "amount_exact": None if exact is None else usd_text(exact),
        "cost_usd": _text(priced.cost),
    }  # fmt: skip


def _text(cents: int | None) -> str | None:
    return None if cents is None else cents_text(cents)


def columns_of(content: Content) -> tuple[str, ...]:
    """Return the columns that a statement has: cost stands only where both prices are shown."""
    return COLUMNS if content.price == "both" else COLUMNS[:-1]


class Fact(NamedTuple):
    """A name and what is said of it."""

    name: str
    value: str


def facts(content: Content) -> Iterator[Fact]:
    """Yield what a reader must know: how complete, which prices, which query, how rounded."""
    stamp, trust = content.stamp, content.trust
    completeness = stamp["completeness"]
    yield Fact("Billing period", f"{content.period.name}, months of {content.period.timezone}")
    yield Fact("State of the period", f"{stamp['period_state']}, as billed")
    yield Fact("Amounts", f"{_PRICES[content.price]}, in {CURRENCY}")
    yield Fact("Complete until", str(completeness["complete_until"] or "not known"))
    is_cost_shown = content.price != "billable"
    if is_cost_shown:
        without = trust.calls_without_price
        words = f"{without:,}; their cost is not in it" if without else "none"
        yield Fact("Calls without a price", words)
    estimated = f"{trust.calls_estimated:,} calls"
    if is_cost_shown and trust.calls_estimated:
        estimated += f", {usd_text(trust.cost_estimated)} {CURRENCY} of cost"
    yield Fact("Estimated usage", estimated)
    if is_cost_shown:
        sources = ", ".join(
            f"{name} ({count} {'card' if count == 1 else 'cards'})"
            for name, count in trust.price_sources.items()
        )
        yield Fact("Prices", sources or "no price card was used")
    if content.price != "cost":
        yield Fact("Billing rules", ", ".join(trust.billing_rules) or "none")
        yield Fact("Calls that no rule charges", f"{trust.calls_without_rule:,}")
    yield Fact("Exact total", f"{usd_text(content.exact)} {CURRENCY}")
    yield Fact(
        "Rounding",
        "the total is rounded half to even to cents; lines by largest remainder, to add up to it",
    )
    # A billing period has calls of any time, so the range of the query is without bounds.
    told = {name: value for name, value in stamp["query"].items() if name not in _RANGE}
    query = ", ".join(f"{name}={value}" for name, value in told.items())
    yield Fact("Query", f"{query}; entries to {stamp['last_entry_id']}")
    yield Fact("Made", f"{stamp['created_at']} by Tollbook {stamp['tollbook_version']}")


def comparison(content: Content) -> tuple[tuple[str, int], ...]:
    """Return the month before and the change, in cents; nothing where there was none."""
    if content.previous is None:
        return ()
    return (
        (f"Total {content.period.previous.name}", content.previous),
        ("Change", content.total - content.previous),
    )


ALLOCATION_COLUMNS: Final = (
    "rule", "method", "role", "provider", "ratio", "quantity", "unit", "amount_exact",
    "policy",
)  # fmt: skip


def allocation_rows(content: Content) -> Iterator[dict[str, Any]]:
    """Yield how shared costs were allocated, by the names of :data:`ALLOCATION_COLUMNS`."""
    for note in content.allocations:
        one = note.line
        yield {
            "rule": note.rule, "method": one.method, "role": one.role, "provider": one.provider,
            "ratio": one.ratio, "quantity": one.quantity, "unit": one.unit,
            "amount_exact": usd_text(one.amount), "policy": note.method_id,
        }  # fmt: skip

"""The invoice of the simulated providers, added up from the truth log and nothing else.

Money is integers of 10^-12 USD. Every list price is a whole number of these per token, so each
line is exact and all sums agree: lines, days, models, kinds, tenants and the total.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from tollbook.clock import NS_PER_S
from tollbook.money import usd_text
from tollbook.simulator.pricelist import BILL_KINDS, find_model, price

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from tollbook.simulator.truth import TruthCall

NO_TENANT = "unknown"
"""Whose calls are that the product sent without a tenant, or never sent at all."""


class LineKey(NamedTuple):
    """What one invoice line is about."""

    day: str  # of the arrival, UTC, YYYY-MM-DD
    provider: str
    model: str  # the snapshot that answered
    kind: str  # one of BILL_KINDS


class Amount(NamedTuple):
    """Tokens, and what they cost in pico (10^-12 USD)."""

    quantity: int
    pico: int

    def plus(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(self.quantity + other.quantity, self.pico + other.pico)


class Bill(NamedTuple):
    """An invoice: its lines, how many calls it charges, how many it does not."""

    lines: dict[LineKey, Amount]
    billed_calls: int
    unbilled_calls: int

    @property
    def total_pico(self) -> int:
        """The amount due, in pico."""
        return sum(amount.pico for amount in self.lines.values())

    def by(self, *fields: str) -> dict[tuple[str, ...], Amount]:
        """Return the lines added up by some of ``day``, ``provider``, ``model``, ``kind``."""
        sums: dict[tuple[str, ...], Amount] = {}
        for key, amount in self.lines.items():
            group = tuple(getattr(key, field) for field in fields)
            sums[group] = sums.get(group, Amount(0, 0)).plus(amount)
        return sums

    def to_json(self) -> dict[str, Any]:
        """Return the invoice as plain values; money as decimal text."""
        return {
            "currency": "USD",
            "total_usd": usd_text(self.total_pico),
            "billed_calls": self.billed_calls,
            "unbilled_calls": self.unbilled_calls,
            "lines": [
                {**key._asdict(), "quantity": amount.quantity, "cost_usd": usd_text(amount.pico)}
                for key, amount in sorted(self.lines.items())
            ],
        }

    def to_table(self) -> str:
        """Return the invoice as text with aligned columns."""
        rows = [("day", "provider", "model", "kind", "tokens", "USD")]
        rows += [
            (*key, f"{amount.quantity:,}", usd_text(amount.pico))
            for key, amount in sorted(self.lines.items())
        ]
        rows.append(("total", "", "", "", "", usd_text(self.total_pico)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        numbers = len(rows[0]) - 2
        return "\n".join(
            "  ".join(
                cell.ljust(width) if column < numbers else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )


def day_of(unix_ns: int) -> str:
    """Return the UTC day of a moment."""
    return datetime.fromtimestamp(unix_ns // NS_PER_S, tz=UTC).date().isoformat()


def cost_of(call: TruthCall) -> dict[str, Amount]:
    """Return quantity and cost of each kind that a call is billed for."""
    if not call.is_billed or call.ended is None or call.ended.model is None:
        return {}
    model = find_model(call.received.provider, call.ended.model)
    assert model is not None, f"no price for {call.ended.model}"
    quantities = call.quantities
    costs = price(model, quantities)
    return {
        kind: Amount(quantity, costs[kind])
        for kind, quantity in zip(BILL_KINDS, quantities, strict=True)
        if quantity
    }


def bill(calls: Iterable[TruthCall], where: Callable[[TruthCall], bool] | None = None) -> Bill:
    """Make the invoice.

    Args:
        calls: from :func:`tollbook.simulator.truth.read_truth`.
        where: which calls to take; for example ``lambda call: call.usage_delivered`` for those
            whose usage the provider reported to its caller.
    """
    lines: dict[LineKey, Amount] = {}
    billed = unbilled = 0
    for call in calls:
        if where is not None and not where(call):
            continue
        if not call.is_billed or call.ended is None or call.ended.model is None:
            unbilled += 1
            continue
        billed += 1
        day = day_of(call.received.arrived_at_ns)
        for kind, amount in cost_of(call).items():
            key = LineKey(day, call.received.provider, call.ended.model, kind)
            lines[key] = lines.get(key, Amount(0, 0)).plus(amount)
    return Bill(lines, billed, unbilled)


def bill_by_tenant(
    calls: Iterable[TruthCall],
    tenant_of: Mapping[str, str | None],
    where: Callable[[TruthCall], bool] | None = None,
) -> dict[str, Bill]:
    """Make one invoice for each tenant, by the product's own list of requests.

    Args:
        calls: from :func:`tollbook.simulator.truth.read_truth`.
        tenant_of: tenant by the traffic's request id (``Plan.tenant_of()``); calls that it does
            not know, or knows without a tenant, are :data:`NO_TENANT`'s.
        where: which calls to take.
    """
    groups: dict[str, list[TruthCall]] = {}
    for call in calls:
        tenant = tenant_of.get(call.received.request_id or "")
        groups.setdefault(tenant or NO_TENANT, []).append(call)
    return {tenant: bill(group, where) for tenant, group in sorted(groups.items())}


def leaks(calls: Iterable[TruthCall]) -> dict[str, int]:
    """Count, by header name, the arrivals with identity that should not have come here."""
    counts: dict[str, int] = {}
    for call in calls:
        for name in call.received.leaks:
            counts[name] = counts.get(name, 0) + 1
    return counts

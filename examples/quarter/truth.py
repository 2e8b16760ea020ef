"""What happened, summed: the providers' side, the ledger's side as it should be, and the plants."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from examples.quarter.plants import (
    BYPASS_KEY,
    BYPASS_PROJECT,
    CREDITS,
    TAXES,
    UNIT_HOUR,
    UNITS,
    billed,
    day_at_provider,
    is_bypass,
    is_doubled,
    month_of,
)
from examples.quarter.world import KINDS, MONTHS, NS, PROVIDERS, Record, rates_of

if TYPE_CHECKING:
    from collections.abc import Mapping

CENT: Final = 10**10


class Cell(NamedTuple):
    """What a provider's report tells apart."""

    provider: str
    hour: int
    """Hours since the epoch; the start of the provider's day where it reports days."""
    model: str
    tier: str
    project: str
    key: str


class Truth:
    """Sums over the records of the quarter; amounts in pico."""

    def __init__(self) -> None:
        self.tokens: dict[Cell, list[int]] = {}
        self.amounts: dict[Cell, list[int]] = {}
        self.requests: Counter[Cell] = Counter()
        self.billed: Counter[tuple[str, str]] = Counter()
        """By provider and the month that the provider counts a call to: usage alone."""
        self.booked: Counter[tuple[str, str]] = Counter()
        """By provider and month of the call: what the ledger has to come to at the right cards."""
        self.planted: Counter[tuple[str, str, str]] = Counter()
        """By cause, provider and month: the invoice's side less the ledger's."""
        self.tenants: Counter[tuple[str, str]] = Counter()
        """By tenant (empty: nobody) and month, as booked."""
        self.calls = 0

    def add(self, record: Record) -> None:
        """Count one call."""
        provider, rates = record.model.provider, rates_of(record)
        month, day = month_of(record.at_ns), day_at_provider(record)
        bypass = is_bypass(record)
        cell = Cell(
            provider, _bucket(provider, record.at_ns, day), record.model.name, record.model.tier,
            BYPASS_PROJECT if bypass else "proj_product", BYPASS_KEY if bypass else "key_gateway",
        )  # fmt: skip
        amounts = [
            billed(record, rate, count) for rate, count in zip(rates, record.tokens, strict=True)
        ]
        mine = self.tokens.setdefault(cell, [0] * len(KINDS))
        dollars = self.amounts.setdefault(cell, [0] * len(KINDS))
        for at in range(len(KINDS)):
            mine[at] += record.tokens[at]
            dollars[at] += amounts[at]
        self.requests[cell] += 1
        charged = sum(amounts)
        carded = sum(rate * count for rate, count in zip(rates, record.tokens, strict=True))
        provider_month = day.strftime("%Y-%m")
        self.billed[provider, provider_month] += charged
        if provider_month != month:
            self.planted["boundary", provider, month] -= charged
            self.planted["boundary", provider, provider_month] += charged
        if bypass:
            self.planted["bypass", provider, month] += charged
            return
        times = 2 if is_doubled(record) else 1
        self.calls += times
        self.booked[provider, month] += carded * times
        self.tenants[record.tenant or "", month] += carded * times
        if times > 1:
            self.planted["doubled", provider, month] -= carded
        if charged != carded:
            self.planted["wrong_card", provider, month] += charged - carded

    def finish(self) -> None:
        """Add what is not of calls: credits, taxes, the rounding of invoices."""
        for (provider, month), amount in CREDITS.items():
            self.planted["credit", provider, month] -= amount
        for (provider, month), amount in TAXES.items():
            self.planted["tax", provider, month] += amount
        for provider in PROVIDERS:
            for month in MONTHS:
                rounding = self.usage_billed(provider, month) - self.usage(provider, month)
                self.planted["rounding", provider, month] += rounding

    def usage(self, provider: str, month: str) -> int:
        """Return what a provider charges for a month's usage and capacity, to the pico."""
        capacity = capacity_of(month) if provider == "azure" else 0
        return self.billed[provider, month] + capacity

    def usage_billed(self, provider: str, month: str) -> int:
        """Return the same as it stands on the invoice: to the cent, half up."""
        return (self.usage(provider, month) + CENT // 2) // CENT * CENT

    def invoice(self, provider: str, month: str) -> int:
        """Return what is payable."""
        key = (provider, month)
        return self.usage_billed(provider, month) - CREDITS.get(key, 0) + TAXES.get(key, 0)

    def causes(self, provider: str, month: str) -> Mapping[str, int]:
        """Return what a reconciliation must find for a provider and month."""
        return {
            cause: amount
            for (cause, of, when), amount in self.planted.items()
            if (of, when) == (provider, month) and amount
        }


def capacity_of(month: str) -> int:
    """Return what a month of the provisioned units costs."""
    return days_of(month) * 24 * UNITS * UNIT_HOUR


def days_of(month: str) -> int:
    """Return how many days a month has."""
    first = date.fromisoformat(f"{month}-01")
    return ((first + timedelta(days=32)).replace(day=1) - first).days


def _bucket(provider: str, at_ns: int, day: date) -> int:
    """OpenAI's usage is fetched by the hour, the others' by the day."""
    if provider == "openai":
        return at_ns // NS // 3600
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(midnight.timestamp()) // 3600

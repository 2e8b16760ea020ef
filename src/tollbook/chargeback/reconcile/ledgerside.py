"""The ledger's side: quantities and cost by day, from the one query that all reports use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct

from tollbook.chargeback.reconcile.keys import DAY_NS, HOUR_NS, Key, ModelNames
from tollbook.ledger.schema import Kind, PriceState
from tollbook.prices.tiers import tier_of
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.rollup import TRUE_UP_PREFIX
from tollbook.reports.wide import wide_rows
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.reports.reader import Reader

CALLS: Final = Filter("kind", (Kind.CHARGE.value, Kind.REVERSAL.value))
_NOT_SENT: Final = Filter("price_state", (PriceState.FREE.value, PriceState.CACHED.value), True)
ADJUSTMENTS: Final = Filter("kind", (Kind.ADJUSTMENT.value,))
_COSTS: Final = tuple(f"{kind}_cost_usd" for kind in KINDS)
_MOVED: Final = frozenset(["allocation", "billing"])
"""Adjustments that move cost between owners, or are of the tenant's bill alone."""
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 -- as the engine returns times, UTC


class LedgerCell(Struct):
    """Sums over the calls of a day and key; costs in pico."""

    tokens: int = 0
    cost: int = 0
    estimated: int = 0
    """Of ``tokens`` those that nobody reported."""
    unpriced: int = 0
    """Of ``tokens`` those without a price."""

    def add(self, other: LedgerCell) -> None:
        """Add the sums of another."""
        self.tokens += other.tokens
        self.cost += other.cost
        self.estimated += other.estimated
        self.unpriced += other.unpriced


class Term(NamedTuple):
    """An adjustment of the provider's charges that is no true-up."""

    adjustment: str
    key: Key
    amount: int
    day: int | None = None
    """Days since the epoch that it is charged for; None: the whole time."""


HourSums = Mapping[tuple[int, Key], LedgerCell]
"""By hour since the epoch."""


class LedgerSide(Struct):
    """What the ledger knows of a provider, a day before and after the time included."""

    cells: dict[tuple[int, Key], LedgerCell]
    calls: dict[str | None, int]
    """Calls with usage, by model."""
    silent: dict[tuple[int, str | None], int]
    """Calls whose usage is unknown, by day and model."""
    not_billed: dict[tuple[int, str | None], int]
    """Attempts that Tollbook takes for not billed, by day and model."""
    terms: list[Term]
    cost: int
    """Of the time itself: calls and terms, true-ups left out."""
    trued_up: int
    hours: Callable[[int, int], HourSums]
    """Sums of the hours ``[first, last)`` since the epoch, asked for where a rule needs them."""


def as_datetime(at_ns: int) -> datetime:
    """Return a time as reports take it; finer than microseconds is cut off."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000)


def ledger_side(
    reader: Reader, provider: str, since_ns: int, until_ns: int, names: ModelNames
) -> LedgerSide:
    """Return the ledger's side of a provider.

    Args:
        reader: the ledger.
        provider: as configured.
        since_ns: first moment, a UTC midnight.
        until_ns: first moment that is no longer in it, a UTC midnight.
        names: of its models.

    Raises:
        QueryTimeoutError: it took too long.
    """
    side = LedgerSide(
        cells=defaultdict(LedgerCell), calls=defaultdict(int), silent=defaultdict(int),
        not_billed=defaultdict(int), terms=[], cost=0, trued_up=0,
        hours=lambda first, last: _hours(reader, provider, first, last, names),
    )  # fmt: skip
    by = ("day", "model", "price_tier", "region", "context_window", "usage_source", "price_state")
    rows = _rows(reader, provider, since_ns - DAY_NS, until_ns + DAY_NS, by)
    for row in rows:
        at_ns = (row["day"] - _EPOCH) // timedelta(microseconds=1) * 1000
        day, model = at_ns // DAY_NS, names.of(row["model"], at_ns)
        _count_calls(side, row, day, model)
        for key, cell in _cells(row, model):
            side.cells[day, key].add(cell)
        if since_ns <= at_ns < until_ns:
            side.cost += row["cost_usd"] or 0
    _read_terms(reader, side, provider, since_ns, until_ns, names)
    return side


def _rows(reader: Reader, provider: str, since_ns: int, until_ns: int, by: tuple[str, ...]) -> Any:
    query = SpendQuery(
        since=as_datetime(max(since_ns, 0)), until=as_datetime(until_ns), by=by,
        where=(Filter("provider", (provider,)), CALLS, _NOT_SENT),
        measures=("calls", "cost_usd", *KINDS, *_COSTS),
    )  # fmt: skip
    return wide_rows(reader, query)


def _count_calls(side: LedgerSide, row: dict[str, Any], day: int, model: str | None) -> None:
    calls = row["calls"] or 0
    if row["price_state"] == PriceState.NOT_BILLED.value:
        side.not_billed[day, model] += calls
    elif row["usage_source"] == "none" or row["price_state"] == PriceState.UNMETERED.value:
        side.silent[day, model] += calls
    else:
        side.calls[model] += calls


def _cells(row: dict[str, Any], model: str | None) -> list[tuple[Key, LedgerCell]]:
    """Return a row's kinds; what of its cost is of no kind stands under None."""
    tier, region, context = tier_of(row["price_tier"]), row["region"], row["context_window"]
    is_estimate = row["usage_source"] == "estimated"
    is_unpriced = row["price_state"] == PriceState.UNPRICED.value
    rest = row["cost_usd"] or 0
    found = []
    for kind, column in zip(KINDS, _COSTS, strict=True):
        tokens, cost = row[kind] or 0, row[column] or 0
        if not cost and (not tokens or kind == "requests"):
            # A call is a request; only where requests have a price are they billed as such.
            continue
        rest -= cost
        cell = LedgerCell(tokens, cost, tokens if is_estimate else 0, tokens if is_unpriced else 0)
        found.append((Key(model, kind, tier, region, context), cell))
    if rest:
        found.append((Key(model, None, tier, region, context), LedgerCell(cost=rest)))
    return found


def _hours(
    reader: Reader, provider: str, first: int, last: int, names: ModelNames
) -> dict[tuple[int, Key], LedgerCell]:
    found: dict[tuple[int, Key], LedgerCell] = defaultdict(LedgerCell)
    by = ("hour", "model", "price_tier", "region", "context_window", "price_state")
    for row in _rows(reader, provider, first * HOUR_NS, last * HOUR_NS, by):
        at_ns = (row["hour"] - _EPOCH) // timedelta(microseconds=1) * 1000
        row["usage_source"] = None
        for key, cell in _cells(row, names.of(row["model"], at_ns)):
            found[at_ns // HOUR_NS, key].add(cell)
    return found


def _read_terms(
    reader: Reader, side: LedgerSide, provider: str, since_ns: int, until_ns: int,
    names: ModelNames,
) -> None:  # fmt: skip
    query = SpendQuery(
        since=as_datetime(since_ns), until=as_datetime(until_ns),
        by=("day", "adjustment", "adjustment_id", "model", "price_tier"),
        where=(Filter("provider", (provider,)), ADJUSTMENTS), measures=("cost_usd", *_COSTS),
    )  # fmt: skip
    for row in wide_rows(reader, query):
        adjustment, amount = row["adjustment"], row["cost_usd"] or 0
        if adjustment in _MOVED:
            continue
        if (row["adjustment_id"] or "").startswith(TRUE_UP_PREFIX):
            side.trued_up += amount
            continue
        side.cost += amount
        at_ns = (row["day"] - _EPOCH) // timedelta(microseconds=1) * 1000
        day = at_ns // DAY_NS
        model, tier = names.of(row["model"], at_ns), tier_of(row["price_tier"])
        for kind, column in zip(KINDS, _COSTS, strict=True):
            if row[column]:
                amount -= row[column]
                side.terms.append(Term(adjustment, Key(model, kind, tier), row[column], day))
        if amount:
            side.terms.append(Term(adjustment, Key(model, None, tier), amount, day))

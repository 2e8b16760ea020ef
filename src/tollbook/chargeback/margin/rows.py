"""Revenue and cost of each tenant, plan, feature or month, and the margin between them."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.margin.recognise import earned
from tollbook.chargeback.margin.shelf import revenue_lines
from tollbook.chargeback.statements.fx import converter
from tollbook.ledger.adjust import AdjustmentType
from tollbook.ledger.billing_rules import load_rules
from tollbook.money import split_pico
from tollbook.reports.query import SpendQuery
from tollbook.reports.times import start_of_day
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tollbook.books.store import Books
    from tollbook.chargeback.margin.model import RevenueLine
    from tollbook.reports.reader import Reader

TENANT, PLAN, FEATURE, MONTH = "tenant", "plan", "feature", "month"
BY: Final = (TENANT, PLAN, FEATURE, MONTH)
NONE, COST, BILLABLE, CALLS = "none", "cost", "billable", "calls"
SPLITS: Final = (NONE, COST, BILLABLE, CALLS)
"""By what revenue that names no feature is split over the tenant's features; ``none``: not at all.
"""
_NS: Final = 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """A stretch of time and the zone of its months."""

    since: datetime
    until: datetime
    tz: str = "UTC"


class Sums(NamedTuple):
    """What one row comes to. Amounts are in pico."""

    revenue: int = 0
    direct: int = 0
    """Cost of calls."""
    allocated: int = 0
    """Cost that was moved here or from here by an allocation."""
    adjusted: int = 0
    """Other adjustments of cost: true-ups, credits, commitments."""
    billable: int = 0
    calls: int = 0
    unpriced_calls: int = 0
    """Calls whose cost is unknown: the margin leaves it out."""
    revenue_lines: int = 0

    @property
    def cost(self) -> int:
        """All cost."""
        return self.direct + self.allocated + self.adjusted

    @property
    def margin(self) -> int:
        """Revenue less cost."""
        return self.revenue - self.cost

    def __add__(self, other: tuple[object, ...]) -> Sums:
        """Add field by field."""
        assert isinstance(other, Sums)
        return Sums(*(one + more for one, more in zip(self, other, strict=True)))


class Unconverted(NamedTuple):
    """Revenue in a currency without a rate of its day."""

    currency: str
    day: str
    amount: int


class Answer(NamedTuple):
    """All rows of one stretch of time."""

    rows: dict[tuple[str | None, bool], Sums]
    """By what it is of, and whether it is revenue that names no feature."""
    unconverted: list[Unconverted]


_Key = tuple[str | None, str | None, str | None]
"""Tenant, feature and month."""


def margin_rows(reader: Reader, books: Books, span: Span, by: str, split: str = NONE) -> Answer:
    """Return revenue and cost by tenant, plan, feature or month.

    Args:
        reader: of the ledger.
        books: revenue, exchange rates and plans.
        span: of the calls, and of when revenue is earned.
        by: one of :data:`BY`.
        split: one of :data:`SPLITS`, of ``feature`` alone.

    Raises:
        BooksError: the books cannot be read.
        QueryTimeoutError: it took too long.
    """
    costs = _costs(reader, span, by)
    found, unconverted = _revenue(books, span, by)
    if by == FEATURE and split != NONE:
        found = _split(found, costs, split)
    rules = load_rules(books).at(ns_of(span.until) - 1)
    rows: dict[tuple[str | None, bool], Sums] = defaultdict(Sums)
    for (tenant, feature, month), sums in costs.items():
        name = {TENANT: tenant, FEATURE: feature, MONTH: month}.get(by)
        if by == PLAN:
            name = rules.plan_of(tenant)
        rows[name, False] += sums
    for (tenant, feature, month), plan, amount, lines in found:
        name = {TENANT: tenant, FEATURE: feature, MONTH: month}.get(by)
        if by == PLAN:
            name = plan or rules.plan_of(tenant)
        # Revenue without a feature is no revenue of the calls without one.
        is_unsplit = by == FEATURE and feature is None
        rows[name, is_unsplit] += Sums(revenue=amount, revenue_lines=lines)
    return Answer(dict(rows), unconverted)


def _costs(reader: Reader, span: Span, by: str) -> dict[_Key, Sums]:
    names = (TENANT, *({FEATURE: (FEATURE,), MONTH: (MONTH,)}.get(by, ())), "adjustment")
    query = SpendQuery(
        since=span.since, until=span.until, tz=span.tz, by=names,
        measures=("calls", "cost_usd", "billable_usd"),
    )  # fmt: skip
    found: dict[_Key, Sums] = defaultdict(Sums)
    for row in wide_rows(reader, query):
        kind, cost = row["adjustment"], row["cost_usd"] or 0
        calls = row["calls"] or 0
        month = f"{row[MONTH]:%Y-%m}" if by == MONTH else None
        key = (row[TENANT], row.get(FEATURE), month)
        found[key] += Sums(
            direct=cost if kind is None else 0,
            allocated=cost if kind == AdjustmentType.ALLOCATION else 0,
            adjusted=cost if kind not in (None, AdjustmentType.ALLOCATION) else 0,
            billable=row["billable_usd"] or 0, calls=calls,
            unpriced_calls=calls - (row["known_calls"] or 0) if kind is None else 0,
        )  # fmt: skip
    return found


_Found = tuple[_Key, str | None, int, int]
"""Whose, the plan, dollars in pico, and how many lines."""


def _revenue(books: Books, span: Span, by: str) -> tuple[list[_Found], list[Unconverted]]:
    dollars = converter(books)
    stretches = _months(span) if by == MONTH else [(None, span.since, span.until)]
    found: list[_Found] = []
    lacking: dict[tuple[str, str], int] = defaultdict(int)
    for line in revenue_lines(books, ns_of(span.since), ns_of(span.until)):
        for month, since, until in stretches:
            amount = _usd(line, (ns_of(since), ns_of(until)), dollars)
            if amount is None:
                day = (datetime.fromtimestamp(line.issued_at_ns // _NS, tz=UTC)).date()
                amount_here = earned(line, ns_of(since), ns_of(until))
                if amount_here:
                    lacking[line.currency, day.isoformat()] += amount_here
            elif amount:
                found.append(((line.tenant_id, line.feature, month), line.plan, amount, 1))
    return found, [Unconverted(*key, amount) for key, amount in sorted(lacking.items())]


def _usd(
    line: RevenueLine, within: tuple[int, int], dollars: Callable[[int, str, int], int | None]
) -> int | None:
    """Return what is earned in a stretch in dollars, at the rate of the day of the invoice.

    The whole line is converted, then earned in parts: so the parts add up to it in dollars too.
    """
    if line.currency == "USD":
        return earned(line, *within)
    whole = dollars(line.amount, line.currency, line.issued_at_ns)
    if whole is None:
        return None
    fields = {name: getattr(line, name) for name in line.__struct_fields__}
    return earned(type(line)(**(fields | {"amount": whole, "currency": "USD"})), *within)


def _months(span: Span) -> list[tuple[str | None, datetime, datetime]]:
    zone = zone_of(span.tz)
    found: list[tuple[str | None, datetime, datetime]] = []
    at = span.since
    while at < span.until:
        first = at.astimezone(zone).date().replace(day=1)
        after = first.replace(
            year=first.year + first.month // 12, month=first.month % 12 + 1
        )  # fmt: skip
        end = min(start_of_day(after, zone), span.until)
        found.append((f"{first:%Y-%m}", at, end))
        at = end
    return found


def _split(found: Iterable[_Found], costs: dict[_Key, Sums], split: str) -> list[_Found]:
    """Split revenue that names no feature over the features of its tenant, to the last pico."""
    weights: dict[str | None, dict[str, int]] = defaultdict(dict)
    for (tenant, feature, _), sums in costs.items():
        weight = {COST: sums.cost, BILLABLE: sums.billable, CALLS: sums.calls}[split]
        if feature is not None and weight > 0:
            weights[tenant][feature] = weight
    done: list[_Found] = []
    for one in found:
        (tenant, feature, month), plan, amount, _ = one
        mine = weights.get(tenant) if feature is None else None
        if not mine:
            done.append(one)
            continue
        names = sorted(mine)
        parts = split_pico(amount, [mine[name] for name in names])
        done += [
            ((tenant, name, month), plan, part, 0) for name, part in zip(names, parts, strict=True)
        ]
    return done


def ns_of(moment: datetime) -> int:
    """Return a moment in nanoseconds since the epoch."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * _NS + since.microseconds * 1000

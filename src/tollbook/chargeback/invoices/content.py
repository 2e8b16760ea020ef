"""What a statement says: read for all owners at once, rounded for each so that it adds up."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from tollbook.chargeback.allocate.shelf import newest_allocation
from tollbook.chargeback.cents import cents_of, round_cents
from tollbook.chargeback.invoices.lines import read_lines
from tollbook.chargeback.periods.sums import period_query
from tollbook.ledger.cards import BooksShelf
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.chargeback.allocate.shelf import AllocationLine, AllocationRun
    from tollbook.chargeback.invoices.lines import By, Line, What
    from tollbook.chargeback.periods import Period
    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery

Price = Literal["cost", "billable", "both"]
_SECTIONS: Final = ("usage", "correction", "allocation", "adjustment")
_KINDS: Final[tuple[What, ...]] = ("calls", "adjustment", "day")
_STATES_WITHOUT_PRICE: Final = frozenset(["unpriced", "unmetered"])


class Priced(NamedTuple):
    """A line with its cents; None where its amount is unknown or no rule charges it."""

    line: Line
    amount: int | None
    """In cents: the cost, or what the owner is charged."""
    cost: int | None
    """In cents, beside the other, where both are shown."""


class AllocationNote(NamedTuple):
    """How a shared cost came to an owner."""

    rule: str
    method_id: str
    line: AllocationLine


class Trust(Struct):
    """What an owner must know before relying on the figures."""

    calls_without_price: int = 0
    calls_estimated: int = 0
    cost_estimated: int = 0  # pico
    price_sources: dict[str, int] = {}
    """Source of prices, such as a list's version, to how many of its cards were used."""
    billing_rules: tuple[str, ...] = ()
    calls_without_rule: int = 0


class Content(NamedTuple):
    """One owner's statement."""

    owner: str
    by: By
    price: Price
    period: Period
    lines: tuple[Priced, ...]
    days: tuple[Priced, ...]
    summary: tuple[tuple[str, int], ...]
    """What, and cents; they add up to the total."""
    total: int
    """In cents."""
    exact: int
    """In pico."""
    previous: int | None
    """Cents of the month before, None where there was nothing."""
    allocations: tuple[AllocationNote, ...]
    trust: Trust
    stamp: dict[str, Any]


class Sources(NamedTuple):
    """What the statements of a period are made of, for all owners."""

    period: Period
    by: By
    price: Price
    lines: dict[str, list[Line]]
    days: dict[str, list[Line]]
    previous: dict[str, int]
    allocations: dict[str, list[AllocationNote]]
    trust: dict[str, Trust]
    stamp: dict[str, Any]

    @property
    def owners(self) -> list[str]:
        """Everybody who has a line, by name; who is not known comes last."""
        return sorted(self.lines, key=lambda owner: (owner == UNKNOWN, owner))


def read_sources(
    desk: Desk, period: Period, query: SpendQuery, by: By, price: Price, stamp: dict[str, Any]
) -> Sources:
    """Read what the statements of a period are made of.

    Args:
        desk: what is open.
        period: which month.
        query: what belongs to it as billed, of the owners that are wanted.
        by: whose statements.
        price: which amounts.
        stamp: see :func:`tollbook.chargeback.filing.stamp`.

    Raises:
        QueryTimeoutError: it took too long.
        BooksError: the books cannot be read.
    """
    lines: dict[str, list[Line]] = defaultdict(list)
    days: dict[str, list[Line]] = defaultdict(list)
    for what in _KINDS:
        for one in read_lines(desk.reader, query, period, by, what):
            (days if what == "day" else lines)[one.owner].append(one)
    for some in lines.values():
        some.sort(key=_place)
    for some in days.values():
        some.sort(key=lambda one: one.of("day") or "")
    before = replace(period_query(desk, period.previous), where=query.where, by=(by,),
                     measures=("calls", "cost_usd", "billable_usd"))  # fmt: skip
    column = "cost_usd" if price == "cost" else "billable_usd"
    previous = {
        row[by] or UNKNOWN: row[column]
        for row in wide_rows(desk.reader, before)
        if row[column] is not None and (row["calls"] or row[column])
    }
    notes = _notes(newest_allocation(desk.books, period.name), by)
    trust = _trust(desk, query, by)
    return Sources(period, by, price, lines, days, previous, notes, trust, stamp)


def _place(one: Line) -> tuple[Any, ...]:
    return (
        _SECTIONS.index(one.section), one.original_period, one.of("tenant") or "",
        one.of("feature") or "", one.of("provider") or "", one.of("model") or "",
        one.of("adjustment") or "", one.line_id,
    )  # fmt: skip


def _notes(run: AllocationRun | None, by: By) -> dict[str, list[AllocationNote]]:
    found: dict[str, list[AllocationNote]] = defaultdict(list)
    for one in () if run is None else run.lines:
        owner = one.tenant if by == "tenant" else one.cost_center
        assert run is not None, "it has lines"
        found[owner or UNKNOWN].append(AllocationNote(one.rule, run.method_id(one.rule), one))
    return found


def _trust(desk: Desk, query: SpendQuery, by: By) -> dict[str, Trust]:
    found: dict[str, Trust] = defaultdict(Trust)
    states = replace(query, by=(by, "price_state", "usage_source"), measures=("calls", "cost_usd"))
    for row in wide_rows(desk.reader, states):
        one = found[row[by] or UNKNOWN]
        if row["price_state"] in _STATES_WITHOUT_PRICE:
            one.calls_without_price += row["calls"] or 0
        if row["usage_source"] == "estimated":
            one.calls_estimated += row["calls"] or 0
            one.cost_estimated += row["cost_usd"] or 0
    cards: dict[str, set[str]] = defaultdict(set)
    rules: dict[str, set[str]] = defaultdict(set)
    used = replace(query, by=(by, "price_card", "billing_rule"), measures=("calls",))
    for row in wide_rows(desk.reader, used):
        owner = row[by] or UNKNOWN
        if row["price_card"] is not None:
            cards[owner].add(row["price_card"])
        if row["billing_rule"] is not None:
            rules[owner].add(row["billing_rule"])
        else:
            found[owner].calls_without_rule += row["calls"] or 0
    known = BooksShelf(desk.books).find(sorted({one for some in cards.values() for one in some}))
    for owner, some in cards.items():
        sources = Counter(known[one].source for one in some if one in known)
        found[owner].price_sources = dict(sorted(sources.items()))
    for owner, some in rules.items():
        found[owner].billing_rules = tuple(sorted(some))
    return found


def content_of(sources: Sources, owner: str) -> Content:
    """Return one owner's statement: the lines' cents add up to the total's."""
    price = sources.price
    lines, days = sources.lines[owner], sources.days.get(owner, [])
    if price == "billable":
        # What shared costs came to is not the affair of somebody who pays another price.
        lines = [one for one in lines if one.calls or one.billable is not None]
    exact = sum(_amount(one, price) or 0 for one in lines)
    total = round_cents(exact)
    priced = _priced(lines, price, total)
    sums: dict[str, int] = {}
    for one in priced:
        name = _heading(one.line)
        sums[name] = sums.get(name, 0) + (one.amount or 0)
    previous = sources.previous.get(owner)
    return Content(
        owner=owner, by=sources.by, price=price, period=sources.period, lines=priced,
        days=_priced(days, price, total), summary=tuple(sums.items()), total=total, exact=exact,
        previous=None if previous is None else round_cents(previous),
        allocations=() if price == "billable" else tuple(sources.allocations.get(owner, ())),
        trust=sources.trust.get(owner, Trust()), stamp=sources.stamp,
    )  # fmt: skip


def _amount(one: Line, price: Price) -> int | None:
    return one.cost if price == "cost" else one.billable


def _priced(lines: Sequence[Line], price: Price, total: int) -> tuple[Priced, ...]:
    amounts = _cents([_amount(one, price) for one in lines], total)
    costs: Iterable[int | None] = [None] * len(lines)
    if price == "both":
        costs = _cents([one.cost for one in lines], None)
    return tuple(Priced(*row) for row in zip(lines, amounts, costs, strict=True))


def _cents(amounts: Sequence[int | None], total: int | None) -> list[int | None]:
    known = iter(cents_of([one for one in amounts if one is not None], total))
    return [None if one is None else next(known) for one in amounts]


_WORDS: Final = {
    "true_up": "True-up to providers' invoices",
    "volume_tier": "Volume price steps",
    "free_quota": "Free quotas of providers",
    "minimum": "Minimum charges",
    "commitment": "Commitments, used part",
    "idle_commitment": "Commitments, idle part",
    "credit": "Credits of providers",
    "tax": "Taxes",
    "fee": "Fees",
    "rounding": "Rounding of invoices",
    "allocation": "Shared costs, allocated",
    "billing": "Allowances, minimums and discounts",
}


def _heading(one: Line) -> str:
    """Return the line of the summary that a line is part of."""
    if one.section == "correction":
        return f"Corrections of {one.original_period}"
    adjustment = one.of("adjustment")
    return "Usage" if adjustment is None else _WORDS.get(adjustment, adjustment)


def described(one: Line) -> str:
    """Return what a line is for, in words."""
    adjustment = one.of("adjustment")
    if adjustment is not None:
        words = _WORDS.get(adjustment, adjustment)
        reason = one.of("reason")
        return words if reason is None else f"{words}: {reason}"
    return "Calls" if one.section != "correction" else "Calls booked after their month was closed"

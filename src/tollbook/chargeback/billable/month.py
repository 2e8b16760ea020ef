"""A month's bill of each tenant beside its calls: allowances, discounts, caps, minimums, fees.

What is due is computed from all that is known of the month now; what is booked already is taken
off; the difference is booked as adjustments of type ``billing``. So late calls cost one more small
run, and applying twice is applying once.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.chargeback.periods import closes
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.ledger.billing_rules import RulesInForce, load_rules
from tollbook.prices.billable import MATCHED, Described, Matcher, described
from tollbook.prices.billable_terms import PARTS, Terms, Used, parts_of, quantity_of
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.books.store import Books
    from tollbook.chargeback.periods import Period
    from tollbook.desk import Desk
    from tollbook.prices.billable_terms import Part
    from tollbook.reports.reader import Reader

_CALLS_ALONE: Final = (Filter("adjustment", (None,)),)
_BOOKED: Final = (Filter("adjustment", (AdjustmentType.BILLING.value,)),)
_MEASURES: Final = ("calls", "billable_usd", *KINDS)


class MonthLine(NamedTuple):
    """One part of a tenant's bill. Amounts are in pico."""

    tenant_id: str
    plan: str | None
    part: str
    due: int
    booked: int
    document_id: str | None
    """None: no terms hold any more, so what was booked is taken back."""
    reason: str

    @property
    def difference(self) -> int:
        """What is to be booked."""
        return self.due - self.booked


class _Usage(NamedTuple):
    """What a tenant's calls of one kind came to."""

    call: Described
    sums: dict[str, int | None]


def month_lines(reader: Reader, books: Books, period: Period) -> list[MonthLine]:
    """Return every part of every tenant's bill, due or booked.

    The terms of a month are those that hold at its last moment.

    Args:
        reader: of the ledger.
        books: where the terms are.
        period: the month.

    Raises:
        BooksError: the books cannot be read.
        QueryTimeoutError: it took too long.
    """
    held = load_rules(books).at(period.end_ns - 1)
    terms = _terms(held)
    usage = _usage(reader, period, held, terms)
    due: dict[tuple[str, str], tuple[Part, str | None, str]] = {}
    for tenant in sorted({*usage, *_named(held, terms)}):
        rows = usage.get(tenant, [])
        plan = _plan(held, tenant, rows)
        chosen = next((one for one in terms if one.matcher.fits(Described(tenant, plan))), None)
        if chosen is None:
            continue
        for part in _parts(chosen.terms, rows):
            due[tenant, part.part] = _added(due.get((tenant, part.part)), part, plan, chosen)
    return _lines(due, _booked(reader, period))


class _Ready(NamedTuple):
    """Terms made ready."""

    matcher: Matcher
    document_id: str
    terms: Terms


def _terms(held: RulesInForce) -> list[_Ready]:
    ready = [
        _Ready(Matcher(one.body.match), one.document_id, one.body)
        for one in sorted(held.terms, key=lambda one: one.name)
        if isinstance(one.body, Terms)
    ]
    return sorted(ready, key=lambda one: one.matcher.rank, reverse=True)


def _named(held: RulesInForce, terms: Iterable[_Ready]) -> set[str]:
    """Return the tenants that have terms whether or not they made any call."""
    found = held.tenants_named()
    for one in terms:
        given = one.terms.match.tenant
        names = (given,) if isinstance(given, str) else given or ()
        found |= {name for name in names if not set(name) & set("*?")}
    return found


def _usage(
    reader: Reader, period: Period, held: RulesInForce, terms: Sequence[_Ready]
) -> dict[str, list[_Usage]]:
    """Return what the calls of each tenant came to, apart as far as an allowance looks."""
    looked_at = {
        name
        for one in terms
        for allowance in one.terms.allowances
        for name in MATCHED
        if getattr(allowance.match, name) is not None
    }
    names = [name for name in MATCHED if name in looked_at]
    tags = [f"tag:{tag}" for tag in held.plan_tags()]
    query = SpendQuery(
        since=period.start, until=period.end, by=("tenant", *names, *tags[:1]),
        where=_CALLS_ALONE, measures=_MEASURES,
    )  # fmt: skip
    usage: dict[str, list[_Usage]] = {}
    for row in wide_rows(reader, query):
        if row["tenant"] is not None:
            values = [row.get(name) for name in MATCHED]
            if tags:
                values[MATCHED.index("plan")] = row[tags[0]]
            usage.setdefault(row["tenant"], []).append(_Usage(described(values), row))
    return usage


def _plan(held: RulesInForce, tenant: str, rows: Sequence[_Usage]) -> str | None:
    """Return the plan of a tenant: by name, else the tag of most of its calls."""
    plan = held.plan_of(tenant)
    if plan is not None:
        return plan
    counted: Counter[str] = Counter()
    for one in rows:
        if one.call.plan is not None:
            counted[one.call.plan] += one.sums["calls"] or 0
    return max(sorted(counted), key=lambda name: counted[name]) if counted else None


def _parts(terms: Terms, rows: Sequence[_Usage]) -> list[Part]:
    left = list(rows)
    used: list[Used] = []
    for one in terms.allowances:
        matcher = Matcher(one.match)
        mine = [row for row in left if matcher.fits(row.call)]
        left = [row for row in left if row not in mine]
        billable = sum(row.sums["billable_usd"] or 0 for row in mine)
        quantity = sum(quantity_of(one.measure, row.sums) for row in mine)
        used.append(Used(billable, quantity))
    return parts_of(terms, sum(row.sums["billable_usd"] or 0 for row in rows), used)


def _added(
    before: tuple[Part, str | None, str] | None, part: Part, plan: str | None, chosen: _Ready
) -> tuple[Part, str | None, str]:
    """Return a part; of several allowances the sum."""
    if before is None:
        return part, plan, chosen.document_id
    earlier = before[0]
    both = part._replace(
        amount=earlier.amount + part.amount, reason=f"{earlier.reason}; {part.reason}"
    )
    return both, plan, chosen.document_id


def _booked(reader: Reader, period: Period) -> dict[tuple[str, str], int]:
    """Return what was booked of the month, by tenant and part."""
    booked: dict[tuple[str, str], int] = {}
    for row in _runs(reader, period):
        part = row["adjustment_id"].split(":")[2]
        key = (row["tenant"], part)
        booked[key] = booked.get(key, 0) + (row["billable_usd"] or 0)
    return booked


def _runs(reader: Reader, period: Period) -> list[dict[str, Any]]:
    query = SpendQuery(
        since=period.start, until=period.end, by=("tenant", "adjustment_id"), where=_BOOKED,
        measures=("billable_usd",),
    )  # fmt: skip
    prefix = f"billing:{period.name}:"
    return [row for row in wide_rows(reader, query) if row["adjustment_id"].startswith(prefix)]


def _lines(
    due: dict[tuple[str, str], tuple[Part, str | None, str]], booked: dict[tuple[str, str], int]
) -> list[MonthLine]:
    lines = []
    for key in sorted({*due, *booked}, key=lambda one: (one[0], PARTS.index(one[1]))):
        part, plan, document_id = due.get(key, (None, None, None))
        amount = 0 if part is None else part.amount
        reason = "no terms hold any more" if part is None else part.reason
        was = booked.get(key, 0)
        if amount or was:
            lines.append(MonthLine(key[0], plan, key[1], amount, was, document_id, reason))
    return lines


def book_month(desk: Desk, period: Period) -> tuple[list[MonthLine], list[str]]:
    """Book what is due of a month and not booked yet.

    Where the month is closed the entries stand in the first open one.

    Returns:
        Every part, as it was before; and the ids of the runs that were booked.

    Raises:
        BooksError: the books cannot be read.
        AdjustmentConflictError: another process booked the same run with other amounts.
    """
    lines = month_lines(desk.reader, desk.books, period)
    stands_in = open_period(desk.books, period)
    runs = {row["adjustment_id"] for row in _runs(desk.reader, period)}
    booked = []
    for part in PARTS:
        new = [one for one in lines if one.part == part and one.difference]
        if not new:
            continue
        earlier = sum(run.startswith(f"billing:{period.name}:{part}:") for run in runs)
        run = f"billing:{period.name}:{part}:{earlier + 1}"
        corrects = f"billing:{period.name}:{part}:{earlier}" if earlier else None
        book_adjustments(
            desk.store, run, [_adjustment(one, period, stands_in, corrects) for one in new]
        )
        booked.append(run)
    return lines, booked


def _adjustment(
    one: MonthLine, period: Period, stands_in: Period, corrects: str | None
) -> Adjustment:
    return Adjustment(
        adjustment=AdjustmentType.BILLING, at_ns=period.end_ns - 1_000, cost=0,
        billable=one.difference, identity={"tenant_id": one.tenant_id},
        billing_period=stands_in.name, corrects=corrects, billing_rule_id=one.document_id,
        billing_flags=(one.part,), reason=f"{one.part} of {period.name}: {one.reason}",
    )  # fmt: skip


def open_period(books: Books, period: Period) -> Period:
    """Return a month, or the first one after it that is not closed.

    Raises:
        BooksError: the books cannot be read.
    """
    closed = [one.period for one in closes(books)]
    while closed and period.name <= closed[-1]:
        period = period.following
    return period

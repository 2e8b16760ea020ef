"""The provider's side: quantities by key and project, dollars by day, and what stands on invoices.

Lines are as statements have them; here they are only sorted by what they speak of and added up as
they are read, so that a month of hourly lines takes no more memory than its days.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from tollbook.chargeback.reconcile.keys import DAY_NS, ModelNames
from tollbook.chargeback.reconcile.lines import Gathered, Line, Other
from tollbook.chargeback.statements.model import Basis, Finality
from tollbook.chargeback.statements.shelf import current_lines, statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.books.store import Books
    from tollbook.chargeback.statements.model import Statement, StatementLine

LINES_AT_ONCE: Final = 200_000
"""About so many lines of statements are in memory at a time."""


class ProviderSide(Struct):
    """What a provider says, a day before and after the time included where lines tell days."""

    usage: list[Line]
    """Of usage reports."""
    money: list[Line]
    """Dollars of models, of cost reports, or of invoices that tell models."""
    others: list[Other]
    """Taxes, credits, fees and commitments of the time."""
    usage_total: int | None
    """Of usage, as payable: the invoice's where there is one; None: not told."""
    total: int | None
    """Of everything; None: no statement speaks of money."""
    is_invoiced: bool
    currency: str
    unit: int
    """The coarsest power of ten (pico) that divides every amount, a cent at most."""
    rows: int
    """Lines of money."""
    is_final: bool
    bill: str | None
    """The statement that the money rests on, where it is one."""
    statements: tuple[str, ...]
    words: tuple[str, ...]


class Asked(NamedTuple):
    """Which statements."""

    provider: str
    since_ns: int
    until_ns: int
    with_invoices: bool
    """Invoices do not count for a part of a month."""
    prefer: Sequence[str]
    """Sources of statements, the preferred first."""


def provider_side(books: Books, asked: Asked, names: ModelNames) -> ProviderSide:
    """Return what a provider's statements say of a stretch of time.

    Args:
        books: where statements are kept.
        asked: which of them.
        names: of the provider's models.

    Raises:
        BooksError: the books cannot be read.
    """
    days = (asked.since_ns // DAY_NS, asked.until_ns // DAY_NS)
    known = statements(books, provider=asked.provider)
    usage, costs, bills = (Gathered(names, days) for _ in range(3))
    for basis, gathered in ((Basis.USAGE, usage), (Basis.COST, costs)):
        for line in _lines(books, basis, asked, known):
            gathered.add(line)
    if asked.with_invoices:
        for line in current_lines(
            books, Basis.INVOICE, asked.since_ns, asked.until_ns, asked.provider, by_bill=True
        ):
            bills.add(line, is_inside=True)
    money = costs if costs.lines else bills
    payable = bills if bills.rows else costs
    told = {one.cause for one in bills.others(is_sum=True)}
    others = bills.others(is_sum=True) + [
        one for one in costs.others(is_sum=not costs.lines) if one.cause not in told
    ]
    # Of each cause the invoice's lines count where it has any, else those of the cost reports.
    total = payable.total if payable.rows else None
    used = usage.statements | costs.statements | bills.statements
    final = {one.statement_id for one in known if one.finality is Finality.FINAL}
    return ProviderSide(
        usage=usage.as_lines(), money=money.as_lines(), others=others, total=total,
        usage_total=None if total is None else total - sum(one.amount for one in others),
        is_invoiced=bool(bills.rows), currency=payable.currency, unit=money.unit,
        rows=bills.rows + costs.rows, is_final=bool(used) and used <= final,
        bill=next(iter(payable.inside)) if len(payable.inside) == 1 else None,
        statements=tuple(sorted(used)), words=(*costs.words(), *bills.words()),
    )  # fmt: skip


def _lines(
    books: Books, basis: Basis, asked: Asked, known: Sequence[Statement]
) -> Iterator[StatementLine]:
    """Yield lines, as many at a time as fit into memory."""
    since_ns, until_ns = asked.since_ns - DAY_NS, asked.until_ns + DAY_NS
    lines = sum(
        one.lines for one in known
        if one.basis is basis and one.end_ns > since_ns and one.start_ns < until_ns
    )  # fmt: skip
    days = (until_ns - since_ns) // DAY_NS
    parts = min(max(-(-lines // LINES_AT_ONCE), 1), days)
    edges = [since_ns + days * at // parts * DAY_NS for at in range(parts + 1)]
    for first, last in pairwise(edges):
        yield from current_lines(books, basis, first, last, asked.provider, prefer=asked.prefer)

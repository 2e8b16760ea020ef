"""The trial balance of a period: accounts derived from entries and invoices, always zero in sum.

====================  =======================================================================
``cost:OWNER``         what the period's entries cost each owner
``accrual:PROVIDER``   owed for the month and not invoiced (credit)
``prior:PROVIDER``     what is of months that are closed: cost here, owed before (credit)
``payable:PROVIDER:ID``  an invoice (credit)
``variance:PROVIDER``  what an invoice says and no entry (debit), or the other way round (credit)
====================  =======================================================================

Costs by owner and by provider come from two queries over the ledger, so that their sum is a check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook.chargeback.periods.sums import period_query
from tollbook.chargeback.statements.model import Basis
from tollbook.chargeback.statements.shelf import current_lines, statements
from tollbook.reports import measures
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery

INTERNAL: Final = "internal"
"""Stands for the provider of what none has: shared costs that were typed in."""


class Invoice(NamedTuple):
    """What a provider wants to be paid for a month, in pico."""

    provider: str
    invoice_id: str
    amount: int


class TrialBalance(NamedTuple):
    """Accounts and balances; a debit is positive."""

    accounts: dict[str, int]
    problems: list[str]

    @property
    def total(self) -> int:
        """Zero, or something is wrong."""
        return sum(self.accounts.values())

    def of(self, kind: str) -> dict[str, int]:
        """Return the accounts of one kind, without its name."""
        start = f"{kind}:"
        return {
            name.removeprefix(start): balance
            for name, balance in self.accounts.items()
            if name.startswith(start)
        }


def balance(
    owners: Mapping[str, int], own: Mapping[str, int], late: Mapping[str, int],
    invoices: Iterable[Invoice],
) -> TrialBalance:  # fmt: skip
    """Post costs, accruals and invoices.

    Args:
        owners: cost by owner.
        own: cost by provider of the month's own entries.
        late: cost by provider of entries of months that were closed.
        invoices: of the month.
    """
    accounts: dict[str, int] = {}

    def post(name: str, amount: int) -> None:
        accounts[name] = accounts.get(name, 0) + amount

    for owner, cost in owners.items():
        post(f"cost:{owner}", cost)
    for provider, cost in own.items():
        post(f"accrual:{provider}", -cost)
    for provider, cost in late.items():
        post(f"prior:{provider}", -cost)
    invoiced: dict[str, None] = {}
    for one in invoices:
        post(f"accrual:{one.provider}", one.amount)
        post(f"payable:{one.provider}:{one.invoice_id}", -one.amount)
        invoiced[one.provider] = None
    for provider in invoiced:
        rest = accounts.pop(f"accrual:{provider}")
        post(f"variance:{provider}", rest)
    return TrialBalance({name: amount for name, amount in sorted(accounts.items()) if amount}, [])


def trial_balance(desk: Desk, period: Period, by: str = "tenant") -> TrialBalance:
    """Return the trial balance of a period as billed.

    Args:
        desk: what is open.
        period: which month.
        by: what an owner is: ``tenant``, ``team``, ``cost_center`` or ``feature``.

    Raises:
        QueryTimeoutError: it took too long.
        BooksError: the books cannot be read.
    """
    query = period_query(desk, period)
    owners = _by(desk, query, by, UNKNOWN)
    whole = _by(desk, query, "provider", INTERNAL)
    own = _by(desk, _of_the_month(query), "provider", INTERNAL)
    late = {provider: cost - own.get(provider, 0) for provider, cost in whole.items()}
    invoices, problems = invoices_of(desk, period)
    return balance(owners, own, late, invoices)._replace(problems=problems)


def _of_the_month(query: SpendQuery) -> SpendQuery:
    """Leave out what is of months that are closed, corrections that name this one included."""
    window = query.entry_window
    assert window is not None, "a period's query is looked up"
    return query if window.after_entry is None else replace(query, since=window.start)


def _by(desk: Desk, query: SpendQuery, name: str, unset: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in wide_rows(desk.reader, replace(query, by=(name,))):
        key = unset if row[name] is None else row[name]
        found[key] = found.get(key, 0) + (row[measures.COST] or 0)
    return found


def invoices_of(desk: Desk, period: Period) -> tuple[list[Invoice], list[str]]:
    """Return the invoices whose month begins in a period, and what of them has no dollars.

    Raises:
        BooksError: the books cannot be read.
    """
    lines = current_lines(
        desk.books, Basis.INVOICE, period.start_ns, period.end_ns, by_bill=True
    )  # fmt: skip
    names = {
        one.statement_id: one.invoice_id or one.statement_id
        for one in statements(desk.books, basis=Basis.INVOICE)
    }
    amounts: dict[tuple[str, str], int] = {}
    problems = []
    for line in lines:
        at = (line.provider, names.get(line.statement_id, line.statement_id))
        amounts.setdefault(at, 0)
        if line.amount is None:
            problems.append(f"{at[0]} invoice {at[1]}: line {line.line} has no amount in dollars")
        else:
            amounts[at] += line.amount
    invoices = [Invoice(provider, name, sum_) for (provider, name), sum_ in amounts.items()]
    return invoices, problems

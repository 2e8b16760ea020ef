"""Which invoice a row is on, and the lines of Invoice Detail.

A line stands for one category of one invoice. An invoice states adjustments within its usage lines
where the ledger keeps them apart; so that each line is what its rows add up to, as far as the
ledger agrees with the invoice, the line of such a category is made of its rows, and that of usage
is the less by it. The sum of an invoice's lines is what the invoice says, always.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.focus.rows import CURRENCY, PROVIDER
from tollbook.chargeback.focus.unitprices import EXACT
from tollbook.chargeback.statements.model import Basis, Category, Finality
from tollbook.chargeback.statements.shelf import current_lines, statements
from tollbook.money import usd_decimal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.books.store import Books
    from tollbook.chargeback.focus.columns import Row
    from tollbook.chargeback.focus.parties import Parties
    from tollbook.chargeback.focus.scope import Segment
    from tollbook.chargeback.periods import Period
    from tollbook.chargeback.statements.model import Statement

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Invoice(NamedTuple):
    """What a provider's statement of a period invoices, by category."""

    statement: Statement
    period: Period
    amounts: dict[str, int]
    """Category to pico."""

    @property
    def invoice_id(self) -> str:
        """The number of the invoice."""
        assert self.statement.invoice_id is not None
        return self.statement.invoice_id


class Invoices:
    """The invoices of some billing periods, and what rows are on them.

    Args:
        books: where statements are kept.
        periods: the billing periods.
    """

    def __init__(self, books: Books, periods: tuple[Period, ...]) -> None:
        self._by_statement: dict[tuple[str, str], Invoice] = {}
        self._by_provider: dict[tuple[str, str], list[Invoice]] = {}
        self._linked: dict[tuple[str, str], Decimal] = {}
        known = {one.statement_id: one for one in statements(books, basis=Basis.INVOICE)}
        for period in periods:
            self._read(books, period, known)

    def _read(self, books: Books, period: Period, known: dict[str, Statement]) -> None:
        amounts: dict[str, dict[str, int]] = {}
        lines = current_lines(books, Basis.INVOICE, period.start_ns, period.end_ns, by_bill=True)
        for line in lines:
            by_category = amounts.setdefault(line.statement_id, {})
            category = Category(line.category).value
            by_category[category] = by_category.get(category, 0) + (line.amount or 0)
        for statement_id, by_category in amounts.items():
            statement = known.get(statement_id)
            if statement is None or statement.invoice_id is None:
                continue
            one = Invoice(statement, period, by_category)
            self._by_statement[period.name, statement_id] = one
            self._by_provider.setdefault((period.name, statement.provider), []).append(one)

    @property
    def accounts(self) -> dict[str, str]:
        """The account of each provider that has one account."""
        found: dict[str, set[str]] = {}
        for one in self._by_statement.values():
            if one.statement.account:
                found.setdefault(one.statement.provider, set()).add(one.statement.account)
        return {provider: min(some) for provider, some in found.items() if len(some) == 1}

    @property
    def ambiguous(self) -> list[str]:
        """Providers with several invoices in a period: which one a call is on, nobody says."""
        return sorted({
            provider for (_, provider), some in self._by_provider.items()
            if len({one.invoice_id for one in some}) > 1
        })  # fmt: skip

    def link(self, row: Row, segment: Segment) -> None:
        """Write on a row which invoice it is on, if that is known."""
        found = self._by_statement.get((segment.period.name, str(row.get("x_StatementId"))))
        if found is None:
            some = self._by_provider.get((segment.period.name, str(row[PROVIDER])), [])
            if len({one.invoice_id for one in some}) != 1:
                return
            found = some[0]
        category, billed = row["ChargeCategory"], row["BilledCost"]
        assert isinstance(category, str)
        assert isinstance(billed, Decimal)
        row["InvoiceId"] = found.invoice_id
        row["InvoiceDetailId"] = _detail_id(found.invoice_id, category)
        key = (found.invoice_id, category)
        self._linked[key] = EXACT.add(self._linked.get(key, Decimal(0)), billed)

    def rows(self, parties: Parties) -> Iterator[Row]:
        """Yield Invoice Detail; after all rows were linked."""
        done: set[str] = set()
        for one in self._by_statement.values():
            if one.invoice_id in done:
                continue
            done.add(one.invoice_id)
            same = [
                other for other in self._by_statement.values()
                if other.invoice_id == one.invoice_id
            ]  # fmt: skip
            for category, amount in sorted(self._amounts(one.invoice_id, same).items()):
                yield _row(one, category, amount, parties)

    def _amounts(self, invoice_id: str, same: list[Invoice]) -> dict[str, Decimal]:
        stated: dict[str, Decimal] = {}
        for one in same:
            for category, pico in one.amounts.items():
                stated[category] = EXACT.add(stated.get(category, Decimal(0)), usd_decimal(pico))
        within = Category.USAGE.value if Category.USAGE.value in stated else min(stated)
        for (linked_id, category), amount in self._linked.items():
            if linked_id == invoice_id and category not in stated:
                stated[category] = amount
                stated[within] = EXACT.subtract(stated[within], amount)
        return stated


def _detail_id(invoice_id: str, category: str) -> str:
    return f"{invoice_id}/{category.lower()}"


def _row(one: Invoice, category: str, amount: Decimal, parties: Parties) -> Row:
    party = parties.of(one.statement.provider)
    fetched = _EPOCH + timedelta(microseconds=one.statement.fetched_at_ns // 1000)
    is_final = one.statement.finality is Finality.FINAL
    return {
        "BilledCost": amount,
        "BillingAccountId": party.account_id,
        "BillingCurrency": CURRENCY,
        "BillingPeriodStart": one.period.start,
        "BillingPeriodEnd": one.period.end,
        "ChargeCategory": category,
        "InvoiceDetailCreated": fetched,
        "InvoiceDetailLastUpdated": fetched,
        "InvoiceDetailDescription": f"{party.service}: {category.lower()}",
        "InvoiceDetailGrain": {"x_ChargeCategory": category},
        "InvoiceDetailId": _detail_id(one.invoice_id, category),
        "InvoiceId": one.invoice_id,
        "InvoiceIssueStatus": "Issued" if is_final else "Open",
        "InvoiceIssuerName": party.name,
        "PaymentTerms": party.payment_terms,
        "PurchaseOrderNumber": party.purchase_order,
        "ReferenceInvoiceId": one.invoice_id,
        "x_StatementId": one.statement.statement_id,
    }

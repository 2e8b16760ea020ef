"""Rules between datasets of 1.4: rows and invoice lines, rows and billing periods, and sums."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.focus.checkcells import moment, number
from tollbook.chargeback.focus.checksets import LINKED, linked_cells, tolerance
from tollbook.chargeback.focus.unitprices import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tollbook.chargeback.focus.checkreading import Table
    from tollbook.chargeback.focus.checksets import SetRules, Told

_NOTHING: Final = Decimal(0)


def bundle_problems(
    sets: Mapping[str, tuple[Table, SetRules]],
) -> Iterator[tuple[str, Told]]:
    """Yield what does not fit, each with the name of the file."""
    cost = sets.get("cost_and_usage")
    periods, invoices = sets.get("billing_period"), sets.get("invoice_detail")
    if periods is not None:
        for told in _period_problems(periods[0], cost):
            yield periods[0].path.name, told
    if invoices is not None:
        for told in _invoice_problems(invoices[0], cost):
            yield invoices[0].path.name, told


def _updated(row: Mapping[str, str | None], created: str, updated: str) -> bool:
    first, last = moment(row.get(created)), moment(row.get(updated))
    return first is None or last is None or first <= last


def _period_problems(table: Table, cost: tuple[Table, SetRules] | None) -> Iterator[Told]:
    known: set[tuple[str, str, str]] = set()
    for at, row in enumerate(table.rows(), 1):
        key = (
            str(row.get("BillingPeriodStart")), str(row.get("BillingPeriodEnd")),
            str(row.get("InvoiceIssuerName")),
        )  # fmt: skip
        if key in known:
            yield "period-twice", "BillingPeriodStart", at, "is there twice for its issuer"
        known.add(key)
        if not _updated(row, "BillingPeriodCreated", "BillingPeriodLastUpdated"):
            yield "updated-after-created", "BillingPeriodLastUpdated", at, "is before its creation"
    if cost is not None:
        for start, _, issuer in sorted(cost[1].periods - known):
            words = f"has no row for {start} and {issuer[:64]!r}, which has charges"
            yield "period-missing", "BillingPeriodStart", None, words


def _invoice_problems(table: Table, cost: tuple[Table, SetRules] | None) -> Iterator[Told]:
    lines: dict[str, tuple[str | None, ...]] = {}
    totals: dict[tuple[str, str, str], Decimal] = {}
    currencies: dict[str, str | None] = {}
    for at, row in enumerate(table.rows(), 1):
        detail = str(row.get("InvoiceDetailId"))
        if detail in lines:
            yield "invoice-detail-twice", "InvoiceDetailId", at, "is there twice"
        lines[detail] = linked_cells(row)
        if not _updated(row, "InvoiceDetailCreated", "InvoiceDetailLastUpdated"):
            yield "updated-after-created", "InvoiceDetailLastUpdated", at, "is before its creation"
        if row.get("ChargeCategory") == "Tax" or row.get("InvoiceIssueStatus") == "Open":
            continue  # FOCUS 1.4 exempts both from reconciliation
        issuer, amount = str(row.get("InvoiceIssuerName")), number(row.get("BilledCost"))
        for column in ("InvoiceId", "InvoiceDetailId"):
            key = (column, str(row.get(column)), issuer)
            totals[key] = EXACT.add(totals.get(key, _NOTHING), amount or _NOTHING)
            currencies[key[1]] = row.get("BillingCurrency")
    if cost is not None:
        yield from _links(lines, cost[1])
        yield from _sums(totals, currencies, cost[1])


def _links(lines: dict[str, tuple[str | None, ...]], cost: SetRules) -> Iterator[Told]:
    for detail, cells in cost.details.items():
        if detail not in lines:
            words = f"has no line {detail[:64]!r}, which rows of Cost and Usage name"
            yield "invoice-detail-missing", "InvoiceDetailId", None, words
            continue
        for name, of_row, of_line in zip(LINKED, cells, lines[detail], strict=True):
            if of_row != of_line:
                words = f"of {detail[:64]!r} is not that of its rows in Cost and Usage"
                yield "invoice-detail-differs", name, None, words


def _sums(
    totals: dict[tuple[str, str, str], Decimal], currencies: dict[str, str | None], cost: SetRules
) -> Iterator[Told]:
    for key, stated in totals.items():
        column, value, _ = key
        billed, rows = cost.billed.get(key, (_NOTHING, 0))
        allowed = tolerance(currencies[value], rows)
        difference = abs(EXACT.subtract(billed, stated))
        if difference > allowed:
            words = (
                f"{value[:64]!r}: {stated:f} invoiced, {billed:f} in {rows} rows of Cost and "
                f"Usage; they may differ by {allowed:f}"
            )
            yield "invoice-reconciliation", column, None, words

"""Invoices: typed in, or read out of a PDF and confirmed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from tollbook.books.documents import Subject, put_document
from tollbook.chargeback.statements.errors import StatementError
from tollbook.chargeback.statements.invoices import Invoice, keep_invoice, shown_amount
from tollbook.chargeback.statements.model import Basis, Category, Finality
from tollbook.chargeback.statements.moments import month_named
from tollbook.chargeback.statements.pdf import finds_in, read_pdf
from tollbook.chargeback.statements.raws import raw_of
from tollbook.chargeback.statements.shelf import current_lines, lines_of, statements

if TYPE_CHECKING:
    from tollbook.books.store import Books

OCTOBER = month_named("2026-10")
USD = 10**12


def typed(**of: Any) -> Invoice:
    known = {"provider": "openai", "period": "2026-10", "invoice_id": "INV-1", "amount": "123.45"}
    return Invoice(**(known | of))


def payable(books: Books) -> int:
    found = current_lines(books, Basis.INVOICE, *OCTOBER)
    return sum(line.amount or 0 for line in found)


def test_lines_sum_to_what_is_payable(books: Books) -> None:
    one, is_new = keep_invoice(books, typed(tax="1.23", credit="5", fee="2.5"), author="ann")
    assert is_new
    lines = lines_of(books, one.statement_id)
    assert [(line.category, line.amount) for line in lines] == [
        (Category.USAGE, 12_472 * USD // 100), (Category.PURCHASE, 5 * USD // 2),
        (Category.CREDIT, -5 * USD), (Category.TAX, 123 * USD // 100),
    ]  # fmt: skip
    assert sum(line.amount or 0 for line in lines) == 12_345 * USD // 100
    assert (one.basis, one.source, one.finality) == (Basis.INVOICE, "typed", Finality.FINAL)
    assert (one.start_ns, one.end_ns, one.received_by) == (*OCTOBER, "ann")
    assert b'"amount":"123.45"' in b"".join(raw_of(books, one.raw_sha256))


def test_a_credit_may_bear_its_sign(books: Books) -> None:
    one, _ = keep_invoice(books, typed(credit="-5"))
    amounts = [line.amount for line in lines_of(books, one.statement_id)]
    assert amounts == [12_845 * USD // 100, -5 * USD]


def test_the_same_is_kept_once_and_another_figure_takes_its_place(books: Books) -> None:
    keep_invoice(books, typed())
    assert keep_invoice(books, typed())[1] is False
    assert payable(books) == 12_345 * USD // 100
    keep_invoice(books, typed(amount="100"))
    assert payable(books) == 100 * USD
    keep_invoice(books, typed(invoice_id="INV-2", amount="7"))
    assert payable(books) == 107 * USD
    assert len(statements(books)) == 3


def test_other_currencies(books: Books) -> None:
    one, _ = keep_invoice(books, typed(currency="eur", amount="10"))
    (line,) = lines_of(books, one.statement_id)
    assert (line.amount, line.amount_in_currency, line.currency) == (None, 10 * USD, "EUR")
    (problem,) = one.problems
    assert problem.startswith("usage: no exchange rate of EUR to USD for the last day of 2026-10")
    put_document(
        books, Subject.FX_RATES, "EUR", '{"currency":"EUR","rates":{"2026-10-31":"1.2"}}',
        effective_from_ns=0, reason="bank",
    )  # fmt: skip
    one, _ = keep_invoice(books, typed(currency="EUR", amount="10", invoice_id="INV-3"))
    (line,) = lines_of(books, one.statement_id)
    assert line.amount == 12 * USD


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"amount": "1,234"}, "--amount: '1,234' is not a number"),
        ({"tax": "x"}, "--tax: 'x' is not a number"),
        ({"period": "October"}, "--period 'October': expected 2026-10"),
        ({"period": "2026-13"}, "--period '2026-13'"),
        ({"currency": "EURO"}, "--currency 'EURO'"),
        ({"invoice_id": " "}, "expected an invoice number"),
    ],
)
def test_what_is_wrong_is_named(books: Books, wrong: dict[str, str], problem: str) -> None:
    with pytest.raises(StatementError, match=problem):
        keep_invoice(books, typed(**wrong))
    assert statements(books) == []


def pdf(*lines: str) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    for at, line in enumerate(lines):
        canvas.drawString(50, 800 - 20 * at, line)
    canvas.save()
    return out.getvalue()


PAPER = (
    "Invoice", "Invoice number 7A2B3C4D-0012", "Date of issue November 1, 2026",
    "Acme Inc, VAT ID DE123456789", "OpenAI API usage", "Oct 1, 2026 - Oct 31, 2026",
    "Subtotal $1,200.00", "Sales tax (8.875%) $106.50", "Total $1,306.50",
    "Amount due $1,306.50 USD",
)  # fmt: skip


def test_a_pdf_is_read_with_its_evidence() -> None:
    found = read_pdf(pdf(*PAPER), "invoice.pdf")
    assert {name: find and find.value for name, find in found._asdict().items()} == {
        "invoice_id": "7A2B3C4D-0012", "date": "November 1, 2026", "period": "2026-10",
        "amount": "1306.50", "tax": "106.50", "currency": "USD",
    }  # fmt: skip
    assert found.amount is not None
    assert found.amount.line == "Amount due $1,306.50 USD"


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("Subtotal 10.00\nTotal: 12.00 EUR", "12.00", "EUR"),
        ("Grand total €1,234,567.89", "1234567.89", "EUR"),
        ("Total tokens 123456 used", None, None),
        ("Nothing here", None, None),
        ("Total due: £5", "5", "GBP"),
    ],
)
def test_totals_in_words(text: str, amount: str | None, currency: str | None) -> None:
    found = finds_in(text)
    assert (found.amount and found.amount.value) == amount
    assert (found.currency and found.currency.value) == currency


def test_a_pdf_is_kept_as_it_came(books: Books) -> None:
    paper = pdf(*PAPER)
    one, is_new = keep_invoice(books, typed(), pdf=(paper, "invoice.pdf"))
    assert (is_new, one.source, one.file_name) == (True, "pdf", "invoice.pdf")
    assert b"".join(raw_of(books, one.raw_sha256)) == paper
    # The same paper, read another way: that takes its place.
    keep_invoice(books, typed(amount="1"), pdf=(paper, "invoice.pdf"))
    assert payable(books) == USD


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"no pdf", "no PDF that can be read"),
        (pdf()[:200], "no PDF that can be read"),
        (pdf(), "only pictures"),
    ],
)
def test_papers_that_cannot_be_read(data: bytes, problem: str) -> None:
    with pytest.raises(StatementError, match=problem):
        read_pdf(data, "x.pdf")


def test_amounts_are_shown_without_zeros() -> None:
    for pico, text in ((USD, "1"), (-USD // 2, "-0.5"), (1, "0.000000000001"), (0, "0")):
        assert shown_amount(pico) == text

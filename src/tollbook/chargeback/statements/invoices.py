"""Invoices as people have them: totals that are typed in, and what a PDF says, for confirmation.

What is kept sums to what is payable: the usage in one line, and each tax, credit and fee in its
own. Nothing that was read out of a PDF is kept unless somebody said that it is right.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.books.events import add_event, current_user
from tollbook.chargeback.statements.amounts import NotANumberError, pico
from tollbook.chargeback.statements.errors import StatementError
from tollbook.chargeback.statements.formats.base import line
from tollbook.chargeback.statements.fx import converter
from tollbook.chargeback.statements.model import Basis, Category, Finality, Statement
from tollbook.chargeback.statements.moments import NotATimeError, month_named
from tollbook.chargeback.statements.shelf import keep_statement, statement_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.books.store import Books
    from tollbook.chargeback.statements.model import StatementLine

TYPED: Final = "typed"
PDF: Final = "pdf"
_CURRENCY_CHARS: Final = 3


class Invoice(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What an invoice says. Amounts are decimal text in its currency."""

    provider: str
    period: str
    """``YYYY-MM`` that it is for."""
    invoice_id: str
    amount: str
    """What is payable, taxes included and credits taken off."""
    tax: str | None = None
    """Of it; taxes."""
    credit: str | None = None
    """What was taken off, without a sign."""
    fee: str | None = None
    """Of it; fees of the platform."""
    currency: str = "USD"
    account: str | None = None


class _Parts(Struct, frozen=True):
    """Amounts in 10^-12 of the currency; they sum to what is payable."""

    usage: int
    tax: int
    credit: int
    fee: int


def keep_invoice(
    books: Books,
    invoice: Invoice,
    *,
    pdf: tuple[bytes, str] | None = None,
    author: str | None = None,
) -> tuple[Statement, bool]:
    """Keep an invoice; the same again is the one that is there, another takes its place.

    Args:
        books: where it is kept.
        invoice: what it says, confirmed by a person.
        pdf: the document and its file's name; None: what was typed in is what was received.
        author: who says so.

    Returns:
        The statement, and whether it is new.

    Raises:
        StatementError: naming what is no amount, month or currency.
        BooksError: the books cannot be written.
    """
    what = f"invoice {invoice.invoice_id[:60]}"
    parts = _parts(invoice, what)
    try:
        start_ns, end_ns = month_named(invoice.period)
    except NotATimeError as error:
        raise StatementError(what, f"--period {invoice.period[:20]!r}: expected 2026-10") from error
    if len(invoice.currency) != _CURRENCY_CHARS or not invoice.currency.isalpha():
        raise StatementError(
            what, f"--currency {invoice.currency[:20]!r}: expected EUR or the like"
        )
    if not invoice.invoice_id.strip() or not invoice.provider.strip():
        raise StatementError(what, "expected an invoice number and a provider")
    typed = msgspec.json.encode(invoice, order="deterministic")
    raw = typed if pdf is None else pdf[0]
    digest = hashlib.sha256(raw).hexdigest()
    # Of a PDF, what was confirmed is part of what is kept: reading it another way is another.
    identity = digest if pdf is None else hashlib.sha256(raw + typed).hexdigest()
    now_ns = clock.unix_ns()
    source = TYPED if pdf is None else PDF
    one = Statement(
        statement_id=statement_id_of(
            provider=invoice.provider, account=invoice.account, source=source,
            scope=invoice.invoice_id, start_ns=start_ns, end_ns=end_ns, raw_sha256=identity,
        ),
        provider=invoice.provider, account=invoice.account, basis=Basis.INVOICE, source=source,
        scope=invoice.invoice_id, start_ns=start_ns, end_ns=end_ns,
        currency=invoice.currency.upper(), finality=Finality.FINAL, invoice_id=invoice.invoice_id,
        fetched_at_ns=now_ns, received_by=author or current_user(),
        file_name=None if pdf is None else pdf[1], raw_sha256=digest, raw_bytes=len(raw), lines=0,
    )  # fmt: skip
    problems: list[str] = []
    lines = list(_lines(books, invoice, parts, one, problems))
    one = msgspec.structs.replace(one, lines=len(lines), problems=tuple(problems))
    is_new = keep_statement(books, one, lines, raw)
    if is_new:
        with books.write() as connection:
            add_event(
                connection, actor=author, action="statement.invoice",
                detail={"statement": one.statement_id, "invoice": invoice.invoice_id},
            )  # fmt: skip
    return one, is_new


def _parts(invoice: Invoice, what: str) -> _Parts:
    amounts: dict[str, int] = {}
    for name in ("amount", "tax", "credit", "fee"):
        given = getattr(invoice, name)
        try:
            amounts[name] = pico(given) or 0
        except NotANumberError as error:
            raise StatementError(what, f"--{name}: {error}") from error
    credit = abs(amounts["credit"])
    usage = amounts["amount"] - amounts["tax"] - amounts["fee"] + credit
    return _Parts(usage=usage, tax=amounts["tax"], credit=-credit, fee=amounts["fee"])


def _lines(
    books: Books, invoice: Invoice, parts: _Parts, one: Statement, problems: list[str]
) -> Iterator[StatementLine]:
    dollars = converter(books)
    # The rate of the month's last day: an invoice is made out after it.
    rate_ns = one.end_ns - 1
    for category, amount, description in (
        (Category.USAGE, parts.usage, "usage"),
        (Category.PURCHASE, parts.fee, "fee"),
        (Category.CREDIT, parts.credit, "credit"),
        (Category.TAX, parts.tax, "tax"),
    ):
        if not amount and category is not Category.USAGE:
            continue
        in_dollars: int | None = amount
        if one.currency != "USD":
            in_dollars = dollars(amount, one.currency, rate_ns)
            if in_dollars is None:
                problems.append(
                    f"{description}: no exchange rate of {one.currency} to USD for the last day of "
                    f"{invoice.period}; keep one with tollbook prices import"
                )
        yield line(
            start_ns=one.start_ns, end_ns=one.end_ns, provider=one.provider, category=category,
            amount=in_dollars, currency=one.currency,
            amount_in_currency=None if one.currency == "USD" else amount, description=description,
            tags={"invoice_id": invoice.invoice_id},
        )  # fmt: skip


def shown_amount(in_currency: int) -> str:
    """Return an amount in 10^-12 as decimal text without the zeros at its end."""
    text = f"{Decimal(in_currency).scaleb(-12):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Return a whole file.

    Raises:
        StatementError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise StatementError(str(path), (error.strerror or str(error)).lower()) from error
    if len(data) > max_bytes:
        raise StatementError(str(path), f"is larger than {max_bytes} bytes")
    return data

"""What the text of an invoice's PDF seems to say: number, dates, total, tax. Never more than that.

Layouts differ and change, so that every find comes with the line that it was read from, and a
person confirms it.
"""

from __future__ import annotations

import io
import re
from typing import Final, NamedTuple

from tollbook.chargeback.statements.errors import StatementError

PDF_MAX_BYTES: Final = 32 * 1024 * 1024
_PAGES_MAX: Final = 50
_TEXT_CHARS_MAX: Final = 400_000
_LINE_CHARS: Final = 300
_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONEY: Final = (
    r"(?P<before>US\$|\$|€|£|USD|EUR|GBP)?\s*(?P<amount>-?\d{1,3}(?:,\d{3})+(?:\.\d{1,4})?"
    r"|-?\d+(?:\.\d{1,4})?)\s*(?P<after>USD|EUR|GBP)?"
)
_TOTALS: Final = tuple(
    re.compile(rf"(?i)\b{words}\b[^\d$€£-]{{0,30}}{_MONEY}\s*$")
    for words in (r"amount due", r"total due", r"amount paid", r"grand total", r"invoice total",
                  r"total \(?(?:usd|eur|gbp)\)?", r"total")
)  # fmt: skip
_TAX: Final = re.compile(
    rf"(?i)\b(?:sales tax|vat|gst|tax)\b(?!\s*(?:id|no|number)).{{0,40}}?{_MONEY}\s*$"
)
_NUMBER: Final = re.compile(
    r"(?i)\binvoice\s*(?:number|no\.?|id|#)\s*:?\s*#?\s*(?P<number>[A-Z0-9][A-Z0-9./_-]{2,40})"
)
_DATE: Final = re.compile(
    r"(?i)\b(?P<word>date of issue|invoice date|issue date|issued|date due|date)\b\s*:?\s*"
    r"(?P<date>[A-Z][a-z]{2,8}\.? \d{1,2},? \d{4}|\d{4}-\d{2}-\d{2}|\d{1,2} [A-Z][a-z]{2,8} \d{4})"
)
_PERIOD: Final = re.compile(
    r"(?P<month>[A-Z][a-z]{2,8})\.? \d{1,2}(?:, (?P<year>\d{4}))?\s*(?:-|\u2013|\u2014|to)\s*"
    r"[A-Z][a-z]{2,8}\.? \d{1,2}, (?P<last_year>\d{4})"
)
_SYMBOLS: Final = {"$": "USD", "US$": "USD", "€": "EUR", "£": "GBP"}


class Find(NamedTuple):
    """One thing that was read, and the line that it stands in."""

    value: str
    line: str


class Finds(NamedTuple):
    """What a PDF seems to say; None where nothing was found."""

    invoice_id: Find | None
    date: Find | None
    period: Find | None
    """``YYYY-MM``."""
    amount: Find | None
    tax: Find | None
    currency: Find | None


def read_pdf(data: bytes, name: str) -> Finds:
    """Return what the text of a PDF seems to say.

    Args:
        data: the document.
        name: of the file, for messages.

    Raises:
        StatementError: it is no PDF with text, or the reader is not installed.
    """
    try:
        from pypdf import PdfReader  # noqa: PLC0415 -- an extra
        from pypdf.errors import PyPdfError  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise StatementError(
            name, "reading a PDF needs pip install 'tollbook[finance]'; or type it in"
        ) from error
    try:
        reader = PdfReader(io.BytesIO(data))
        pages = (page.extract_text() for page in reader.pages[:_PAGES_MAX])
        text = "\n".join(pages)[:_TEXT_CHARS_MAX]
    # A damaged document fails in whatever way its parser happens to.
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StatementError(
            name, f"is no PDF that can be read ({type(error).__name__})"
        ) from error
    if not text.strip():
        raise StatementError(name, "has no text, only pictures; type the invoice in")
    return finds_in(text)


def finds_in(text: str) -> Finds:
    """Return what the text of an invoice seems to say."""
    lines = [" ".join(line.split())[:_LINE_CHARS] for line in text.splitlines() if line.strip()]
    number = _first(lines, _NUMBER, "number")
    amount, currency = _total(lines)
    tax = _first(lines, _TAX, "amount")
    return Finds(
        invoice_id=number, date=_first(lines, _DATE, "date"), period=_period(lines),
        amount=amount, tax=None if tax is None else _plain(tax), currency=currency,
    )  # fmt: skip


def _first(lines: list[str], rule: re.Pattern[str], group: str) -> Find | None:
    for line in lines:
        found = rule.search(line)
        if found is not None:
            return Find(found[group], line)
    return None


def _total(lines: list[str]) -> tuple[Find | None, Find | None]:
    for rule in _TOTALS:
        # The last one: subtotals stand before it.
        for line in reversed(lines):
            found = rule.search(line)
            if found is None or line.lower().startswith("subtotal"):
                continue
            sign = found["after"] or found["before"]
            currency = None if sign is None else Find(_SYMBOLS.get(sign, sign), line)
            return _plain(Find(found["amount"], line)), currency
    return None, None


def _plain(find: Find) -> Find:
    return find._replace(value=find.value.replace(",", ""))


def _period(lines: list[str]) -> Find | None:
    for line in lines:
        found = _PERIOD.search(line)
        if found is None:
            continue
        short = found["month"].lower()[:3]
        month = next((at for at, name in enumerate(_MONTHS, 1) if name[:3] == short), None)
        if month is not None:
            return Find(f"{found['year'] or found['last_year']}-{month:02}", line)
    return None

"""Exchange rates from a CSV file into the books."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook.books.documents import (
    Draft,
    Subject,
    documents_mark,
    newest_documents,
    put_documents,
)
from tollbook.chargeback.pricebook.files import TEXT_CHARS_MAX, PriceFileError
from tollbook.chargeback.pricebook.shelf import fx_table
from tollbook.prices.fx import CURRENCY, USD, USD_PER_UNIT_MAX, FxBody, day_window, read_fx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.books.store import Books

HEADING: Final = ("date", "currency", "usd_per_unit")
CARRY_DAYS_MAX: Final = 10
_DIGITS_MAX: Final = 24
_EARLIEST: Final = date(2000, 1, 1)
_LATEST: Final = date(2200, 1, 1)
_EPOCH: Final = date(1970, 1, 1)
_YEAR_CHARS: Final = 4
_DAY_NS: Final = 86_400 * 10**9

Quotes = dict[str, dict[str, Decimal]]
"""Currency to UTC date to US dollars for one unit."""


class FxPlan(NamedTuple):
    """What an import of rates would do."""

    drafts: tuple[Draft, ...]
    rows: tuple[dict[str, Any], ...]
    """``currency, date, before, after, carried`` of each rate that is new or other."""
    unchanged: int
    mark: int


def read_quotes(file: str, text: str) -> Quotes:
    """Return the rates of a CSV file with the columns ``date,currency,usd_per_unit``.

    Raises:
        PriceFileError: naming the file, the line and the column.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise PriceFileError(file, "", f"is longer than {TEXT_CHARS_MAX:,} characters")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    quotes: Quotes = defaultdict(dict)
    places: list[int] | None = None
    try:
        for cells in reader:
            plain = [cell.strip() for cell in cells]
            where = f"line {reader.line_num}"
            if not any(plain):
                continue
            if places is None:
                if sorted(plain) != sorted(HEADING):
                    raise PriceFileError(file, where, f"expected the heading {','.join(HEADING)}")
                places = [plain.index(name) for name in HEADING]
                continue
            if len(plain) != len(HEADING):
                raise PriceFileError(file, where, f"expected {len(HEADING)} cells")
            day, currency, usd = _quote(file, where, [plain[at] for at in places])
            if quotes[currency].setdefault(day, usd) != usd:
                raise PriceFileError(file, where, f"another rate of {currency} on {day}")
    except csv.Error as error:
        raise PriceFileError(file, f"line {reader.line_num}", f"is no CSV: {error}") from error
    if not quotes:
        raise PriceFileError(file, "", f"has no rate; expected {','.join(HEADING)}")
    return quotes


def _quote(file: str, where: str, cells: list[str]) -> tuple[str, str, Decimal]:
    day, currency, text = cells
    try:
        found = date.fromisoformat(day)
    except ValueError as error:
        raise PriceFileError(file, f"{where}.date", f"{day[:32]!r} is no date") from error
    if not _EARLIEST <= found < _LATEST or found.isoformat() != day:
        raise PriceFileError(file, f"{where}.date", "expected a date such as 2026-11-05")
    if not CURRENCY.fullmatch(currency) or currency == USD:
        raise PriceFileError(file, f"{where}.currency", f"{currency[:16]!r} is not one such as EUR")
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 < usd <= USD_PER_UNIT_MAX or len(text) > _DIGITS_MAX:
        raise PriceFileError(
            file, f"{where}.usd_per_unit",
            f"{text[:32]!r} is no rate; expected US dollars for one {currency}",
        )  # fmt: skip
    return day, currency, usd


def plan_quotes(books: Books, quotes: Quotes, reason: str, carry_days: int = 0) -> FxPlan:
    """Return what keeping rates would change: a new version of each currency and year.

    Args:
        books: where they are kept.
        quotes: the rates.
        reason: where they are from.
        carry_days: how many days without a quote take the last one before, marked as such (a bank
            quotes none on a weekend); 0 for none.

    Raises:
        FxTextError: kept rates that cannot be read.
        BooksError: the books cannot be read.
    """
    mark, table = documents_mark(books), fx_table(books)
    kept = newest_documents(books, Subject.FX_RATES)
    drafts: list[Draft] = []
    rows: list[dict[str, Any]] = []
    unchanged = 0
    for currency, given in sorted(quotes.items()):
        before = table.rates(currency)
        carried = set(table.carried(currency)) - given.keys()
        rates = {**before, **given}
        for day, usd in _carried(rates, carried, given, carry_days).items():
            rates[day] = usd
            carried.add(day)
        for body in _by_year(currency, rates, carried):
            first = next(iter(body.rates))
            name = f"{currency}:{first[:_YEAR_CHARS]}"
            if name in kept and read_fx(currency, kept[name].body) == body:
                continue
            text = msgspec.json.encode(body).decode()
            drafts.append(
                Draft(
                    subject=Subject.FX_RATES, name=name, reason=reason, body=text,
                    effective_from_ns=day_start_ns(first),
                )
            )  # fmt: skip
        rows += [
            {"currency": currency, "date": day,
             "before": None if day not in before else f"{before[day]:f}",
             "after": f"{usd:f}", "carried": day in carried}
            for day, usd in sorted(rates.items()) if before.get(day) != usd
        ]  # fmt: skip
        unchanged += sum(before.get(day) == usd for day, usd in given.items())
    return FxPlan(tuple(drafts), tuple(rows), unchanged, mark)


def _by_year(currency: str, rates: Mapping[str, Decimal], carried: set[str]) -> list[FxBody]:
    """Return a body for each year, so that a day's import does not write all days anew."""
    years: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for day, usd in sorted(rates.items()):
        years[day[:_YEAR_CHARS]][day] = usd
    return [
        FxBody(currency=currency, rates=one, carried=tuple(sorted(carried & one.keys())))
        for one in years.values()
    ]


def apply_quotes(books: Books, plan: FxPlan, author: str | None) -> list[str]:
    """Keep what a plan says and return the ids of the new versions.

    Raises:
        DocumentsChangedError: the books were changed since the plan was made.
        BooksError: the books cannot be written.
    """
    if not plan.drafts:
        return []
    return [one.document_id for one, _ in put_documents(
        books, plan.drafts, author=author, mark=plan.mark
    )]  # fmt: skip


def day_start_ns(day: str) -> int:
    """Return the first moment of a UTC date, in nanoseconds since the epoch."""
    start_ns, _ = day_window((date.fromisoformat(day) - _EPOCH).days * _DAY_NS)
    return start_ns


def _carried(
    rates: Mapping[str, Decimal], carried: set[str], given: Mapping[str, Decimal], days: int
) -> dict[str, Decimal]:
    """Return the days behind a given quote that have none of their own, with that quote."""
    found: dict[str, Decimal] = {}
    for day, usd in given.items():
        for after in range(1, days + 1):
            following = (date.fromisoformat(day) + timedelta(days=after)).isoformat()
            if following in rates and following not in carried:
                break
            found[following] = usd
    return found

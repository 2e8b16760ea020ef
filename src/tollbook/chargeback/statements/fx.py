"""Amounts in other currencies to dollars, by the rates that the books hold for the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.chargeback.pricebook.shelf import fx_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.books.store import Books


def converter(books: Books) -> Callable[[int, str, int], int | None]:
    """Return a function of amount (10^-12 of a currency), currency and time (ns) to pico of USD.

    It returns None where no rate is known for that UTC day: a rate of another day is never taken
    silently.

    Raises:
        FxTextError: kept rates that cannot be read.
        BooksError: the books cannot be read.
    """
    table = fx_table(books)

    def dollars(amount: int, currency: str, at_ns: int) -> int | None:
        found = table.rate(currency, at_ns)
        return None if found is None else round(amount * found.usd)

    return dollars

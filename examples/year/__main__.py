"""``python -m examples.year DIR [--calls N] [--tenants N] [--until DATE]``: fill a ledger.

Then ``tollbook up --data DIR`` shows it.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from examples.year.fill import Year, fill
from examples.year.product import DAYS
from tollbook import clock
from tollbook.books.store import open_books
from tollbook.config.schema import default_providers
from tollbook.ledger.cards import BooksShelf
from tollbook.ledger.rollups import Roller
from tollbook.ledger.store import LEDGER_FILE, open_store
from tollbook.prices.book import PriceBook

CALLS = 10_000_000
TENANTS = 2_000


def make_year(directory: Path, year: Year, memory_limit: str = "4GB") -> None:
    """Make a ledger and books with the year in them."""
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    prices = PriceBook([], "examples", {name: name for name in default_providers()})
    with (
        open_books(directory) as books,
        open_store(directory / LEDGER_FILE, memory_limit=memory_limit) as store,
    ):
        fill(store, year, prices, _Shown(year.calls))
        roller = Roller(store)
        while roller.step():
            pass
        store.checkpoint()
        BooksShelf(books).remember(prices.cards_used())


class _Shown:
    """Says how far it is, a line each tenth."""

    def __init__(self, calls: int) -> None:
        self._calls, self._said = calls, 0

    def __call__(self, done: int) -> None:
        tenth = done * 10 // self._calls
        if tenth > self._said:
            self._said = tenth
            print(f"{done:,} of {self._calls:,} calls", file=sys.stderr, flush=True)


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def main() -> None:
    """Fill a ledger as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m examples.year")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--tenants", type=int, default=TENANTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--until", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC)
    )
    given = parser.parse_args()
    hour = clock.utc_now().replace(minute=0, second=0, microsecond=0)
    until = given.until or hour
    make_year(
        given.directory, Year(given.calls, given.tenants, until - timedelta(days=DAYS), given.seed)
    )


if __name__ == "__main__":
    main()

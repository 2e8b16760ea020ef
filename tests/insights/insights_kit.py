"""A ledger in memory whose calls are priced as the real one prices them, and a desk on it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pyarrow as pa

from tollbook import ids
from tollbook.config import Config
from tollbook.console.finance import carry_out
from tollbook.desk import Desk
from tollbook.desk.registry import operations
from tollbook.ledger.cards import BooksShelf
from tollbook.ledger.schema import ENTRY_NAMES, ENTRY_SCHEMA, MIGRATIONS
from tollbook.money import usd_decimal
from tollbook.prices.book import PriceBook
from tollbook.prices.rating import rate
from tollbook.reports.reader import DuckdbReader
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.books.store import Books
    from tollbook.prices.card import RateCard

Entry = dict[str, Any]
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ns_of(at: datetime) -> int:
    """Return a moment in nanoseconds since the epoch."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


class World:
    """A ledger, books, and what they are asked."""

    def __init__(self, books: Books, data_dir: Path, config: Config | None = None) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        for statement in itertools.chain.from_iterable(MIGRATIONS):
            self.connection.execute(statement)
        self.reader = DuckdbReader(self.connection)
        self.books = books
        self.config = config or Config()
        self.prices = PriceBook.of_config(self.config, "tests")
        self.desk = Desk(
            reader=self.reader, books=books, config=self.config, data_dir=data_dir, environ={}
        )
        self._ids = itertools.count(1)

    def entry(self, at: datetime, **fields: Any) -> Entry:
        """Return a whole row, a charge unless told otherwise."""
        row: Entry = dict.fromkeys(ENTRY_NAMES)
        row |= {
            "entry_id": next(self._ids), "batch_id": 1, "kind": "charge", "calls": 1, "part": 0,
            "call_id": ids.new_id(), "called_at": at, "booked_at": at, "provider": "openai",
            "dialect": "openai", "operation": "chat", "metering": "metered", "status": "ok",
            "usage_source": "reported", "price_state": "priced", "cost_source": "card",
            "tags": "{}",
        }  # fmt: skip
        return row | dict.fromkeys(KINDS, 0) | fields

    def card(self, model: str, at: datetime, provider: str = "openai") -> RateCard:
        """Return the price card in force."""
        card = self.prices.resolve(provider, model, ns_of(at), None)
        assert card is not None, model
        return card

    def call(self, at: datetime, model: str, kinds: Kinds, **fields: Any) -> Entry:
        """Return a call priced with the card in force at its time."""
        provider = fields.get("provider", "openai")
        card = self.card(model, at, provider)
        rated = rate(card, kinds)
        return self.entry(at, **self._priced(kinds, rated.components, rated.total), **{
            "model_requested": model, "model_actual": model, "price_card_id": card.card_id,
        } | fields)  # fmt: skip

    @staticmethod
    def _priced(kinds: Kinds, components: tuple[int, ...], total: int) -> Entry:
        return {
            "cost_usd": usd_decimal(total), **dict(zip(KINDS, kinds, strict=True)),
            **{
                f"{kind}_cost_usd": usd_decimal(amount)
                for kind, amount in zip(KINDS, components, strict=True)
            },
        }  # fmt: skip

    def reversal(self, of: Entry) -> Entry:
        """Return the entry that takes another back."""
        signed = {
            name: -value
            for name, value in of.items()
            if value is not None and (name in KINDS or name.endswith("_usd") or name == "calls")
        }
        layers = {
            name: -value for name, value in of.items()
            if name.endswith("_layer_tokens") and value is not None
        }  # fmt: skip
        return of | signed | layers | {
            "entry_id": next(self._ids), "kind": "reversal", "replaces": of["entry_id"]
        }  # fmt: skip

    def add(self, *rows: Entry) -> None:
        """Append rows, and keep the cards that they name."""
        naive = [
            row | {name: row[name].astimezone(UTC).replace(tzinfo=None)
                   for name in ("called_at", "booked_at")}
            for row in rows
        ]  # fmt: skip
        batch = pa.Table.from_pylist(naive, schema=ENTRY_SCHEMA)
        self.connection.register("batch", batch)
        self.connection.execute("INSERT INTO entries SELECT * FROM batch")
        self.connection.unregister("batch")
        BooksShelf(self.books).remember(self.prices.cards_used())

    def clear(self) -> None:
        """Empty the ledger between two examples."""
        self.connection.execute("TRUNCATE entries")

    def ask(self, name: str, **given: Any) -> dict[str, Any]:
        """Return the answer of an insight, never one that was kept."""
        operation = operations()[f"insights.{name}"]
        given = {"since": "2026-10-22T12:30:00Z", "until": "2026-11-21T12:30:00Z"} | given
        given = {key: value for key, value in given.items() if value is not None}
        # What took long is kept for each reader; a new one has nothing.
        desk = self.desk._replace(reader=DuckdbReader(self.connection))
        answer = carry_out(operation, desk, given)
        # Through the wire form, as a program gets it.
        decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
        return decoded

    def close(self) -> None:
        """Close the ledger."""
        self.connection.close()

"""A ledger in memory, filled with made-up entries, and the same sums folded in plain Python."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from tollbook import ids
from tollbook.ledger.schema import ENTRY_NAMES, ENTRY_SCHEMA, MIGRATIONS
from tollbook.reports.reader import DuckdbReader
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

Entry = dict[str, Any]


class MemoryLedger:
    """An ``entries`` table that tests fill at will."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        for statement in itertools.chain.from_iterable(MIGRATIONS):
            self.connection.execute(statement.replace(" at TIMESTAMP", ' "at" TIMESTAMP'))
        self.reader = DuckdbReader(self.connection)
        self._next_id = itertools.count(1)

    def entry(self, called_at: datetime, **fields: Any) -> Entry:
        """Return a whole row: a priced charge unless told otherwise."""
        row: Entry = dict.fromkeys(ENTRY_NAMES)
        row |= {
            "entry_id": next(self._next_id), "batch_id": 1, "kind": "charge", "calls": 1,
            "call_id": ids.new_id(), "called_at": called_at, "booked_at": called_at,
            "provider": "openai", "dialect": "openai", "operation": "chat", "metering": "metered",
            "status": "ok", "usage_source": "reported", "price_state": "priced",
            "cost_usd": Decimal("0.000001000000"), "tags": "{}",
        }  # fmt: skip
        row |= dict.fromkeys(KINDS, 0)
        row |= fields
        return row

    def add(self, *rows: Entry) -> None:
        """Append rows."""
        naive = [
            row | {name: row[name].astimezone(UTC).replace(tzinfo=None)
                   for name in ("called_at", "booked_at")}
            for row in rows
        ]  # fmt: skip
        batch = pa.Table.from_pylist(naive, schema=ENTRY_SCHEMA)
        self.connection.register("batch", batch)
        self.connection.execute("INSERT INTO entries SELECT * FROM batch")
        self.connection.unregister("batch")

    def clear(self) -> None:
        """Empty the ledger between two examples of a property test."""
        self.connection.execute("TRUNCATE entries")

    def complete_until(self, moment: datetime) -> None:
        """Set the watermark."""
        at = moment.astimezone(UTC).replace(tzinfo=None)
        self.connection.execute("INSERT INTO progress VALUES (?, ?)", [at, at])


@pytest.fixture
def memory_ledger() -> Iterator[MemoryLedger]:
    ledger = MemoryLedger()
    yield ledger
    ledger.connection.close()


@pytest.fixture(scope="module")
def shared_ledger() -> Iterator[MemoryLedger]:
    """One ledger for all examples of a property test, emptied before each."""
    ledger = MemoryLedger()
    yield ledger
    ledger.connection.close()

"""A ledger in memory that tests fill, books beside it, and a desk on both."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from tollbook import ids
from tollbook.books.store import open_books
from tollbook.config import Config
from tollbook.desk import Desk
from tollbook.ledger.schema import ENTRY_NAMES, ENTRY_SCHEMA, MIGRATIONS
from tollbook.money import usd_decimal
from tollbook.reports.reader import DuckdbReader
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tollbook.simulator.incidents import Made

USD = 10**12
NOW = datetime(2026, 3, 12, 15, tzinfo=UTC)
"""A Thursday."""
_EMPTY = dict.fromkeys(ENTRY_NAMES) | dict.fromkeys(KINDS, 0) | {
    "batch_id": 1, "kind": "charge", "calls": 1, "part": 0, "provider": "openai",
    "dialect": "openai", "operation": "chat", "metering": "metered", "status": "ok",
    "usage_source": "reported", "price_state": "priced", "tags": "{}", "model_actual": "gpt",
}  # fmt: skip


class House:
    """Ledger, books and desk of one test."""

    def __init__(self, root: Path) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        for statement in itertools.chain.from_iterable(MIGRATIONS):
            self.connection.execute(statement.replace(" at TIMESTAMP", ' "at" TIMESTAMP'))
        self.reader = DuckdbReader(self.connection)
        self.books = open_books(root)
        self.environ: dict[str, str] = {}
        self.desk = Desk(
            reader=self.reader, books=self.books, config=Config(), data_dir=root,
            environ=self.environ, author="ada",
        )  # fmt: skip
        self._next_id = itertools.count(1)

    def close(self) -> None:
        self.connection.close()
        self.books.close()

    def row(self, at: datetime, pico: int | None, **fields: Any) -> dict[str, Any]:
        """Return an entry; ``tenant``, ``run`` and ``model`` are short for their columns."""
        short = {"tenant": "tenant_id", "run": "agent_run_id", "step": "workflow_step",
                 "model": "model_actual", "request": "request_id"}  # fmt: skip
        naive = at.astimezone(UTC).replace(tzinfo=None)
        cost = None if pico is None else usd_decimal(pico)
        return _EMPTY | {
            "entry_id": next(self._next_id), "call_id": ids.new_id(), "called_at": naive,
            "booked_at": naive, "cost_usd": cost,
        } | {short.get(name, name): value for name, value in fields.items()}  # fmt: skip

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        batch = pa.Table.from_pylist(list(rows), schema=ENTRY_SCHEMA)
        self.connection.register("batch", batch)
        self.connection.execute("INSERT INTO entries SELECT * FROM batch")
        self.connection.unregister("batch")

    def spend(self, at: datetime, pico: int | None, **fields: Any) -> None:
        """Append one entry."""
        self.add([self.row(at, pico, **fields)])

    def hourly(
        self, tenant: str, pico: int, *, until: datetime, days: int = 31, calls: int = 40,
        **fields: Any,
    ) -> None:  # fmt: skip
        """Append one entry for each hour up to a moment."""
        rows = [
            self.row(until - timedelta(hours=back, minutes=-5), pico, tenant=tenant, calls=calls,
                     **fields)
            for back in range(1, days * 24)
        ]  # fmt: skip
        self.add(rows)

    def complete_until(self, moment: datetime) -> None:
        at = moment.astimezone(UTC).replace(tzinfo=None)
        self.connection.execute("DELETE FROM progress")
        self.connection.execute("INSERT INTO progress VALUES (?, ?)", [at, at])

    def made(self, calls: Iterable[Made]) -> int:
        """Append made-up calls; return how many."""
        rows = [self._made(one) for one in calls]
        self.add(rows)
        return len(rows)

    def _made(self, one: Made) -> dict[str, Any]:
        return self.row(
            one.at, one.cost, tenant=one.tenant, feature=one.feature, provider=one.provider,
            model=one.model, request=one.request, run=one.run, step=one.step,
            status="error" if one.is_error else "ok",
            retry_of=ids.new_id() if one.is_retry else None,
            uncached_input_tokens=one.uncached, cache_read_tokens=one.read,
            visible_output_tokens=one.output,
            uncached_input_tokens_cost_usd=usd_decimal(one.uncached_cost),
            cache_read_tokens_cost_usd=usd_decimal(one.read_cost),
            visible_output_tokens_cost_usd=usd_decimal(one.output_cost),
        )  # fmt: skip

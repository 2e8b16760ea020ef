"""A ledger in memory, filled with made-up calls."""

from __future__ import annotations

import itertools
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from tollbook import ids
from tollbook.ledger.schema import ENTRY_NAMES, ENTRY_SCHEMA, MIGRATIONS
from tollbook.money import usd_decimal
from tollbook.reports.reader import DuckdbReader
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tollbook.simulator.incidents import Made

_EMPTY: Final = (
    dict.fromkeys(ENTRY_NAMES)
    | dict.fromkeys(KINDS, 0)
    | {
        "batch_id": 1, "kind": "charge", "calls": 1, "part": 0, "provider": "openai",
        "dialect": "openai", "operation": "chat", "metering": "metered", "status": "ok",
        "usage_source": "reported", "price_state": "priced", "tags": "{}", "model_actual": "gpt",
    }
)  # fmt: skip
_SHORT: Final = {
    "tenant": "tenant_id", "run": "agent_run_id", "step": "workflow_step",
    "model": "model_actual", "request": "request_id",
}  # fmt: skip
_SLICE: Final = 20_000


class World:
    """Entries as the ledger has them, without gateways and spools."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        for statement in itertools.chain.from_iterable(MIGRATIONS):
            self.connection.execute(statement.replace(" at TIMESTAMP", ' "at" TIMESTAMP'))
        self.reader = DuckdbReader(self.connection)
        self._next_id = itertools.count(1)

    def close(self) -> None:
        """Forget it."""
        self.connection.close()

    def row(self, at: datetime, pico: int | None, **fields: Any) -> dict[str, Any]:
        """Return an entry of some dollars in pico; None is unknown."""
        naive = at.astimezone(UTC).replace(tzinfo=None)
        own = {
            "entry_id": next(self._next_id), "call_id": ids.new_id(), "called_at": naive,
            "booked_at": naive, "cost_usd": None if pico is None else usd_decimal(pico),
        }  # fmt: skip
        return _EMPTY | own | {_SHORT.get(name, name): value for name, value in fields.items()}

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append entries."""
        batch = pa.Table.from_pylist(list(rows), schema=ENTRY_SCHEMA)
        self.connection.register("batch", batch)
        self.connection.execute("INSERT INTO entries SELECT * FROM batch")
        self.connection.unregister("batch")

    def made(self, calls: Iterable[Made]) -> int:
        """Append made-up calls, and return how many."""
        rows = iter(calls)
        count = 0
        while some := [self._made(one) for one in itertools.islice(rows, _SLICE)]:
            self.add(some)
            count += len(some)
        return count

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

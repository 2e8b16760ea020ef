"""A ledger whose calls a test makes up, its books, and the budget desk on both."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa

from tollbook.books.store import Books, open_books
from tollbook.budgeting.operations import OPERATIONS
from tollbook.config import Config
from tollbook.config.budgets import Budget
from tollbook.console.finance import carry_out
from tollbook.desk import Desk
from tollbook.ledger.exact import money_array
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW
from tollbook.ledger.store import LEDGER_FILE, Store, open_store
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

OPERATION = {one.name.removeprefix("budgets."): one for one in OPERATIONS}
START = datetime(2026, 11, 2, tzinfo=UTC)
"""A Monday."""


class Made(NamedTuple):
    """One call that a test makes. Money in pico."""

    at_s: float = 0
    """After :data:`START`."""
    tenant: str | None = "acme"
    model: str = "m-1"
    input_cost: int | None = 100
    """None: its price is not known."""
    output_cost: int = 0
    input_tokens: int = 10
    output_tokens: int = 0
    most: int | None = None
    lasts_s: float = 0
    status: str = "ok"
    metering: str = "metered"


class House:
    """Ledger and books of one directory."""

    def __init__(self, root: Path, budgets: Sequence[dict[str, Any]] = ()) -> None:
        self.root = root
        self.store: Store = open_store(root / LEDGER_FILE, threads=1)
        self.books: Books = open_books(root)
        self._connection = self.store.reader()
        self.reader = DuckdbReader(self._connection)
        self.config = Config(budgets=[
            msgspec.convert(one, Budget, strict=False) for one in budgets
        ])  # fmt: skip
        self._numbers = itertools.count(1)

    @property
    def desk(self) -> Desk:
        return Desk(
            reader=self.reader, books=self.books, config=self.config, data_dir=self.root,
            environ={}, author="ada",
        )  # fmt: skip

    def ask(self, operation: str, /, **given: Any) -> Any:
        return carry_out(OPERATION[operation], self.desk, given)

    def clear(self) -> None:
        """Forget all calls, so that one ledger serves many examples."""
        with self.store.transaction() as connection:
            connection.execute("DELETE FROM entries")

    def write(self, calls: Sequence[Made], start: datetime = START) -> None:
        """Append calls as one batch."""
        if not calls:
            return

        def text(name: str) -> Any:
            return pa.array([getattr(one, name) for one in calls], pa.string())

        def number(values: list[int | None]) -> Any:
            return pa.array(values, pa.int64())

        count = len(calls)
        ids = [next(self._numbers).to_bytes(16, "big") for _ in calls]
        times = [start + timedelta(seconds=one.at_s) for one in calls]
        costs = [
            None if one.input_cost is None else one.input_cost + one.output_cost for one in calls
        ]
        states = ["unpriced" if cost is None else "priced" for cost in costs]
        columns = {
            "kind": pa.array(["charge"] * count), "calls": pa.array([1] * count, pa.int32()),
            "part": pa.array([0] * count, pa.int32()),
            "call_id": pa.ExtensionArray.from_storage(UUID_ARROW, pa.array(ids, pa.binary(16))),
            "called_at": number([round(at.timestamp() * 10**6) for at in times]).cast(TIME_ARROW),
            "duration_ns": number([round(one.lasts_s * 10**9) for one in calls]),
            "tenant_id": text("tenant"), "model_requested": text("model"),
            "model_actual": text("model"), "status": text("status"), "metering": text("metering"),
            "provider": pa.array(["house"] * count), "price_state": pa.array(states),
            "max_output_tokens": number([one.most for one in calls]),
            "uncached_input_tokens": number([one.input_tokens for one in calls]),
            "visible_output_tokens": number([one.output_tokens for one in calls]),
            "cost_usd": money_array(costs),
            "uncached_input_tokens_cost_usd": money_array([one.input_cost or 0 for one in calls]),
            "visible_output_tokens_cost_usd": money_array([one.output_cost for one in calls]),
        }  # fmt: skip
        with self.store.transaction():
            self.store.append(columns, count)

    def close(self) -> None:
        self._connection.close()
        self.books.close()
        self.store.close()


@contextmanager
def house_in(root: Path, budgets: Sequence[dict[str, Any]] = ()) -> Iterator[House]:
    house = House(root, budgets)
    try:
        yield house
    finally:
        house.close()

"""A data directory with a ledger whose entries a test makes up, and a desk on it."""

from __future__ import annotations

import hashlib
import itertools
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tollbook import clock
from tollbook.books.store import Books, open_books
from tollbook.chargeback.periods.cutoffs import as_billed
from tollbook.chargeback.reconcile.model import MoneyBasis, Reconciliation
from tollbook.chargeback.reconcile.shelf import keep_run
from tollbook.chargeback.statements.model import Basis, Finality, Statement, StatementLine
from tollbook.chargeback.statements.shelf import keep_statement
from tollbook.config import Config
from tollbook.config.finance import Finance
from tollbook.console.finance import carry_out
from tollbook.desk import Desk, Operation
from tollbook.ledger.exact import money_array
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW, Kind, PriceState
from tollbook.ledger.store import LEDGER_FILE, Store, open_store
from tollbook.money import pico_from_usd
from tollbook.reports import measures
from tollbook.reports.query import LATEST, SpendQuery
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

_IDENTITY = {"tenant": "tenant_id", "team": "team_id"}
_TEXTS = ("tenant_id", "team_id", "cost_center", "feature", "provider", "model_actual",
          "price_state", "price_tier")  # fmt: skip


class World:
    """Ledger and books of one directory, open for writing."""

    def __init__(self, root: Path, finance: Finance) -> None:
        self.root = root
        self.store: Store = open_store(root / LEDGER_FILE, threads=1)
        self.books: Books = open_books(root)
        self._connection = self.store.reader()
        self.reader = DuckdbReader(self._connection)
        self.config = Config(finance=finance)
        self._numbers = itertools.count(1)

    def desk(self, author: str | None = "ada") -> Desk:
        return Desk(
            reader=self.reader, books=self.books, config=self.config, data_dir=self.root,
            environ={}, writer=self.store, author=author,
        )  # fmt: skip

    def ask(self, operation: Operation, author: str | None = "ada", /, **given: Any) -> Any:
        return carry_out(operation, self.desk(author), given)

    def charge(self, at: datetime, cost: int | None, *, calls: int = 1, **fields: Any) -> None:
        """Append one call; ``tenant``, ``team``, ``cost_center``, ``feature``, ``provider`` ..."""
        self.charges([(at, cost, {"calls": calls} | fields)])

    def charges(self, given: Sequence[tuple[datetime, int | None, dict[str, Any]]]) -> None:
        """Append calls as one batch."""
        rows = []
        for at, cost, fields in given:
            named = {_IDENTITY.get(name, name): value for name, value in fields.items()}
            named.setdefault("provider", "openai")
            named.setdefault("model_actual", named.pop("model", "gpt-5"))
            state = PriceState.UNPRICED if cost is None else PriceState.PRICED
            named.setdefault("price_state", state.value)
            rows.append((at, cost, named))
        columns = {name: pa.array([row.get(name) for *_, row in rows]) for name in _TEXTS}
        columns = {name: array.cast(pa.string()) for name, array in columns.items()}
        count = len(rows)
        ids = [next(self._numbers).to_bytes(16, "big") for _ in rows]
        cost = money_array([cost for _, cost, _ in rows])
        columns |= {
            "kind": pa.array([Kind.CHARGE.value] * count),
            "calls": pa.array([row.get("calls", 1) for *_, row in rows], pa.int32()),
            "part": pa.array([0] * count, pa.int32()),
            "call_id": pa.ExtensionArray.from_storage(UUID_ARROW, pa.array(ids, pa.binary(16))),
            "called_at": pa.array([int(at.timestamp()) * 10**6 for at, *_ in rows], pa.int64())
            .cast(TIME_ARROW),
            "cost_usd": cost,
            "uncached_input_tokens_cost_usd": money_array([cost or 0 for _, cost, _ in rows]),
            "uncached_input_tokens": pa.array([row.get("tokens", 0) for *_, row in rows]),
        }  # fmt: skip
        with self.store.transaction():
            self.store.append(columns, count)

    def total(self, *by: str, period: str | None = None) -> dict[tuple[Any, ...], int]:
        """Cost in pico by dimensions, as billed in a period or as known now; zeros left out."""
        query = SpendQuery(since=EPOCH, until=LATEST, by=by, measures=(measures.COST,),
                           billing_period=period)  # fmt: skip
        rows = wide_rows(self.reader, as_billed(self.books, self.config, query))
        found = {tuple(row[name] for name in by): row[measures.COST] or 0 for row in rows}
        return {key: cost for key, cost in found.items() if cost}

    def read_up_to(self, moment: datetime) -> None:
        """Say that the spool has been read up to a moment."""
        with self.store.transaction() as connection:
            at = moment.replace(tzinfo=None)
            connection.execute("INSERT INTO progress VALUES (?, ?)", [at, at])

    def invoice(self, month: datetime, provider: str, amount: int) -> str:
        """Keep an invoice of a month; return the statement's id."""
        start = int(month.replace(day=1, hour=0).timestamp()) * 10**9
        end = int((month.replace(day=1, hour=0) + timedelta(days=31)).replace(day=1).timestamp())
        raw = f"{provider} {amount}".encode()
        sha = hashlib.sha256(raw).hexdigest()
        statement_id = f"st-{provider}-{start}-{amount}"
        kept = keep_statement(
            self.books,
            Statement(
                statement_id=statement_id, provider=provider, basis=Basis.INVOICE, source="typed",
                start_ns=start, end_ns=end * 10**9, finality=Finality.FINAL,
                invoice_id=f"INV-{next(self._numbers)}", fetched_at_ns=clock.unix_ns(),
                received_by="ada", raw_sha256=sha, raw_bytes=len(raw), lines=1,
            ),
            [StatementLine(statement_id=statement_id, line=1, start_ns=start, end_ns=end * 10**9,
                           provider=provider, amount=amount)],
            raw,
        )  # fmt: skip
        assert kept
        return statement_id

    def reconciled(self, period: str, provider: str, **fields: Any) -> None:
        """Keep a run of a reconciliation, as if it had been made."""
        defaults: dict[str, Any] = {
            "run_id": f"rc-{provider}-{period}-{next(self._numbers)}", "provider": provider,
            "period": period, "start_ns": 0, "end_ns": 1, "basis": MoneyBasis.INVOICE,
            "billed": 0, "ledger": 0, "created_at_ns": clock.unix_ns(), "author": "ada",
        }  # fmt: skip
        keep_run(self.books, Reconciliation(**(defaults | fields)))

    def close(self) -> None:
        self._connection.close()
        self.books.close()
        self.store.close()


@contextmanager
def finance_world(root: Path, **finance: Any) -> Iterator[World]:
    world = World(root, Finance(**finance))
    try:
        yield world
    finally:
        world.close()


def usd(text: str) -> int:
    return pico_from_usd(text)

"""The ledger file: one writer, any number of readers in the same process, batches in a chain.

Everything that belongs together is written inside :meth:`Store.transaction`: it is there whole
after a crash, or not at all.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import duckdb
import numpy as np
import pyarrow as pa

from tollbook import __version__, clock
from tollbook.layers import LAYER_COSTS, LAYER_TOKENS
from tollbook.ledger.chain import GENESIS, BatchHead, batch_hash
from tollbook.ledger.engines.duckdb import connect
from tollbook.ledger.errors import NewerDatabaseError, NotALedgerError, OlderDatabaseError
from tollbook.ledger.exact import money_array, money_from_int64, pico_sum
from tollbook.ledger.schema import (
    COST_COLUMNS,
    ENTRY_NAMES,
    ENTRY_SCHEMA,
    MIGRATIONS,
    MONEY_ARROW,
    SCHEMA_VERSION,
    TIME_ARROW,
    VERSION_DDL,
)
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tollbook.ledger.billing import Biller

LEDGER_FILE = "ledger.duckdb"
_STAMPED = frozenset(["entry_id", "batch_id", "booked_at"])
_ARROW_VIEW = "appended_rows"
_ZEROS = frozenset((*KINDS, *COST_COLUMNS, *LAYER_TOKENS, *LAYER_COSTS))
"""Columns that are zero where nobody says anything of them; the others are NULL."""


class Batch(NamedTuple):
    """What one append wrote."""

    batch_id: int
    first_entry_id: int
    last_entry_id: int
    hash: str


class Store:
    """The open ledger file. Made by :func:`open_store`."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.path = path
        self._connection = connection
        self.biller: Biller | None = None
        """Says what charges are billed, of all that are appended; None for nothing."""
        self._lock = threading.RLock()
        self._depth = 0
        self._load_head()

    def _load_head(self) -> None:
        """Know where the chain ends; entry and batch ids start at 1."""
        last = self._connection.execute(
            "SELECT batch_id, last_entry_id, hash FROM batches ORDER BY batch_id DESC LIMIT 1"
        ).fetchall()
        self.last_batch_id, self.last_entry_id, self.head_hash = (
            last[0] if last else (0, 0, GENESIS)
        )

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hold the write lock and commit on leaving; an exception undoes everything inside.

        A transaction within a transaction of the same thread is part of the outer one.
        """
        with self._lock:
            if self._depth:
                yield self._connection
                return
            self._connection.execute("BEGIN TRANSACTION")
            self._depth = 1
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
            finally:
                self._depth = 0

    def _undo(self) -> None:
        with suppress(duckdb.TransactionException):  # a failed COMMIT has already undone it
            self._connection.execute("ROLLBACK")
        self._load_head()

    def append(self, columns: Mapping[str, Any], rows: int) -> Batch:
        """Append a batch of entries; call inside :meth:`transaction`.

        Args:
            columns: Arrow arrays by column name, all of ``entries`` but ``entry_id``,
                ``batch_id`` and ``booked_at``, which are given here. A kind or a layer or the
                cost of one that is missing is zero in all of them, anything else is NULL.
            rows: how many, at least one.
        """
        assert self._depth, "append outside a transaction"
        assert rows, "an empty batch"
        if self.biller is not None:
            columns = self.biller.stamped(columns, rows)
        booked_us = clock.unix_ns() // 1000
        batch_id, first = self.last_batch_id + 1, self.last_entry_id + 1
        last = self.last_entry_id + rows
        stamps = {
            "entry_id": pa.array(np.arange(first, last + 1, dtype=np.int64)),
            "batch_id": pa.array(np.full(rows, batch_id, dtype=np.int64)),
            "booked_at": pa.array(np.full(rows, booked_us, dtype=np.int64)).cast(TIME_ARROW),
        }
        table = entry_table({**columns, **stamps}, rows)
        cost = pico_sum(table.column("cost_usd"))
        head = BatchHead(batch_id, booked_us, SCHEMA_VERSION, first, last, cost, self.head_hash)
        digest = batch_hash(head, table, ENTRY_NAMES)
        self._connection.register(_ARROW_VIEW, table)
        try:
            self._connection.execute(_insert(frozenset(columns) | _STAMPED))
        finally:
            self._connection.unregister(_ARROW_VIEW)
        self._connection.execute(
            "INSERT INTO batches SELECT ?, make_timestamp(?), ?, ?, ?, ?,"
            " CAST(? AS DECIMAL(38,12)), ?, ?",
            [batch_id, booked_us, SCHEMA_VERSION, first, last, rows,
             str(money_array([cost])[0].as_py()), self.head_hash, digest],
        )  # fmt: skip
        self.last_batch_id, self.last_entry_id, self.head_hash = batch_id, last, digest
        return Batch(batch_id, first, last, digest)

    def reader(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own for reading, usable in another thread; close it after."""
        with self._lock:  # the writer's connection gives out none while it writes
            return self._connection.cursor()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file."""
        with self._lock:
            self._connection.execute("CHECKPOINT")

    def close(self) -> None:
        """Close the file and let go of its lock."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@lru_cache(maxsize=256)
def _insert(present: frozenset[str]) -> str:
    """Return the statement that inserts these columns; the others as constants, which cost less."""
    values = (
        name if name in present else "0" if name in _ZEROS else "NULL" for name in ENTRY_NAMES
    )
    return f"INSERT INTO entries SELECT {', '.join(values)} FROM {_ARROW_VIEW}"  # noqa: S608 -- constants


def entry_table(columns: Mapping[str, Any], rows: int) -> pa.Table:
    """Return columns as a table with every column of ``entries``, in order; see ``append``."""
    absent: dict[Any, Any] = {}
    arrays = []
    for field in ENTRY_SCHEMA:
        if field.name in columns:
            arrays.append(columns[field.name])
            continue
        key = (field.type, field.name in _ZEROS)
        if key not in absent:
            absent[key] = absent_column(field.name, rows)
        arrays.append(absent[key])
    return pa.Table.from_arrays(arrays, schema=ENTRY_SCHEMA)


def absent_column(name: str, rows: int) -> Any:
    """Return what a column that is left out stands for."""
    kind = ENTRY_SCHEMA.field(name).type
    if name not in _ZEROS:
        return pa.nulls(rows, kind)
    if kind == MONEY_ARROW:
        return money_from_int64(np.zeros(rows, np.int64), None)
    return pa.array(np.zeros(rows, np.int64))


def open_store(path: Path, *, memory_limit: str | None = None, threads: int | None = None) -> Store:
    """Open the ledger for writing; make it or bring it to the present schema where needed.

    Raises:
        LedgerInUseError: another process has it open.
        NewerDatabaseError: it was written by a later Tollbook.
        NotALedgerError: it is something else.
        LedgerFileError: the directory or file cannot be used.
    """
    connection = connect(path, read_only=False, memory_limit=memory_limit, threads=threads)
    try:
        _migrate(path, connection)
        return Store(path, connection)
    except BaseException:
        connection.close()
        raise


def connect_readonly(path: Path, *, memory_limit: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open the ledger for reading while no process writes it.

    Raises:
        NoLedgerError: there is none.
        LedgerInUseError: another process has it open; ask that one.
        NewerDatabaseError: it was written by a later Tollbook.
        OlderDatabaseError: it is to be migrated first.
        NotALedgerError: it is something else.
    """
    connection = connect(path, read_only=True, memory_limit=memory_limit, threads=None)
    try:
        _check_current(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_current(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    found = _version(path, connection)
    if found < SCHEMA_VERSION:
        raise OlderDatabaseError(path, found, SCHEMA_VERSION)


def _migrate(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    found = _version(path, connection)
    for version, statements in enumerate(MIGRATIONS[found:], found + 1):
        connection.execute("BEGIN TRANSACTION")
        for statement in (VERSION_DDL, *statements):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_version VALUES (?, make_timestamp(?), ?)",
            [version, clock.unix_ns() // 1000, __version__],
        )
        connection.execute("COMMIT")


def _version(path: Path, connection: duckdb.DuckDBPyConnection) -> int:
    tables = {name for (name,) in connection.execute("SHOW TABLES").fetchall()}
    if not tables:
        return 0
    if "schema_version" not in tables:
        raise NotALedgerError(path, f"a DuckDB database with other tables ({min(tables)} ...)")
    ((latest,),) = connection.execute("SELECT max(version) FROM schema_version").fetchall()
    found = int(latest or 0)
    if found > SCHEMA_VERSION:
        raise NewerDatabaseError(path, found, SCHEMA_VERSION)
    return found

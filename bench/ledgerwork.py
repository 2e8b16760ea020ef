"""One round of the part ``ledger`` on one core: ``python -m bench.ledgerwork SPOOL WORK``.

Ingests the spool as the ledger process does, then takes the same way step by step to see where the
time goes, then inserts the very same rows into an empty ledger without anything around it. Prints
one JSON line.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from tollbook import clock
from tollbook.books.store import open_books
from tollbook.config.schema import default_providers
from tollbook.ledger.batch import SLICE_CALLS, batch_of
from tollbook.ledger.bulkprice import price_calls
from tollbook.ledger.cards import BooksShelf
from tollbook.ledger.chain import GENESIS, BatchHead, batch_hash
from tollbook.ledger.columns import call_columns
from tollbook.ledger.ingest import BATCH_CALLS, CHUNK_BYTES, Ingester
from tollbook.ledger.join import Joined, WriterBook
from tollbook.ledger.schema import ENTRY_NAMES, SCHEMA_VERSION, TIME_ARROW
from tollbook.ledger.store import entry_table, open_store
from tollbook.prices.book import PriceBook
from tollbook.spool import Position, SpoolReader

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEMORY_LIMIT = "4GB"


class LedgerRun(Struct, frozen=True):
    """What one round took, in seconds."""

    calls: int
    ingest_s: float
    checkpoint_s: float
    peak_rss_bytes: int
    """Of the process while it ingested."""
    steps_s: dict[str, float]
    raw_insert_s: float


def price_book() -> PriceBook:
    """Return the list prices, no contracts."""
    return PriceBook([], "bench", {name: name for name in default_providers()})


def ingest(spool: Path, work: Path) -> tuple[int, float, float]:
    """Book the whole spool; return the calls, the seconds, and the seconds of the checkpoint."""
    work.mkdir()
    calls = 0
    with (
        open_books(work) as books,
        open_store(work / "ledger.duckdb", memory_limit=_MEMORY_LIMIT, threads=1) as store,
    ):
        ingester = Ingester(store, SpoolReader(spool), price_book(), BooksShelf(books))
        start = clock.monotonic_ns()
        while True:
            result = ingester.step()
            calls += result.calls
            if result.at_end:
                break
        took = clock.monotonic_ns() - start
        start = clock.monotonic_ns()
        store.checkpoint()
        checkpoint = clock.monotonic_ns() - start
        assert not result.incidents, "the spool was not read without incident"
        assert not result.problems, result.problems
    return calls, took / clock.NS_PER_S, checkpoint / clock.NS_PER_S


class Steps:
    """The same work as :class:`Ingester` does, with a stop watch between the steps."""

    def __init__(self, spool: Path) -> None:
        self._reader = SpoolReader(spool)
        self._resolve = price_book().resolve
        self._mark = clock.monotonic_ns()
        self.took_ns: dict[str, int] = {}
        self.tables: list[pa.Table] = []

    def run(self) -> None:
        """Take every writer's calls to hashed Arrow tables."""
        for writer in self._reader.writers():
            slices: list[pa.RecordBatch] = []
            for calls in self._slices(writer.name):
                priced = price_calls(calls, self._resolve)
                self._note("measure_and_price")
                columns = call_columns(calls) | priced.columns
                slices.append(pa.RecordBatch.from_pydict(columns))
                self._note("to_arrow")
                if sum(one.num_rows for one in slices) >= BATCH_CALLS:
                    self._hash(*batch_of(slices))
                    slices = []
            if slices:
                self._hash(*batch_of(slices))

    def _slices(self, writer: str) -> Iterator[list[Any]]:
        book = WriterBook(Position(writer))
        joined = Joined(10**9)
        self._mark = clock.monotonic_ns()
        while True:
            chunk = self._reader.read(book.position, CHUNK_BYTES)
            self._note("read_and_decode")
            joined.take(book, chunk.frames)
            self._note("join")
            book.position, at_end = chunk.next, chunk.at_end
            del chunk
            if len(joined.calls) >= SLICE_CALLS or (at_end and joined.calls):
                yield joined.hand_over()
            if at_end:
                return

    def _hash(self, columns: dict[str, Any], rows: int) -> None:
        first = 1 + sum(table.num_rows for table in self.tables)
        batch_id = len(self.tables) + 1
        stamps = {
            "entry_id": pa.array(range(first, first + rows), pa.int64()),
            "batch_id": pa.array([batch_id] * rows, pa.int64()),
            "booked_at": pa.array([clock.unix_ns() // 1000] * rows, pa.int64()).cast(TIME_ARROW),
        }
        table = entry_table({**columns, **stamps}, rows)
        self._note("to_arrow")
        head = BatchHead(batch_id, 0, SCHEMA_VERSION, first, first + rows - 1, 0, GENESIS)
        batch_hash(head, table, ENTRY_NAMES)
        self._note("hash")
        self.tables.append(table)

    def _note(self, step: str) -> None:
        now = clock.monotonic_ns()
        self.took_ns[step] = self.took_ns.get(step, 0) + now - self._mark
        self._mark = now


def raw_insert(tables: list[pa.Table], path: Path) -> float:
    """Insert Arrow tables into an empty ledger, a transaction each; return the seconds."""
    insert = f"INSERT INTO entries SELECT {', '.join(ENTRY_NAMES)} FROM rows_of_bench"
    with open_store(path, memory_limit=_MEMORY_LIMIT, threads=1) as store:
        start = clock.monotonic_ns()
        for table in tables:
            with store.transaction() as connection:
                connection.register("rows_of_bench", table)
                connection.execute(insert)
                connection.unregister("rows_of_bench")
        return (clock.monotonic_ns() - start) / clock.NS_PER_S


def main(spool: Path, work: Path) -> LedgerRun:
    """Do one round."""
    calls, ingest_s, checkpoint_s = ingest(spool, work / "ledger")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    steps = Steps(spool)
    steps.run()
    raw_s = raw_insert(steps.tables, work / "raw.duckdb")
    steps_s = {name: took / clock.NS_PER_S for name, took in steps.took_ns.items()}
    return LedgerRun(calls, ingest_s, checkpoint_s, peak, steps_s, raw_s)


if __name__ == "__main__":
    print(msgspec.json.encode(main(Path(sys.argv[1]), Path(sys.argv[2]))).decode(), flush=True)

"""Recompute the ledger and compare: the chain, the ids, every charge, every correction.

Batches are read one at a time, so memory is bounded by the largest batch; what spans batches is
asked of the database, which spills to disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.ids import to_text
from tollbook.ledger.chain import GENESIS, BatchHead, batch_hash
from tollbook.ledger.charge import measure, price
from tollbook.ledger.corrections import NEGATED, OWN
from tollbook.ledger.exact import pico_list
from tollbook.ledger.findings import Finding, Findings, VerifyReport
from tollbook.ledger.rebuild import EVIDENCE_COLUMNS, call_of, kinds_of, rows_of
from tollbook.ledger.rerate import stored_components
from tollbook.ledger.schema import ENTRY_NAMES
from tollbook.ledger.spoolcheck import check_spool
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from tollbook.ledger.cards import CardShelf
    from tollbook.prices.card import RateCard

__all__ = ["Finding", "VerifyReport", "verify"]

FINDINGS_KEPT: Final = 1000
_ROW_COLUMNS: Final = (
    "entry_id", "batch_id", "kind", "calls", "replaces", *EVIDENCE_COLUMNS, *KINDS,
    "price_state", "price_card_id", "usage_source",
)  # fmt: skip
_USAGE_READ_ANEW: Final = "usage read anew%"


def verify(
    connection: duckdb.DuckDBPyConnection,
    shelf: CardShelf,
    spool_root: Path | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    findings_max: int = FINDINGS_KEPT,
) -> VerifyReport:
    """Check everything and return every difference.

    Args:
        connection: for reading, from ``store.reader()`` or ``connect_readonly``.
        shelf: holds the cards that entries name.
        spool_root: the spool, to compare the read positions with what is still there.
        progress: called with the entries checked and the entries there are.
        findings_max: how many findings to return; all are counted.
    """
    return _Verifier(connection, shelf, findings_max).run(spool_root, progress)


class _Verifier:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, shelf: CardShelf, findings_max: int
    ) -> None:
        self._connection, self._shelf = connection, shelf
        self._findings = Findings(findings_max)
        self._add = self._findings.add
        self._cards: dict[str, RateCard | None] = {}
        self._reread: set[int] = set()

    def run(
        self, spool_root: Path | None, progress: Callable[[int, int], None] | None
    ) -> VerifyReport:
        # One snapshot: an ingest that goes on meanwhile is not seen.
        self._connection.execute("BEGIN TRANSACTION")
        try:
            count = self._one("SELECT count(*) FROM entries")
            # What was read wrongly and corrected since is not read as it was then.
            self._reread = set(self._ints(
                "SELECT replaces FROM entries WHERE replaces IS NOT NULL AND reason LIKE ?",
                [_USAGE_READ_ANEW],
            ))  # fmt: skip
            batches, head, last = self._check_batches(count, progress)
            if count != last:
                self._add("ids", f"there are {count} entries; the batches name {last}")
            self._check_corrections()
            check_spool(self._connection, spool_root, self._add)
        finally:
            self._connection.execute("ROLLBACK")
        return VerifyReport(count, batches, head, tuple(self._findings.kept), self._findings.total)

    def _check_batches(
        self, count: int, progress: Callable[[int, int], None] | None
    ) -> tuple[int, str, int]:
        heads = self._connection.execute(
            "SELECT batch_id, epoch_us(booked_at), schema_version, first_entry_id, last_entry_id,"
            " CAST(cost_usd * 1000000000000 AS HUGEINT), previous_hash, rows, hash"
            " FROM batches ORDER BY batch_id"
        ).fetchall()
        previous, last = GENESIS, 0
        for at, (*fields, rows, digest) in enumerate(heads, 1):
            head = BatchHead(*fields)
            where = {"batch_id": head.batch_id}
            if (
                head.batch_id != at
                or head.first_entry_id != last + 1
                or (rows != head.last_entry_id - last)
            ):
                self._add("batch", "its number or its range of entries does not follow", **where)
            if head.previous_hash != previous:
                self._add("hash", "does not follow the hash of the batch before", **where)
            table = self._batch(head)
            if batch_hash(head, table, ENTRY_NAMES) != digest:
                names = f"entries {head.first_entry_id} to {head.last_entry_id}"
                self._add("hash", f"{names} are not those that were booked", **where)
            cost = sum(pico or 0 for pico in pico_list(table.column("cost_usd")))
            if cost != head.cost_pico:
                self._add("batch", "its total is not the sum of its entries", **where)
            self._check_rows(head, table)
            previous, last = digest, head.last_entry_id
            if progress is not None:
                progress(min(last, count), count)
        return len(heads), previous, last

    def _batch(self, head: BatchHead) -> pa.Table:
        table: pa.Table = self._connection.sql(
            f"SELECT {', '.join(ENTRY_NAMES)} FROM entries"  # noqa: S608 -- constants
            " WHERE entry_id BETWEEN ? AND ? ORDER BY entry_id",
            params=[head.first_entry_id, head.last_entry_id],
        ).to_arrow_table()
        return table

    def _check_rows(self, head: BatchHead, table: pa.Table) -> None:
        costs, components = pico_list(table.column("cost_usd")), stored_components(table)
        following = head.first_entry_id
        for row, cost, parts in zip(
            rows_of(table.select(_ROW_COLUMNS)), costs, components, strict=True
        ):
            entry_id = row["entry_id"]
            where = {"entry_id": entry_id, "call_id": to_text(row["call_id"]),
                     "batch_id": head.batch_id}  # fmt: skip
            if entry_id != following:
                self._add("ids", f"expected entry {following} here", **where)
            following = entry_id + 1
            if row["batch_id"] != head.batch_id:
                self._add("batch", f"says it is of batch {row['batch_id']}", **where)
            if sum(part or 0 for part in parts) != (cost or 0):
                self._add("components", "the components do not add up to the cost", **where)
            if row["kind"] == "charge":
                self._check_charge(row, cost, parts, where)

    def _check_charge(
        self, row: dict[str, Any], cost: int | None, parts: tuple[int | None, ...],
        where: dict[str, Any],
    ) -> None:  # fmt: skip
        if row["calls"] != 1:
            self._add("components", f"a charge counts one call, not {row['calls']}", **where)
        kinds = kinds_of(row)
        if kinds is not None and min(kinds) < 0:
            self._add("kinds", "a charge has a negative quantity", **where)
        if row["entry_id"] in self._reread:
            return
        try:
            call = call_of(row)
        except ValueError as error:
            self._add("evidence", f"the evidence cannot be read: {error}", **where)
            return
        measured = measure(call)
        card_id = row["price_card_id"]
        card = None if card_id is None else self._card(card_id)
        if card_id is not None and card is None:
            self._add("card", f"price card {card_id} is not in the books", **where)
            return
        again = price(call, measured, lambda *_: card)
        if (kinds, row["usage_source"]) != (again.kinds, again.source):
            self._add("kinds", "the token kinds are not what the raw usage says", **where)
        stored = (row["price_state"], cost, parts if cost is not None else None)
        if stored != (again.state, again.cost, again.components):
            self._add("price", "the cost is not what its price card makes of the usage", **where)
        if card is not None and (card.effective_from_ns or 0) > call.opened.started_at_ns:
            self._add("price", f"price card {card_id} was not in force yet", **where)

    def _card(self, card_id: str) -> RateCard | None:
        if card_id not in self._cards:
            self._cards[card_id] = self._shelf.find([card_id]).get(card_id)
        return self._cards[card_id]

    def _check_corrections(self) -> None:
        """Check what spans batches: corrections mirror what they replace, each call is once in."""
        same = [name for name in ENTRY_NAMES if name not in NEGATED and name not in OWN]
        differs = " OR ".join(
            [f"taken.{name} IS DISTINCT FROM -charged.{name}" for name in NEGATED]
            + [f"taken.{name} IS DISTINCT FROM charged.{name}" for name in same]
        )
        joined = (
            "FROM entries AS taken LEFT JOIN entries AS charged"
            " ON taken.replaces = charged.entry_id AND charged.entry_id < taken.entry_id"
        )
        self._each(
            "reversal", "does not mirror the charge it takes back",
            f"SELECT taken.entry_id, taken.call_id {joined} WHERE taken.kind = 'reversal'"  # noqa: S608 -- constants
            f" AND (charged.kind IS DISTINCT FROM 'charge' OR {differs})",
        )  # fmt: skip
        self._each(
            "replaced", "is replaced more than once, or without a reversal",
            "SELECT replaces, any_value(call_id) FROM entries WHERE replaces IS NOT NULL"
            " GROUP BY replaces HAVING count(*) FILTER (kind = 'reversal') <> 1"
            " OR count(*) FILTER (kind = 'charge') > 1",
        )  # fmt: skip
        self._each(
            "active", "the entries of the call do not count it exactly once",
            "SELECT max(entry_id), call_id FROM entries GROUP BY call_id HAVING sum(calls) <> 1",
        )  # fmt: skip

    def _each(self, check: str, problem: str, sql: str) -> None:
        cursor = self._connection.execute(sql)
        while rows := cursor.fetchmany(FINDINGS_KEPT):
            for entry_id, call_id in rows:
                self._add(check, problem, entry_id=entry_id, call_id=str(call_id))

    def _one(self, sql: str) -> int:
        ((count,),) = self._connection.execute(sql).fetchall()
        return int(count)

    def _ints(self, sql: str, values: list[Any]) -> list[int]:
        return [row[0] for row in self._connection.execute(sql, values).fetchall()]

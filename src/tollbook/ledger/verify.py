"""Recompute the ledger and compare: the chain, the ids, every charge, every correction.

Batches are read one at a time, so memory is bounded by the largest batch; what spans batches is
asked of the database, which spills to disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.ids import to_text
from tollbook.ledger.billing_check import CHECK, wrongly_billed
from tollbook.ledger.chain import GENESIS, BatchHead, batch_hash
from tollbook.ledger.charge import measure, price
from tollbook.ledger.corrections import NEGATED, OWN
from tollbook.ledger.exact import pico_list
from tollbook.ledger.findings import Finding, Findings, VerifyReport
from tollbook.ledger.layersplit import LayerSplit, split_layers, weights_of
from tollbook.ledger.rebuild import (
    CHARGE_COLUMNS,
    EVIDENCE_COLUMNS,
    call_of,
    charge_at,
    kinds_of,
    rows_of,
    said_of,
    stored_charge,
    stored_layers,
)
from tollbook.ledger.rerate import stored_amounts, stored_components
from tollbook.ledger.rollups import check_rollups
from tollbook.ledger.schema import ENTRY_NAMES, NAMES_BY_VERSION, CostSource
from tollbook.ledger.spoolcheck import check_spool
from tollbook.ledger.stitch.check import NOT_ONCE, check_stitches, taken_back
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from tollbook.call import Call
    from tollbook.ledger.cards import CardShelf
    from tollbook.prices.billable import Rule
    from tollbook.prices.card import RateCard
    from tollbook.usage import Kinds

__all__ = ["Finding", "VerifyReport", "verify"]

FINDINGS_KEPT: Final = 1000
_ROW_COLUMNS: Final = (
    "entry_id", "batch_id", "kind", "calls", "replaces",
    *dict.fromkeys((*EVIDENCE_COLUMNS, *CHARGE_COLUMNS)), *KINDS, "price_card_id", "usage_source",
    "layer_weights",
)  # fmt: skip
_LAYERS_SINCE: Final = 2
"""Schema version since which entries are split by layer."""
_USAGE_READ_ANEW: Final = "usage read anew%"


def verify(
    connection: duckdb.DuckDBPyConnection,
    shelf: CardShelf,
    spool_root: Path | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    findings_max: int = FINDINGS_KEPT,
    rules: Mapping[str, Rule] | None = None,
) -> VerifyReport:
    """Check everything and return every difference.

    Args:
        connection: for reading, from ``store.reader()`` or ``connect_readonly``.
        shelf: holds the cards that entries name.
        spool_root: the spool, to compare the read positions with what is still there.
        progress: called with the entries checked and the entries there are.
        findings_max: how many findings to return; all are counted.
        rules: every version of every billing rule, by document id; None leaves out what is billed.
    """
    return _Verifier(connection, shelf, findings_max, rules).run(spool_root, progress)


class _Stored(NamedTuple):
    """What an entry says of its charge."""

    kinds: Kinds | None
    said: tuple[object, ...]


class _Verifier:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, shelf: CardShelf, findings_max: int,
        rules: Mapping[str, Rule] | None,
    ) -> None:  # fmt: skip
        self._connection, self._shelf, self._rules = connection, shelf, rules
        self._findings = Findings(findings_max)
        self._add = self._findings.add
        self._cards: dict[str, RateCard | None] = {}
        self._reread: set[int] = set()
        self._parts: dict[bytes, int] = {}
        """How many parts the calls of several have."""

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
            self._check_parts()
            for wrong in check_rollups(self._connection):
                self._add("rollup", f"{wrong.name}: {wrong.column} is not the sum of its entries")
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
            if batch_hash(head, table, NAMES_BY_VERSION[head.schema_version]) != digest:
                names = f"entries {head.first_entry_id} to {head.last_entry_id}"
                self._add("hash", f"{names} are not those that were booked", **where)
            cost = sum(pico or 0 for pico in pico_list(table.column("cost_usd")))
            if cost != head.cost_pico:
                self._add("batch", "its total is not the sum of its entries", **where)
            self._check_rows(head, table)
            if self._rules is not None:
                for entry_id, call_id, problem in wrongly_billed(table, self._rules, self._card):
                    self._add(CHECK, problem, entry_id=entry_id, call_id=to_text(call_id), **where)
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
        amounts, components = stored_amounts(table), stored_components(table)
        has_layers = head.schema_version >= _LAYERS_SINCE
        following = head.first_entry_id
        for row, told, parts, layers in zip(
            rows_of(table.select(_ROW_COLUMNS)), amounts, components, stored_layers(table),
            strict=True,
        ):  # fmt: skip
            entry_id = row["entry_id"]
            where = {"entry_id": entry_id, "call_id": to_text(row["call_id"]),
                     "batch_id": head.batch_id}  # fmt: skip
            if entry_id != following:
                self._add("ids", f"expected entry {following} here", **where)
            following = entry_id + 1
            if row["batch_id"] != head.batch_id:
                self._add("batch", f"says it is of batch {row['batch_id']}", **where)
            if row["kind"] == "adjustment":
                self._check_adjustment(row, told, parts, where)
            elif sum(part or 0 for part in parts) != (told["cost_usd"] or 0):
                self._add("components", "the components do not add up to the cost", **where)
            if row["kind"] == "charge":
                self._check_charge(row, told, parts, where)
                if has_layers and layers != _layers_again(row, told, parts):
                    self._add("layers", "the layers are not what the weights say", **where)

    def _check_adjustment(
        self, row: dict[str, Any], told: dict[str, int | None], parts: tuple[int | None, ...],
        where: dict[str, Any],
    ) -> None:  # fmt: skip
        if row["calls"]:
            self._add("components", f"an adjustment counts no call, not {row['calls']}", **where)
        if sum(part or 0 for part in parts) not in (0, told["cost_usd"]):
            self._add("components", "the component of an adjustment is not its cost", **where)

    def _check_charge(
        self, row: dict[str, Any], told: dict[str, int | None], parts: tuple[int | None, ...],
        where: dict[str, Any],
    ) -> None:  # fmt: skip
        if row["calls"] != (0 if row["part"] else 1):
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
        card_id = row["price_card_id"]
        card = None if card_id is None else self._card(card_id)
        if card_id is not None and card is None:
            self._add("card", f"price card {card_id} is not in the books", **where)
            return
        if card is not None and (card.effective_from_ns or 0) > call.opened.started_at_ns:
            self._add("price", f"price card {card_id} was not in force yet", **where)
        self._check_price(row, _Stored(kinds, stored_charge(row, told, parts)), call, card, where)

    def _check_price(
        self, row: dict[str, Any], stored: _Stored, call: Call, card: RateCard | None,
        where: dict[str, Any],
    ) -> None:  # fmt: skip
        """Measure and price the call again. A part of it is priced by its own card alone."""
        measured = measure(call)
        is_reported = row["cost_source"] == CostSource.PROVIDER
        if measured.further and row["part"] == 0:
            self._parts[row["call_id"]] = len(measured.further)
        elif self._parts and row["part"] == 0:
            self._parts.pop(row["call_id"], None)  # usage that came late has no parts
        is_split = is_reported and bool(measured.further)
        uses_reported = (row["provider"],) if is_reported and not is_split else ()
        again = charge_at(price(call, measured, lambda *_: card, uses_reported), row["part"])
        if again is None:
            self._add("kinds", "the raw usage has no such part", **where)
            return
        if (stored.kinds, row["usage_source"]) != (again.kinds, again.source):
            self._add("kinds", "the token kinds are not what the raw usage says", **where)
        # The provider's figure was split over all parts, which is checked of their sum.
        if not is_split and stored.said[1:] != said_of(again)[1:]:
            self._add("price", "the cost is not what its price card makes of the usage", **where)

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
            f"SELECT max(entry_id), call_id FROM entries {NOT_ONCE}",  # noqa: S608 -- constants
        )  # fmt: skip
        for call_id, problem in check_stitches(self._connection):
            self._add("active", problem, call_id=call_id)

    def _check_parts(self) -> None:
        """Check that each part of a call is in force once, and that none is missing."""
        in_force = (
            "SELECT call_id, part, max(entry_id), count(*) FILTER (kind = 'charge')"
            " - count(*) FILTER (kind = 'reversal') AS charges"
            " FROM entries WHERE part > 0 GROUP BY call_id, part"
        )
        self._each(
            "active", "a part of the call is in force more than once",
            f"SELECT max, call_id FROM ({in_force}) AS parts(call_id, part, max, charges)"  # noqa: S608 -- constants
            " WHERE charges NOT IN (0, 1)",
        )  # fmt: skip
        self._each(
            "price", "its parts do not add up to what the provider reported",
            "SELECT max(entry_id), call_id FROM entries WHERE call_id IN (SELECT call_id"
            " FROM entries WHERE part > 0 AND cost_source = 'provider') GROUP BY call_id"
            " HAVING sum(cost_usd) <> sum(reported_cost_usd)",
        )  # fmt: skip
        cursor = self._connection.execute(
            f"SELECT call_id, count(*) FROM ({in_force}) WHERE charges = 1 GROUP BY call_id"  # noqa: S608 -- constants
        )
        booked = {call_id.bytes: count for call_id, count in cursor.fetchall()}
        for call_id in taken_back(self._connection) if self._parts else ():
            self._parts.pop(call_id, None)
        for call_id in booked.keys() | self._parts.keys():
            if booked.get(call_id, 0) != self._parts.get(call_id, 0):
                self._add(
                    "active", f"{booked.get(call_id, 0)} of its {self._parts.get(call_id, 0)} parts"
                    " are in force", call_id=to_text(call_id),
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


def _layers_again(
    row: dict[str, Any], told: dict[str, int | None], parts: tuple[int | None, ...]
) -> LayerSplit:
    """Split what an entry says of usage and cost anew."""
    is_known = told["cost_usd"] is not None
    weights = None if row["part"] else weights_of(row["layer_weights"])
    return split_layers(
        weights, kinds_of(row), tuple(part or 0 for part in parts) if is_known else None
    )

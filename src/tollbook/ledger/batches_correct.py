"""Corrections of lines that were booked before all was known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tollbook.call import IDENTITY_FIELDS, Call, CallClosed, CallOpened, Evidence, Metering, Status
from tollbook.ledger.batch import Entries
from tollbook.ledger.batches_calls import renamed
from tollbook.ledger.batches_state import uuid_text
from tollbook.ledger.columns import call_columns
from tollbook.ledger.corrections import NEGATED, OWN, joined
from tollbook.ledger.schema import ENTRY_NAMES, ENTRY_SCHEMA, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from tollbook.call import Identity
    from tollbook.ledger.batches import Owners
    from tollbook.ledger.batches_state import ProviderBatch
    from tollbook.ledger.cards import UsedCards
    from tollbook.ledger.store import Store

    Connection = duckdb.DuckDBPyConnection

_PAGE_ROWS: Final = 5_000
_OWNER_COLUMNS: Final = (
    *IDENTITY_FIELDS, "api_key_id", "tags", "identity_source", "identity_detail",
)  # fmt: skip
_NOWHERE: Final = Evidence("", 0, 0, "")
_NOT_TAKEN_BACK: Final = (
    "charged.kind = 'charge' AND NOT EXISTS (SELECT 1 FROM entries AS taken"
    " WHERE taken.kind = 'reversal' AND taken.replaces = charged.entry_id)"
)


def correct_owners(
    store: Store,
    connection: Connection,
    batch: ProviderBatch,
    owners_of: Callable[[Connection, ProviderBatch, Sequence[str]], Owners],
) -> None:
    """Book anew the lines of a batch whose owner is now known to be another."""
    columns = ", ".join(f"charged.{name}" for name in ENTRY_NAMES)
    table: pa.Table = connection.sql(
        f"SELECT {columns} FROM entries AS charged WHERE {_NOT_TAKEN_BACK}"  # noqa: S608 -- constants
        " AND charged.call_id IN (SELECT call_id FROM batch_lines JOIN batch_sources"
        " USING (provider, source_id) WHERE provider = ? AND provider_batch_id = ?)"
        " ORDER BY charged.entry_id",
        params=[batch.provider, batch.batch_id],
    ).to_arrow_table()
    for at in range(0, table.num_rows, _PAGE_ROWS):
        page = table.slice(at, _PAGE_ROWS).combine_chunks()
        custom_ids = [one or "" for one in page.column("custom_id").to_pylist()]
        owners = owners_of(connection, batch, custom_ids)
        renewals = _owner_columns([owners.of(one) for one in custom_ids], batch.batch_id)
        changed = _differs(page, renewals)
        if pc.any(changed).as_py():
            rows = page.filter(changed)
            renewed = {name: array.filter(changed) for name, array in renewals.items()}
            store.append(_corrections(rows, renewed), 2 * rows.num_rows)


def _owner_columns(identities: Sequence[Identity], batch_id: str) -> dict[str, Any]:
    """Return the columns that depend on the owner, made as those of any call are."""
    stand_ins = [
        Call(
            CallOpened(b"\0" * 16, 0, one, "", "", "", Metering.METERED, "", ""),
            CallClosed(b"\0" * 16, 0, Status.OK),
            _NOWHERE,
        )
        for one in identities
    ]
    columns = call_columns(stand_ins)
    # What nobody has is left out of the columns of calls.
    nothing = pa.nulls(len(identities), pa.string())
    owners = {name: columns.get(name, nothing) for name in _OWNER_COLUMNS}
    return owners | {"provider_batch_id": pa.array([batch_id] * len(identities), pa.string())}


def _differs(page: pa.Table, renewals: dict[str, Any]) -> Any:
    differs: Any = pa.array([False] * page.num_rows)
    for name, array in renewals.items():
        stored: Any = page.column(name).combine_chunks()
        same: Any = pc.equal(stored, array).fill_null(False)
        both_null = pc.and_(stored.is_null(), array.is_null())
        differs = pc.or_(differs, pc.invert(pc.or_(same, both_null)))
    return differs


def _corrections(rows: pa.Table, renewed: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of reversals of rows, followed by the rows with other owners."""
    why = pa.array(["the owner of the batch's line became known"] * rows.num_rows, pa.string())
    replaces = {"replaces": rows.column("entry_id"), "reason": why}
    reversals = _reversed(rows) | replaces
    renewals = renewed | replaces | {"kind": rows.column("kind")}
    columns = {}
    for field in ENTRY_SCHEMA:
        if field.name in OWN and field.name not in renewals:
            continue
        stored = rows.column(field.name)
        both = [reversals.get(field.name, stored), renewals.get(field.name, stored)]
        columns[field.name] = joined(both, field.type)
    return columns


def _reversed(rows: pa.Table) -> dict[str, Any]:
    taken: dict[str, Any] = {name: pc.negate(rows.column(name)) for name in NEGATED}
    taken["kind"] = pa.array([Kind.REVERSAL.value] * rows.num_rows, pa.string())
    return taken


def supersede(
    store: Store, connection: Connection, cards: UsedCards, batch: ProviderBatch, call: Call
) -> None:
    """Put a call in the place of the entry that stood for a batch's missing results.

    The call takes that entry's call id, so that the id counts one call before and after.
    """
    assert batch.settled_call_id is not None
    columns = ", ".join(f"charged.{name}" for name in ENTRY_NAMES)
    settled: pa.Table = connection.sql(
        f"SELECT {columns} FROM entries AS charged WHERE {_NOT_TAKEN_BACK}"  # noqa: S608 -- constants
        " AND charged.call_id = ?::UUID ORDER BY charged.entry_id LIMIT 1",
        params=[uuid_text(batch.settled_call_id)],
    ).to_arrow_table()
    if not settled.num_rows:
        return
    why = pa.array(["the results of the batch came after all"], pa.string())
    taken = {
        field.name: joined([settled.column(field.name)], field.type)
        for field in ENTRY_SCHEMA
        if field.name not in OWN
    }
    taken |= _reversed(settled) | {"replaces": settled.column("entry_id"), "reason": why}
    store.append(taken, 1)
    entries = Entries(cards.resolve, cards.uses_reported)
    entries.add([renamed(call, batch.settled_call_id)])
    cards.keep(entries.card_ids)
    for one in entries.batches():
        rest = one.rows - 1
        replaced = pa.array([settled.column("entry_id")[0].as_py(), *[None] * rest], pa.int64())
        reasons = pa.array([why[0].as_py(), *[None] * rest], pa.string())
        store.append(one.columns | {"replaces": replaced, "reason": reasons}, one.rows)

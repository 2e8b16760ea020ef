"""What calls are to be charged as, held against what is in force; the difference is booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tollbook.call import IDENTITY_FIELDS
from tollbook.ledger.batch import Entries
from tollbook.ledger.columns import call_columns
from tollbook.ledger.corrections import Correction, corrections
from tollbook.ledger.rebuild import rows_of
from tollbook.ledger.schema import ENTRY_NAMES
from tollbook.ledger.stitch.rows import given, uuids
from tollbook.ledger.stitch.tables import STITCHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from tollbook.call import Call
    from tollbook.ledger.batch import Batch
    from tollbook.ledger.cards import UsedCards
    from tollbook.ledger.store import Store

    Connection = duckdb.DuckDBPyConnection

_SLICE: Final = 5_000
_COMPARED: Final = (
    *IDENTITY_FIELDS, "api_key_id", "tags", "identity_source", "identity_detail",
    "provider", "dialect", "operation", "metering", "method", "path", "model_requested",
    "model_actual", "service_tier", "is_stream", "status", "http_status", "error_type", "attempt",
    "time_to_first_token_ns", "provider_request_id", "provider_response_id", "idempotency_key",
    "trace_id", "span_id", "parent_span_id", "usage_raw", "usage_complete", "is_billable",
    "input_chars", "output_chars", "output_events", "max_output_tokens", "asked", "cached_from",
    "observer", "observed_by", "call_site", "layer_weights", "prefix_hash", "prefix_chars",
)  # fmt: skip
"""What observers say of a call. Times and sizes are not worth a correction."""
_encode: Final = msgspec.json.encode
_decode_words: Final = msgspec.json.Decoder(list[str]).decode


class Wanted(NamedTuple):
    """What a call is to be charged as."""

    call: Call
    observed_by: str | None
    """JSON array of everybody who saw it; None: the gateway alone."""
    reason: str | None
    """Why it is charged anew, if it is."""
    flag: str | None = None
    """What is to be known of its price."""


class Books(NamedTuple):
    """Where entries are read and written."""

    store: Store
    cards: UsedCards
    connection: Connection
    since_us: int
    until_us: int


def settle(books: Books, wanted: Sequence[Wanted], gone: dict[bytes, str], new: set[bytes]) -> None:
    """Book what is new, and correct what differs.

    Args:
        books: where.
        wanted: calls that are to be in force.
        gone: calls that are not to be, and why.
        new: calls that have never been booked, so that nothing need be compared.
    """
    fresh = [one for one in wanted if one.call.opened.call_id in new]
    old = [one for one in wanted if one.call.opened.call_id not in new]
    changed: list[Wanted] = []
    absent: list[Wanted] = []
    for at in range(0, len(old), _SLICE):
        differing, missing = _differing(books, old[at : at + _SLICE])
        changed += differing
        absent += missing
    reasons = {one.call.opened.call_id: one.reason or STITCHED for one in changed}
    replaced = _take_back(books, gone | reasons)
    _charge(books, [one._replace(reason=None) for one in fresh], {})
    _charge(books, [*changed, *absent], replaced)


def _bounds(books: Books) -> str:
    return (
        f"called_at >= make_timestamp({books.since_us})"
        f" AND called_at <= make_timestamp({books.until_us})"
    )


def _in_force(books: Books, names: Iterable[str], ids: Sequence[bytes], only: str = "") -> pa.Table:
    bounds = _bounds(books)
    with given(books.connection, {"id": uuids(ids)}):
        table: pa.Table = books.connection.sql(
            f"SELECT {', '.join(names)} FROM entries WHERE {bounds} AND kind = 'charge' {only}"  # noqa: S608 -- constants and numbers
            " AND call_id IN (SELECT id FROM given) AND entry_id NOT IN (SELECT replaces"
            f" FROM entries WHERE {bounds} AND kind = 'reversal'"
            " AND call_id IN (SELECT id FROM given)) ORDER BY entry_id"
        ).to_arrow_table()
    return table


def _differing(books: Books, wanted: Sequence[Wanted]) -> tuple[list[Wanted], list[Wanted]]:
    """Return which calls are in force as something else, and which are not in force."""
    columns = call_columns([one.call for one in wanted])
    columns["observed_by"] = pa.array([one.observed_by for one in wanted], pa.string())
    table = _in_force(
        books, ("call_id", "price_flags", *_COMPARED),
        [one.call.opened.call_id for one in wanted], "AND part = 0",
    )  # fmt: skip
    place = {one.call.opened.call_id: at for at, one in enumerate(wanted)}
    order, flags = [], []
    for row in rows_of(table.select(["call_id", "price_flags"])):
        order.append(place[row["call_id"]])
        flags.append(row["price_flags"] or "")
    missing = [wanted[at] for at in sorted(set(range(len(wanted))) - set(order))]
    if not order:
        return [], missing
    differs: Any = pa.array([
        wanted[at].flag is not None and wanted[at].flag not in said
        for at, said in zip(order, flags, strict=True)
    ])  # fmt: skip
    taken = pa.array(order, pa.int64())
    for name in _COMPARED:
        stored: Any = _flat(table.column(name))
        ours: Any = _flat(columns[name]).take(taken) if name in columns else None
        if ours is None:
            differs = pc.or_(differs, stored.is_valid())
            continue
        same: Any = pc.equal(stored, ours).fill_null(False)
        neither = pc.and_(stored.is_null(), ours.is_null())
        differs = pc.or_(differs, pc.invert(pc.or_(same, neither)))
    return [
        wanted[at] for at, does in zip(order, differs.to_pylist(), strict=True) if does
    ], missing


def _flat(column: Any) -> Any:
    """Return a column as one plain array."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    return array.cast(pa.bool_()) if array.type == pa.int8() else array


def _take_back(books: Books, reasons: dict[bytes, str]) -> dict[tuple[bytes, int], int]:
    """Reverse what is in force of calls; return what was by call and part."""
    replaced: dict[tuple[bytes, int], int] = {}
    ids = list(reasons)
    for at in range(0, len(ids), _SLICE):
        table = _in_force(books, ENTRY_NAMES, ids[at : at + _SLICE])
        if not table.num_rows:
            continue
        found = [
            (row["call_id"], row["part"] or 0, row["entry_id"])
            for row in rows_of(table.select(["call_id", "part", "entry_id"]))
        ]
        replaced |= {(call_id, part): entry_id for call_id, part, entry_id in found}
        taken = [Correction(nth, None, reasons[call_id]) for nth, (call_id, *_) in enumerate(found)]
        columns = corrections(table, taken)
        books.store.append(columns, len(columns["kind"]))
    return replaced


def _charge(books: Books, wanted: Sequence[Wanted], replaced: dict[tuple[bytes, int], int]) -> None:
    if not wanted:
        return
    entries = Entries(books.cards.resolve, books.cards.uses_reported)
    entries.add([one.call for one in wanted])
    books.cards.keep(entries.card_ids)
    by_id = {one.call.opened.call_id: one for one in wanted}
    for batch in entries.batches():
        books.store.append(batch.columns | _told(batch, by_id, replaced), batch.rows)


def _told(
    batch: Batch, by_id: dict[bytes, Wanted], replaced: dict[tuple[bytes, int], int]
) -> dict[str, Any]:
    """Return the columns that only stitching knows."""
    ids = _flat(batch.columns["call_id"]).to_pylist()
    parts = batch.columns["part"].to_pylist()
    owners = [by_id[call_id] for call_id in ids]
    told: dict[str, Any] = {
        "observed_by": pa.array([one.observed_by for one in owners], pa.string()),
        "reason": pa.array([one.reason for one in owners], pa.string()),
        "replaces": pa.array(
            [replaced.get((call_id, part or 0)) for call_id, part in zip(ids, parts, strict=True)],
            pa.int64(),
        ),
    }
    if any(one.flag for one in owners):
        flags = batch.columns.get("price_flags")
        said = [None] * len(owners) if flags is None else flags.to_pylist()
        told["price_flags"] = pa.array(
            [_with_flag(text, one.flag) for text, one in zip(said, owners, strict=True)],
            pa.string(),
        )
    return told


def _with_flag(text: str | None, flag: str | None) -> str | None:
    if flag is None:
        return text
    said = [] if text is None else _decode_words(text)
    return _encode([*said, flag]).decode()

"""Rows of the tables of batches, read and written; every function inside the step's transaction."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
from msgspec import Struct

from tollbook.call import Identity
from tollbook.ledger.schema import UUID_ARROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from tollbook.call import BatchFile, BatchOwners, BatchSeen

    Connection = duckdb.DuckDBPyConnection

encode_identity: Final = msgspec.msgpack.Encoder().encode
decode_identity: Final = msgspec.msgpack.Decoder(Identity).decode


class ProviderBatch(Struct):
    """A row of ``provider_batches``; times in microseconds since the epoch."""

    provider: str
    batch_id: str
    dialect: str
    collection: str
    status: str
    is_ended: bool
    endpoint: str | None
    model: str | None
    input_ids: list[str]
    result_ids: list[str]
    created_us: int | None
    ended_us: int | None
    first_seen_us: int
    seen_us: int
    lines: int | None
    call_id: bytes | None
    identity: bytes | None
    problem: str | None
    settled_call_id: bytes | None = None
    is_superseded: bool = False
    is_closed: bool = False
    """Nothing is waited for any more: all is booked, or that it is missing."""

    @property
    def key(self) -> tuple[str, str]:
        """Provider and id."""
        return self.provider, self.batch_id


class Source(Struct):
    """A row of ``batch_sources``."""

    provider: str
    source_id: str
    batch_id: str | None = None
    booked: int = 0
    seen_again: int = 0
    total: int | None = None
    """Lines of a reading that came to the end."""
    is_read: bool = False

    def note_whether_read(self) -> None:
        """Take the source as read if no line of that reading was lost on the way here."""
        if self.total is not None and self.booked + self.seen_again >= self.total:
            self.is_read = True


class Upload(Struct, frozen=True):
    """A row of ``batch_inputs``."""

    call_id: bytes
    identity: Identity


_BATCH: Final = (
    "SELECT provider, provider_batch_id, dialect, collection, status, is_ended, endpoint, model,"
    " input_ids, result_ids, epoch_us(created_at), epoch_us(ended_at), epoch_us(first_seen_at),"
    " epoch_us(seen_at), lines, call_id, identity, problem, settled_call_id, is_superseded,"
    " is_closed"
    " FROM provider_batches"
)
_SOURCE: Final = (
    "SELECT provider, source_id, provider_batch_id, booked, seen_again, total, is_read"
    " FROM batch_sources"
)


def batches_where(connection: Connection, condition: str, values: list[Any]) -> list[ProviderBatch]:
    """Return the batches for which a condition of this room's own making holds."""
    rows = connection.execute(f"{_BATCH} WHERE {condition}", values).fetchall()
    return [_batch(row) for row in rows]


def _batch(row: tuple[Any, ...]) -> ProviderBatch:
    *head, call_id, identity, problem, settled, is_superseded, is_closed = row
    values = [
        *head,
        None if call_id is None else call_id.bytes,
        None if identity is None else bytes(identity),
        problem,
        None if settled is None else settled.bytes,
        is_superseded,
        is_closed,
    ]
    return ProviderBatch(*values)


def find_batch(connection: Connection, provider: str, batch_id: str) -> ProviderBatch | None:
    """Return a batch, None where it was never seen."""
    found = batches_where(
        connection, "provider = ? AND provider_batch_id = ?", [provider, batch_id]
    )
    return found[0] if found else None


def save_batch(connection: Connection, one: ProviderBatch) -> None:
    """Write a batch in place of what is known of it."""
    connection.execute(
        "DELETE FROM provider_batches WHERE provider = ? AND provider_batch_id = ?", list(one.key)
    )
    connection.execute(
        "INSERT INTO provider_batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, make_timestamp(?),"
        " make_timestamp(?), make_timestamp(?), make_timestamp(?), ?, ?, ?, ?, ?, ?, ?)",
        [
            one.provider, one.batch_id, one.dialect, one.collection, one.status, one.is_ended,
            one.endpoint, one.model, one.input_ids, one.result_ids, one.created_us, one.ended_us,
            one.first_seen_us, one.seen_us, one.lines, uuid_text(one.call_id), one.identity,
            one.problem, uuid_text(one.settled_call_id), one.is_superseded,
            one.is_closed,
        ],
    )  # fmt: skip


def uuid_text(raw: bytes | None) -> str | None:
    """Return an id as the database reads it."""
    return None if raw is None else raw.hex()


def merged(known: ProviderBatch | None, frame: BatchSeen) -> ProviderBatch:
    """Return what is known of a batch after a sighting; sightings may come in any order."""
    at_us = frame.at_ns // 1000
    identity = None if frame.identity is None else encode_identity(frame.identity)
    new = ProviderBatch(
        frame.provider, frame.batch_id, frame.dialect, frame.collection, frame.status,
        frame.is_ended, frame.endpoint, frame.model, list(frame.input_ids), list(frame.result_ids),
        _us(frame.created_at_ns), _us(frame.ended_at_ns), at_us, at_us, frame.lines,
        frame.call_id, identity, frame.problem,
    )  # fmt: skip
    if known is None:
        return new
    # What has ended stays so, whichever sighting is read last; of two alike the later one counts.
    is_later = (new.is_ended, new.seen_us) >= (known.is_ended, known.seen_us)
    last, first = (new, known) if is_later else (known, new)
    return ProviderBatch(
        known.provider, known.batch_id, known.dialect, last.collection or first.collection,
        last.status or first.status, last.is_ended, last.endpoint or first.endpoint,
        last.model or first.model, last.input_ids or first.input_ids,
        list(dict.fromkeys([*first.result_ids, *last.result_ids])),
        last.created_us or first.created_us, last.ended_us or first.ended_us,
        min(known.first_seen_us, at_us), max(known.seen_us, at_us), last.lines or first.lines,
        known.call_id or new.call_id, known.identity or new.identity, last.problem,
        known.settled_call_id, known.is_superseded, known.is_closed,
    )  # fmt: skip


def _us(at_ns: int | None) -> int | None:
    return None if at_ns is None else at_ns // 1000


def sources_where(connection: Connection, condition: str, values: list[Any]) -> list[Source]:
    """Return the sources for which a condition of this room's own making holds."""
    rows = connection.execute(f"{_SOURCE} WHERE {condition}", values).fetchall()
    return [Source(*row) for row in rows]


def find_source(connection: Connection, provider: str, source_id: str) -> Source:
    """Return a source; a new one where it is not known."""
    found = sources_where(connection, "provider = ? AND source_id = ?", [provider, source_id])
    return found[0] if found else Source(provider, source_id)


def save_source(connection: Connection, one: Source) -> None:
    """Write a source in place of what is known of it."""
    connection.execute(
        "DELETE FROM batch_sources WHERE provider = ? AND source_id = ?",
        [one.provider, one.source_id],
    )
    connection.execute(
        "INSERT INTO batch_sources VALUES (?, ?, ?, ?, ?, ?, ?)",
        [one.provider, one.source_id, one.batch_id, one.booked, one.seen_again, one.total,
         one.is_read],
    )  # fmt: skip


def save_upload(connection: Connection, frame: BatchFile) -> None:
    """Write which upload made a file, and whose it is."""
    connection.execute(
        "DELETE FROM batch_inputs WHERE provider = ? AND file_id = ?",
        [frame.provider, frame.file_id],
    )
    connection.execute(
        "INSERT INTO batch_inputs VALUES (?, ?, ?, ?, ?, ?, make_timestamp(?))",
        [frame.provider, frame.file_id, uuid_text(frame.call_id), encode_identity(frame.identity),
         frame.lines, frame.problem, frame.at_ns // 1000],
    )  # fmt: skip


def uploads_of(connection: Connection, batch: ProviderBatch) -> list[Upload]:
    """Return the uploads of a batch's input files, as far as they were seen."""
    rows = connection.execute(
        "SELECT call_id, identity FROM batch_inputs"
        " WHERE provider = ? AND list_contains(?, file_id)",
        [batch.provider, batch.input_ids],
    ).fetchall()
    return [Upload(call_id.bytes, decode_identity(bytes(raw))) for call_id, raw in rows]


def save_owners(connection: Connection, frames: Sequence[BatchOwners]) -> None:
    """Write which lines name an owner."""
    calls: list[bytes] = []
    custom_ids: list[str] = []
    identities: list[bytes] = []
    times: list[int] = []
    for frame in frames:
        known = [encode_identity(one) for one in frame.identities]
        calls += [frame.call_id] * len(frame.lines)
        times += [frame.at_ns // 1000] * len(frame.lines)
        custom_ids += [custom_id for custom_id, _ in frame.lines]
        identities += [known[at] for _, at in frame.lines]
    if calls:
        with_rows(
            connection,
            "INSERT INTO batch_owners SELECT call_id, custom_id, identity, make_timestamp(at_us)"
            " FROM batch_rows",
            {
                "call_id": uuids(calls),
                "custom_id": pa.array(custom_ids, pa.string()),
                "identity": pa.array(identities, pa.binary()),
                "at_us": pa.array(times, pa.int64()),
            },
        )


def source_key(provider: str, source_id: str) -> bytes:
    """Return what stands for a call id where an owner was read from results."""
    return sha256(f"{provider}\n{source_id}".encode()).digest()[:16]


def owners_of(
    connection: Connection, call_ids: Iterable[bytes], custom_ids: Sequence[str]
) -> dict[str, bytes]:
    """Return what lines say of their owners (encoded), by custom id, where they say something."""
    calls = [uuid_text(one) for one in call_ids]
    if not calls or not custom_ids:
        return {}
    rows = with_rows(
        connection,
        "SELECT custom_id, identity FROM batch_owners SEMI JOIN batch_rows USING (custom_id)"
        " WHERE list_contains(?::UUID[], call_id)",
        {"custom_id": pa.array(custom_ids, pa.string())},
        [calls],
    )
    return {custom_id: bytes(raw) for custom_id, raw in rows}


def forget_owners(connection: Connection, before_us: int) -> None:
    """Delete owners of lines, and uploads, whose results can no longer come."""
    for table in ("batch_owners", "batch_inputs"):
        connection.execute(f'DELETE FROM {table} WHERE "at" < make_timestamp(?)', [before_us])  # noqa: S608 -- constants


def uuids(ids: Sequence[bytes]) -> Any:
    """Return ids as the database's own type."""
    return pa.ExtensionArray.from_storage(UUID_ARROW, pa.array(ids, pa.binary(16)))


def with_rows(
    connection: Connection, sql: str, columns: dict[str, Any], values: list[Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run a statement over rows of this process, which it names ``batch_rows``."""
    connection.register("batch_rows", pa.table(columns))
    try:
        return connection.execute(sql, values or []).fetchall()
    finally:
        connection.unregister("batch_rows")

"""Results of batches become entries: each line once, to its owner, however often it is read.

Frames of batches come from several writers and in any order: a line may be read before the
submission that says whose it is. It is booked at once with what is known, and corrected (a reversal
and a new charge) when more is. All of it is part of the step's transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from msgspec.structs import replace

from tollbook.call import BatchFile, BatchOwners, BatchRead, BatchResult, BatchSeen
from tollbook.ledger.batch import Entries
from tollbook.ledger.batches_calls import line_call, missing_call, nothing_call
from tollbook.ledger.batches_correct import correct_owners, supersede
from tollbook.ledger.batches_owner import batch_owner, line_owner
from tollbook.ledger.batches_settle import is_void, settle
from tollbook.ledger.batches_state import (
    ProviderBatch,
    Source,
    batches_where,
    decode_identity,
    find_batch,
    find_source,
    merged,
    owners_of,
    save_batch,
    save_owners,
    save_source,
    save_upload,
    source_key,
    uploads_of,
    uuid_text,
    uuids,
    with_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from tollbook.call import BatchFrame, Call, Evidence, Identity
    from tollbook.ledger.cards import UsedCards
    from tollbook.ledger.store import Store

    Connection = duckdb.DuckDBPyConnection
    Found = tuple[BatchFrame, Evidence]
    Line = tuple[BatchResult, Evidence]


class Owners:
    """Whose the lines of one batch are.

    Args:
        connection: of the transaction.
        batch: None where only the file of results is known.
        custom_ids: the lines that will be asked for.
        source: the one that they stand in, where the batch does not name it.
    """

    def __init__(
        self,
        connection: Connection,
        batch: ProviderBatch | None,
        custom_ids: Sequence[str],
        source: Source | None = None,
    ) -> None:
        self._base: Identity = batch_owner(None, None)
        self._known: dict[bytes, Identity] = {}
        read_from = [] if source is None else [source_key(source.provider, source.source_id)]
        if batch is None:
            self._lines = owners_of(connection, read_from, custom_ids)
            return
        read_from += [source_key(batch.provider, one) for one in batch.result_ids]
        uploads = uploads_of(connection, batch)
        submitted = None if batch.identity is None else decode_identity(batch.identity)
        self._base = batch_owner(submitted, uploads[0].identity if uploads else None)
        calls = [one.call_id for one in uploads]
        if batch.call_id is not None:
            calls.append(batch.call_id)
        # What was submitted says more than the custom id, which is all that results repeat.
        self._lines = owners_of(connection, read_from, custom_ids)
        self._lines |= owners_of(connection, calls, custom_ids)

    @property
    def whole(self) -> Identity:
        """The owner of the batch."""
        return self._base

    def of(self, custom_id: str) -> Identity:
        """Return the owner of a line."""
        raw = self._lines.get(custom_id)
        if raw is None:
            return self._base
        owner = self._known.get(raw)
        if owner is None:
            owner = self._known[raw] = line_owner(self._base, decode_identity(raw))
        return owner


class BatchBooks:
    """Books what frames say of batches."""

    def __init__(self, store: Store, cards: UsedCards) -> None:
        self._store, self._cards = store, cards

    def book(self, connection: Connection, frames: Sequence[Found]) -> None:
        """Take the frames of one step; call inside the store's transaction."""
        owners: list[BatchOwners] = []
        reads: list[BatchRead] = []
        lines: dict[tuple[str, str], list[Line]] = {}
        touched: dict[tuple[str, str], ProviderBatch] = {}
        for frame, evidence in frames:
            if isinstance(frame, BatchResult):
                lines.setdefault((frame.provider, frame.source_id), []).append((frame, evidence))
            elif isinstance(frame, BatchSeen):
                self._see(connection, frame, touched)
            elif isinstance(frame, BatchOwners):
                owners.append(frame)
            elif isinstance(frame, BatchFile):
                save_upload(connection, frame)
                self._touch(connection, touched, "provider = ? AND list_contains(input_ids, ?)",
                            [frame.provider, frame.file_id])  # fmt: skip
            else:
                reads.append(frame)
        if owners:
            save_owners(connection, owners)
            self._touch_owners(connection, touched, owners)
        corrected = [one for one in touched.values() if self._has_lines(connection, one)]
        for batch in corrected:
            correct_owners(self._store, connection, batch, Owners)
        for (provider, source_id), found in lines.items():
            self._book_source(connection, provider, source_id, found)
        for read in reads:
            source = find_source(connection, read.provider, read.source_id)
            source.total = read.lines
            source.note_whether_read()
            save_source(connection, source)

    def settle(self, connection: Connection, now_ns: int, after_ns: int) -> int:
        """Book what has waited too long for its results; return how many batches that were."""

        def append(batch: ProviderBatch) -> Call:
            call = missing_call(batch, Owners(connection, batch, []).whole, now_ns)
            self._append([call])
            return call

        return settle(connection, now_ns, after_ns, append)

    def _touch(
        self,
        connection: Connection,
        touched: dict[tuple[str, str], ProviderBatch],
        condition: str,
        values: list[object],
    ) -> None:
        for batch in batches_where(connection, condition, values):
            touched[batch.key] = batch

    def _touch_owners(
        self,
        connection: Connection,
        touched: dict[tuple[str, str], ProviderBatch],
        frames: Iterable[BatchOwners],
    ) -> None:
        """Note the batches whose lines got an owner: by their submission, or by their upload."""
        for call_id in {frame.call_id for frame in frames}:
            self._touch(
                connection, touched,
                "call_id = ?::UUID OR EXISTS (SELECT 1 FROM batch_inputs AS uploaded"
                " WHERE uploaded.call_id = ?::UUID AND list_contains(input_ids, file_id)"
                " AND uploaded.provider = provider_batches.provider)",
                [uuid_text(call_id), uuid_text(call_id)],
            )  # fmt: skip

    def _see(
        self,
        connection: Connection,
        frame: BatchSeen,
        touched: dict[tuple[str, str], ProviderBatch],
    ) -> None:
        known = find_batch(connection, frame.provider, frame.batch_id)
        batch = merged(known, frame)
        if known is not None and replace(batch, seen_us=known.seen_us) == known:
            return  # clients look at the same batches again and again
        save_batch(connection, batch)
        is_new_owner = batch.identity != (None if known is None else known.identity)
        for source_id in batch.result_ids:
            source = find_source(connection, batch.provider, source_id)
            if source.batch_id is None:
                source.batch_id = batch.batch_id
                save_source(connection, source)
                touched[batch.key] = batch
        if is_new_owner or (known is not None and known.input_ids != batch.input_ids):
            touched[batch.key] = batch
        if batch.settled_call_id is not None and not batch.is_superseded and is_void(batch):
            nothing = nothing_call(batch, Owners(connection, batch, []).whole, frame.at_ns)
            self._supersede(connection, batch, nothing)

    def _has_lines(self, connection: Connection, batch: ProviderBatch) -> bool:
        rows = connection.execute(
            "SELECT 1 FROM batch_sources WHERE provider = ? AND provider_batch_id = ?"
            " AND booked > 0 LIMIT 1",
            [batch.provider, batch.batch_id],
        ).fetchall()
        return bool(rows)

    def _book_source(
        self, connection: Connection, provider: str, source_id: str, found: list[Line]
    ) -> None:
        source = find_source(connection, provider, source_id)
        batch = find_batch(connection, provider, source.batch_id or source_id)
        if batch is not None:
            source.batch_id = batch.batch_id
        new = self._not_booked(connection, source, found)
        source.seen_again += len(found) - len(new)
        source.booked += len(new)
        source.note_whether_read()
        save_source(connection, source)
        if not new:
            return
        with_rows(
            connection,
            "INSERT INTO batch_lines SELECT * FROM batch_rows",
            {
                "provider": pa.array([provider] * len(new)),
                "source_id": pa.array([source_id] * len(new)),
                "line_key": pa.array(list(new)),
                "custom_id": pa.array([frame.custom_id for frame, _ in new.values()]),
                "call_id": uuids([frame.call_id for frame, _ in new.values()]),
            },
        )
        self._save_named(connection, source, [frame for frame, _ in new.values()])
        custom_ids = [frame.custom_id for frame, _ in new.values()]
        owners = Owners(connection, batch, custom_ids, source)
        calls = [
            line_call(frame, evidence, batch, owners.of(frame.custom_id))
            for frame, evidence in new.values()
        ]
        if batch is not None and batch.settled_call_id is not None and not batch.is_superseded:
            first, *calls = calls
            self._supersede(connection, batch, first)
        self._append(calls)

    def _save_named(
        self, connection: Connection, source: Source, frames: Sequence[BatchResult]
    ) -> None:
        """Keep the owners that custom ids name, for when more is known of the batch."""
        named = [(one.custom_id, one.identity) for one in frames if one.identity is not None]
        if named:
            save_owners(connection, [BatchOwners(
                source_key(source.provider, source.source_id), frames[0].at_ns,
                tuple(identity for _, identity in named),
                tuple((custom_id, at) for at, (custom_id, _) in enumerate(named)),
            )])  # fmt: skip

    def _not_booked(
        self, connection: Connection, source: Source, found: list[Line]
    ) -> dict[str, Line]:
        """Return the lines that are new, by their key, in order."""
        new: dict[str, Line] = {}
        for frame, evidence in found:
            new.setdefault(line_key(frame), (frame, evidence))
        if source.booked:
            rows = with_rows(
                connection,
                "SELECT line_key FROM batch_lines SEMI JOIN batch_rows USING (line_key)"
                " WHERE provider = ? AND source_id = ?",
                {"line_key": pa.array(list(new))},
                [source.provider, source.source_id],
            )
            for (key,) in rows:
                del new[key]
        return new

    def _append(self, calls: Sequence[Call]) -> None:
        if not calls:
            return
        entries = Entries(self._cards.resolve, self._cards.uses_reported)
        entries.add(calls)
        self._cards.keep(entries.card_ids)
        for batch in entries.batches():
            self._store.append(batch.columns, batch.rows)

    def _supersede(self, connection: Connection, batch: ProviderBatch, call: Call) -> None:
        supersede(self._store, connection, self._cards, batch, call)
        batch.is_superseded = True
        save_batch(connection, batch)


def line_key(frame: BatchResult) -> str:
    """Return what tells a line from the others of its source.

    Custom ids are unique within a batch where the provider sees to that; the id of the answer
    tells apart what bears the same custom id nevertheless.
    """
    return f"{frame.custom_id}\n{frame.provider_response_id or ''}"

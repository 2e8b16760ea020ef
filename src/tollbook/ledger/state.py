"""What ingest must remember between two lives, kept in the ledger beside the entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pyarrow as pa

from tollbook.call import CallOpened, decode_frame, encode_frame
from tollbook.ledger.join import OpenCall, WriterBook
from tollbook.ledger.schema import UUID_ARROW
from tollbook.spool.reader import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from tollbook.ledger.join import Incident


def load_writers(connection: duckdb.DuckDBPyConnection) -> dict[str, WriterBook]:
    """Return every writer that was ever read, with its open calls."""
    writers = {}
    rows = connection.execute(
        'SELECT writer, segment, "offset", version, state, epoch_us(last_frame_at)'
        " FROM spool_positions"
    ).fetchall()
    for writer, segment, offset, version, state, last_us in rows:
        writers[writer] = WriterBook(
            Position(writer, segment, offset), state, version,
            None if last_us is None else last_us * 1000,
        )  # fmt: skip
    for writer, data, segment, offset in connection.execute(
        'SELECT writer, frame, segment, "offset" FROM open_calls ORDER BY writer, segment, "offset"'
    ).fetchall():
        opened = decode_frame(data)
        assert isinstance(opened, CallOpened)
        book = writers[writer]
        book.open_calls[opened.call_id] = OpenCall(opened, segment, offset)
        book.stored_open.add(opened.call_id)
    return writers


def save_writers(
    connection: duckdb.DuckDBPyConnection, writers: Iterable[WriterBook], now_us: int
) -> None:
    """Store the positions and open calls that changed; inside a transaction."""
    closed: list[tuple[str, bytes]] = []
    opened: list[tuple[str, bytes, bytes, int, int]] = []
    for book in writers:
        name, segment, offset = book.position
        connection.execute(
            "INSERT OR REPLACE INTO spool_positions VALUES"
            " (?, ?, ?, ?, make_timestamp(?), ?, make_timestamp(?))",
            [name, segment, offset, book.version, now_us, book.state,
             None if book.last_frame_ns is None else book.last_frame_ns // 1000],
        )  # fmt: skip
        closed += [(name, call_id) for call_id in book.stored_open - book.open_calls.keys()]
        opened += [
            (name, call_id, encode_frame(one.opened), one.segment, one.offset)
            for call_id, one in book.open_calls.items()
            if call_id not in book.stored_open
        ]
        for call_id in book.told_more & book.open_calls.keys():
            connection.execute(
                "UPDATE open_calls SET frame = ? WHERE writer = ? AND call_id = ?",
                [encode_frame(book.open_calls[call_id].opened), name, UUID(bytes=call_id)],
            )
    if closed:
        _with_rows(
            connection,
            "DELETE FROM open_calls WHERE (writer, call_id) IN"
            " (SELECT (writer, call_id) FROM moved)",
            [pa.array([row[0] for row in closed]), _uuids([row[1] for row in closed])],
            ["writer", "call_id"],
        )
    if opened:
        _with_rows(
            connection,
            "INSERT INTO open_calls SELECT * FROM moved",
            [pa.array([row[0] for row in opened]), _uuids([row[1] for row in opened]),
             pa.array([row[2] for row in opened], pa.binary()),
             pa.array([row[3] for row in opened], pa.int32()),
             pa.array([row[4] for row in opened], pa.int64())],
            ["writer", "call_id", "frame", "segment", "offset"],
        )  # fmt: skip


def mark_saved(writers: Iterable[WriterBook]) -> None:
    """Note, after the commit, that memory and store agree."""
    for book in writers:
        book.stored_open = set(book.open_calls)
        book.told_more.clear()
        book.is_dirty = False


def save_incidents(
    connection: duckdb.DuckDBPyConnection, incidents: Sequence[Incident], now_us: int
) -> None:
    """Store incidents; inside a transaction."""
    if incidents:
        _with_rows(
            connection,
            f"INSERT INTO incidents SELECT make_timestamp({now_us:d}), kind, writer, detail"  # noqa: S608 -- an integer
            " FROM moved",
            [pa.array([one.kind for one in incidents]),
             pa.array([one.writer for one in incidents]),
             pa.array([msgspec.json.encode(one.detail).decode() for one in incidents])],
            ["kind", "writer", "detail"],
        )  # fmt: skip


def load_progress(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Return until when everything is in, in microseconds since the epoch; None if not known."""
    rows = connection.execute("SELECT epoch_us(complete_until) FROM progress").fetchall()
    return rows[0][0] if rows else None


def save_progress(
    connection: duckdb.DuckDBPyConnection, complete_until_us: int | None, now_us: int
) -> None:
    """Store until when everything is in; inside a transaction."""
    values = [complete_until_us, now_us]
    changed = connection.execute(
        "UPDATE progress SET complete_until = make_timestamp(?), updated_at = make_timestamp(?)",
        values,
    ).fetchall()
    if changed == [(0,)]:
        connection.execute(
            "INSERT INTO progress VALUES (make_timestamp(?), make_timestamp(?))", values
        )


def _uuids(ids: Sequence[bytes]) -> Any:
    return pa.ExtensionArray.from_storage(UUID_ARROW, pa.array(ids, pa.binary(16)))


def _with_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, arrays: list[Any], names: list[str]
) -> None:
    connection.register("moved", pa.Table.from_arrays(arrays, names=names))
    try:
        connection.execute(sql)
    finally:
        connection.unregister("moved")

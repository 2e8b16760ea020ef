"""Books the calls that others than the gateway saw, each once, whoever tells of it how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.call import encode_frame
from tollbook.ledger.batch import Entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from tollbook.call import Call, SpanSeen
    from tollbook.ledger.cards import UsedCards
    from tollbook.ledger.store import Store

    Connection = duckdb.DuckDBPyConnection


class StitchBooks:
    """Part of the step that reads the spool; see :class:`tollbook.ledger.ingest.Ingester`."""

    def __init__(self, store: Store, cards: UsedCards) -> None:
        self._store, self._cards = store, cards

    def forget(self) -> None:
        """Forget what is known of the tables: a step was undone."""

    def book(
        self,
        connection: Connection,
        observed: Sequence[Call],
        spans: Sequence[SpanSeen],
        last_before: int,
        now_ns: int,
    ) -> None:
        """Take what one step read, after the gateway's calls; call inside the transaction.

        Args:
            connection: the transaction's.
            observed: calls that others than the gateway saw.
            spans: of traces.
            last_before: the last entry before this step; later ones are the gateway's new calls.
            now_ns: the wall clock.
        """
        del last_before
        new = self._new_calls(connection, observed)
        if new:
            entries = Entries(self._cards.resolve, self._cards.uses_reported)
            entries.add(new)
            self._cards.keep(entries.card_ids)
            for batch in entries.batches():
                self._store.append(batch.columns, batch.rows)
            self._remember(connection, new, now_ns)
        self._save_spans(connection, spans)

    def _new_calls(self, connection: Connection, observed: Sequence[Call]) -> list[Call]:
        by_id = {one.opened.call_id: one for one in observed}
        if not by_id:
            return []
        known = connection.execute(
            "SELECT call_id FROM observations WHERE call_id IN (SELECT unnest(?::UUID[]))",
            [[_uuid(one) for one in by_id]],
        ).fetchall()
        for (call_id,) in known:
            by_id.pop(call_id.bytes, None)
        return list(by_id.values())

    def _remember(self, connection: Connection, calls: Sequence[Call], now_ns: int) -> None:
        rows: list[list[Any]] = [
            [
                _uuid(one.opened.call_id), one.opened.observer, one.opened.provider,
                one.closed.provider_response_id, one.opened.trace_id, one.opened.span_id,
                one.opened.parent_span_id, one.opened.started_at_ns // 1000, now_ns // 1000,
                encode_frame(one.opened), encode_frame(one.closed),
            ]
            for one in calls
        ]  # fmt: skip
        connection.executemany(
            "INSERT INTO observations VALUES (?, ?, ?, ?, ?, ?, ?, make_timestamp(?),"
            " make_timestamp(?), ?, ?, 'charged', NULL, NULL)",
            rows,
        )

    def _save_spans(self, connection: Connection, spans: Sequence[SpanSeen]) -> None:
        if not spans:
            return
        last = {(one.trace_id, one.span_id): one for one in spans}
        connection.executemany(
            "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, make_timestamp(?), make_timestamp(?),"
            " make_timestamp(?), ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                [
                    one.trace_id, one.span_id, one.parent_span_id, one.name, one.kind,
                    one.observer, one.is_error, one.started_at_ns // 1000,
                    None if one.ended_at_ns is None else one.ended_at_ns // 1000,
                    one.at_ns // 1000, _json(one.identity),
                    None if one.call_id is None else _uuid(one.call_id),
                    _json(one.links) if one.links else None,
                ]
                for one in last.values()
            ],
        )  # fmt: skip


def _uuid(call_id: bytes) -> str:
    return call_id.hex()


def _json(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    return msgspec.json.encode(value).decode()

"""Books the calls that others than the gateway saw: each once, whoever tells of it how often.

Part of the step that reads the spool. What a step brings is looked at together with everything
that shares a trace or a provider's id with it (:mod:`scene`); rules that know no order say what all
of it is to be charged as (:mod:`decide`); and the difference to what is in force is booked
(:mod:`settle`). So the sums are the same in whatever order, in however many pieces, and how often
the frames came. A ledger that only a gateway writes to pays a look at the step's own entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.ledger.stitch.decide import decide
from tollbook.ledger.stitch.rows import (
    CHARGED,
    given,
    known_ids,
    save_observations,
    save_spans,
    sight_of,
    texts,
    times,
    update_states,
    uuids,
)
from tollbook.ledger.stitch.scene import load_scene
from tollbook.ledger.stitch.settle import Books, settle
from tollbook.ledger.stitch.sight import GATEWAY, RANKS, is_whole
from tollbook.ledger.stitch.touched import Touched

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from tollbook.call import Call, SpanSeen
    from tollbook.ledger.cards import UsedCards
    from tollbook.ledger.stitch.decide import Note
    from tollbook.ledger.stitch.rows import State
    from tollbook.ledger.stitch.scene import Start
    from tollbook.ledger.stitch.sight import Sight
    from tollbook.ledger.store import Store

    Connection = duckdb.DuckDBPyConnection

LATE_WINDOW_NS: Final = 168 * 3_600_000_000_000
RETAIN_NS: Final = 35 * 86_400_000_000_000
_MARGIN_US: Final = 86_400_000_000
_RETAIN_EVERY_NS: Final = 3_600_000_000_000


class StitchBooks:
    """Part of the step that reads the spool; see :class:`tollbook.ledger.ingest.Ingester`.

    Args:
        store: the open ledger.
        cards: prices.
        late_window_ns: how long after a call its owner may become known.
        retain_ns: how long spans and what observers said of calls are kept.
    """

    def __init__(
        self,
        store: Store,
        cards: UsedCards,
        *,
        late_window_ns: int = LATE_WINDOW_NS,
        retain_ns: int = RETAIN_NS,
    ) -> None:
        self._store, self._cards = store, cards
        self._late_window_us = late_window_ns // 1000
        self._retain_ns = retain_ns
        self._touched = Touched(self._late_window_us)
        self._retained_ns = 0

    def forget(self) -> None:
        """Forget what is known of the tables: a step was undone."""
        self._touched.forget()

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
        has_entries = self._store.last_entry_id > last_before
        if not (observed or spans or has_entries):
            return
        now_us = now_ns // 1000
        new, again = self._new_sights(connection, observed, now_us)
        save_spans(connection, spans)
        start = self._touched.by(connection, new, spans, last_before if has_entries else None,
                                 now_us)  # fmt: skip
        if start is not None:
            self._stitch(connection, start, again)
        self._retain(connection, now_ns)

    def _stitch(self, connection: Connection, start: Start, again: set[bytes]) -> None:
        scene = load_scene(connection, start)
        decision = decide(scene, self._late_window_us)
        fresh = {one.call_id for one in start.new}
        states = decision.states
        save_observations(connection, start.new, states)
        update_states(connection, {
            call_id: state
            for call_id, state in states.items()
            if scene.states.get(call_id, state) != state
        })  # fmt: skip
        unbooked = fresh - again
        gone = {
            call_id: why
            for call_id, why in decision.gone.items()
            if call_id in again or _is_charged(scene.states.get(call_id))
        }
        # What is told anew may have begun at another time by another clock.
        since_us, until_us = scene.since_us - _MARGIN_US, scene.until_us + _MARGIN_US
        books = Books(self._store, self._cards, connection, since_us, until_us)
        settle(books, decision.wanted, gone, unbooked)
        _save_notes(connection, scene.sights, decision.notes)

    def _new_sights(
        self, connection: Connection, observed: Sequence[Call], now_us: int
    ) -> tuple[list[Sight], set[bytes]]:
        """Return the calls that are new, and which of them are told anew.

        The same id may be told of twice: by an SDK and by the span that it has sent, or in part
        and then whole. Of the two the better is kept, whichever comes first.
        """
        by_id: dict[bytes, Call] = {}
        for one in observed:
            kept = by_id.get(one.opened.call_id)
            if kept is None or _worth(one) > _worth(kept):
                by_id[one.opened.call_id] = one
        again: set[bytes] = set()
        for call_id, (was_whole, rank) in known_ids(connection, by_id).items() if by_id else ():
            if _worth(by_id[call_id]) > (was_whole, -rank):
                again.add(call_id)
            else:
                del by_id[call_id]
        return [sight_of(one, now_us) for one in by_id.values()], again

    def _retain(self, connection: Connection, now_ns: int) -> None:
        """Delete what is older than it is kept; the ids of calls stay, so that none comes twice."""
        if not self._touched.is_active or now_ns - self._retained_ns < _RETAIN_EVERY_NS:
            return
        self._retained_ns = now_ns
        until = [(now_ns - self._retain_ns) // 1000]
        connection.execute(
            "UPDATE observations SET opened = NULL, closed = NULL"
            " WHERE opened IS NOT NULL AND seen_at < make_timestamp(?)", until
        )  # fmt: skip
        for table, column in (("spans", "seen_at"), ("span_links", "seen_at")):
            connection.execute(
                f"DELETE FROM {table} WHERE {column} < make_timestamp(?)", until  # noqa: S608 -- constants
            )  # fmt: skip


def _worth(call: Call) -> tuple[bool, int]:
    """Return whether a telling has all of its call, and how much its observer is trusted."""
    return is_whole(call), -RANKS[call.opened.observer or GATEWAY]


def _is_charged(state: State | None) -> bool:
    return state is not None and state.state in CHARGED


def _save_notes(connection: Connection, sights: Sequence[Sight], notes: Sequence[Note]) -> None:
    """Write what is to be said of the calls of a scene now."""
    with given(connection, {"call_id": uuids(one.call_id for one in sights)}):
        connection.execute(
            "DELETE FROM stitch_notes WHERE call_id IN (SELECT call_id FROM given)"
        )  # fmt: skip
    if not notes:
        return
    columns = {
        "call_id": uuids(one.call_id for one in notes), "kind": texts(one.kind for one in notes),
        "called_at": times(one.called_us for one in notes),
        "detail": texts(one.detail for one in notes),
    }  # fmt: skip
    with given(connection, columns):
        connection.execute("INSERT INTO stitch_notes SELECT * FROM given")

"""All that is known around what a step brought: calls, spans, and what became of them so far.

From the new calls and traces on, everything that shares an id or a trace with them is loaded, and
what shares one with that, until nothing is added. So the rules see whole groups, and what comes of
them does not depend on the order of arrival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.ledger.late_table import LATE_USAGE
from tollbook.ledger.rebuild import rows_of
from tollbook.ledger.stitch.match import STRONG_GAP_US, WEAK_GAP_US
from tollbook.ledger.stitch.restore import (
    CALL_COLUMNS,
    whole_call,
    with_owner_of,
    with_usage_of,
)
from tollbook.ledger.stitch.rows import (
    Stored,
    given,
    linked_traces,
    observed_where,
    spans_of,
    texts,
    times,
    uuids,
)
from tollbook.ledger.stitch.sight import GATEWAY, RANKS, Sight, is_strong
from tollbook.ledger.stitch.trails import Trails

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from tollbook.call import Call
    from tollbook.ledger.stitch.rows import State

    Connection = duckdb.DuckDBPyConnection

_LONG_CALL_US: Final = 3_600_000_000
_ROUNDS_MAX: Final = 64
_DAY_US: Final = 86_400_000_000
OWNER_KNOWN: Final = "the owner of the batch's line became known"
_BOUNDS: Final = "called_at >= make_timestamp({0}) AND called_at <= make_timestamp({1})"


class Scene(NamedTuple):
    """What the rules are applied to."""

    sights: list[Sight]
    states: dict[bytes, State]
    """What became of the observed calls that were stored before."""
    trails: Trails
    since_us: int
    until_us: int
    """All calls started in this time."""


class Start(NamedTuple):
    """What a step brought."""

    new: Sequence[Sight]
    call_ids: set[bytes]
    """Stored observations to look at again."""
    traces: set[str]
    since_us: int
    until_us: int
    """When the spans of the traces started."""


def load_scene(connection: Connection, start: Start) -> Scene:
    """Return what is known around what a step brought."""
    return _Loader(connection, start).run()


class _Loader:
    def __init__(self, connection: Connection, start: Start) -> None:
        self._connection = connection
        self._new = {one.call_id: one for one in start.new}
        self._stored: dict[bytes, Stored] = {}
        self._booked: dict[bytes, Sight] = {}
        self._start = start
        self._traces: set[str] = set()
        self._ids: set[str] = set()
        self._since_us, self._until_us = start.since_us, start.until_us

    def run(self) -> Scene:
        front: list[Sight] = list(self._new.values())
        self._widen(front)
        front += self._take(
            "one.call_id IN (SELECT call_id FROM given)", {"call_id": uuids(self._start.call_ids)}
        ) if self._start.call_ids else []  # fmt: skip
        traces = set(self._start.traces)
        for _ in range(_ROUNDS_MAX):
            traces |= {one for sight in front if (one := sight.call.opened.trace_id) is not None}
            traces -= self._traces
            if not front and not traces:
                break
            self._traces |= traces
            found = self._of_traces(traces) if traces else []
            found += self._of_ids(front)
            traces = linked_traces(self._connection, traces) if traces else set()
            front = found
        late = self._late_usage()
        sights = [
            *self._new.values(),
            *(one.sight for one in self._stored.values()),
            *self._booked.values(),
        ]
        sights = [
            one._replace(call=with_usage_of(one.call, late[one.call_id]))
            if one.call_id in late and not one.is_frozen else one
            for one in sights
        ]  # fmt: skip
        return Scene(
            sights,
            {call_id: one.state for call_id, one in self._stored.items()},
            Trails(spans_of(self._connection, self._traces) if self._traces else {}, sights),
            self._since_us, self._until_us,
        )  # fmt: skip

    def _widen(self, sights: Iterable[Sight]) -> None:
        for one in sights:
            self._since_us = min(self._since_us, one.start_us)
            self._until_us = max(self._until_us, one.start_us)

    def _take(self, condition: str, columns: dict[str, Any]) -> list[Sight]:
        """Load the observations that a condition picks; return those that were not known."""
        found = [
            one
            for one in observed_where(self._connection, condition, columns)
            if one.sight.call_id not in self._stored and one.sight.call_id not in self._new
        ]
        self._stored |= {one.sight.call_id: one for one in found}
        sights = [one.sight for one in found]
        self._widen(sights)
        return sights

    def _of_traces(self, traces: set[str]) -> list[Sight]:
        columns = {"trace_id": texts(sorted(traces))}
        found = self._take("one.trace_id IN (SELECT trace_id FROM given)", columns)
        return found + self._book_of("trace_id IN (SELECT trace_id FROM given)", columns, _DAY_US)

    def _of_ids(self, front: Sequence[Sight]) -> list[Sight]:
        found: list[Sight] = []
        strong, weak = self._wanted(front)
        if strong:
            columns = {"id": texts(strong)}
            condition = (
                "{0}provider_response_id IN (SELECT id FROM given)"
                " OR {0}provider_request_id IN (SELECT id FROM given)"
            )
            found += self._take(condition.format("one."), columns)
            found += self._book_of(condition.format(""), columns, STRONG_GAP_US)
        if weak:
            columns = {
                "id": texts(one for one, _, _ in weak),
                "since": times(one for _, one, _ in weak), "til": times(one for _, _, one in weak),
            }  # fmt: skip
            condition = (
                "EXISTS (SELECT 1 FROM given WHERE given.id = {0}.provider_response_id"
                " AND {0}.called_at >= given.since AND {0}.called_at <= given.til)"
            )
            found += self._take(condition.format("one"), columns)
            found += self._book_of(condition.format("entries"), columns, STRONG_GAP_US)
        members = [one.call_id for one in front if one.call_id not in self._new]
        if members:
            # Whatever was one call before is looked at as a whole.
            leads = [
                one.state.charged_as
                for call_id in members
                if (one := self._stored.get(call_id)) is not None and one.state.charged_as
            ]
            columns = {"call_id": uuids(dict.fromkeys([*members, *leads]))}
            found += self._take(
                "one.call_id IN (SELECT call_id FROM given)"
                " OR one.charged_as IN (SELECT call_id FROM given)",
                columns,
            )
            found += self._book_of("call_id IN (SELECT call_id FROM given)", columns, _DAY_US)
        return found

    def _wanted(self, front: Sequence[Sight]) -> tuple[list[str], list[tuple[str, int, int]]]:
        strong, weak = [], []
        for one in front:
            closed = one.call.closed
            response_id, request_id = closed.provider_response_id, closed.provider_request_id
            for value in (response_id, request_id):
                if value and value not in self._ids and is_strong(value):
                    self._ids.add(value)
                    strong.append(value)
            if response_id and not is_strong(response_id):
                since_us = one.start_us - WEAK_GAP_US - _LONG_CALL_US
                weak.append((response_id, since_us, one.end_us + WEAK_GAP_US))
        return strong, weak

    def _book_of(self, condition: str, columns: dict[str, Any], margin_us: int) -> list[Sight]:
        """Load calls from the ledger: the gateway's, and others whose details are gone."""
        bounds = _BOUNDS.format(self._since_us - margin_us, self._until_us + margin_us)
        with given(self._connection, columns):
            found = self._connection.execute(
                f"SELECT DISTINCT call_id, observer IS NULL FROM entries WHERE {bounds}"  # noqa: S608 -- constants and numbers
                f" AND kind = 'charge' AND part = 0 AND metering <> 'free' AND ({condition})"
            ).fetchall()
        known = self._booked.keys() | self._stored.keys() | self._new.keys()
        ids = {call_id.bytes: is_own for call_id, is_own in found if call_id.bytes not in known}
        sights: list[Sight] = []
        others = [call_id for call_id, is_own in ids.items() if not is_own]
        if others:
            by_id = "one.call_id IN (SELECT call_id FROM given)"
            sights += self._take(by_id, {"call_id": uuids(others)})
        wanted = [call_id for call_id in ids if call_id not in self._stored]
        if wanted:
            booked = self._booked_calls(wanted, bounds)
            self._booked |= {one.call_id: one for one in booked}
            self._widen(booked)
            sights += booked
        return sights

    def _booked_calls(self, ids: Sequence[bytes], bounds: str) -> list[Sight]:
        with given(self._connection, {"id": uuids(ids)}):
            table = self._connection.sql(
                f"SELECT {', '.join(CALL_COLUMNS)} FROM entries WHERE {bounds}"  # noqa: S608 -- constants and numbers
                " AND kind = 'charge' AND part = 0 AND call_id IN (SELECT id FROM given)"
                " ORDER BY entry_id"
            ).to_arrow_table()
            pinned = self._connection.execute(
                "SELECT call_id FROM observations WHERE opened IS NULL"
                " AND call_id IN (SELECT id FROM given) UNION SELECT charged_as"
                " FROM observations WHERE opened IS NULL AND charged_as IN (SELECT id FROM given)"
            ).fetchall()
        frozen = {call_id.bytes for (call_id,) in pinned}
        rows: dict[bytes, list[dict[str, Any]]] = {}
        for row in rows_of(table):
            rows.setdefault(row["call_id"], []).append(row)
        sights = []
        for call_id, charges in rows.items():
            call = _as_seen(charges, is_frozen=call_id in frozen)
            rank = RANKS[call.opened.observer or GATEWAY]
            # The gateway tells of a call when it ends.
            sight = Sight(call, rank, 0, call_id in frozen)
            sights.append(sight._replace(seen_us=sight.end_us))
        return sights

    def _late_usage(self) -> dict[bytes, dict[str, Any]]:
        """Return the entries of observed calls whose usage another call has shown."""
        ids = [*self._stored]
        if not ids:
            return {}
        bounds = _BOUNDS.format(self._since_us, self._until_us)
        with given(self._connection, {"id": uuids(ids)}):
            table = self._connection.sql(
                f"SELECT {', '.join(CALL_COLUMNS)} FROM entries WHERE {bounds} AND part = 0"  # noqa: S608 -- constants and numbers
                " AND kind = 'charge' AND starts_with(reason, $late)"
                " AND call_id IN (SELECT id FROM given) ORDER BY entry_id",
                params={"late": LATE_USAGE},
            ).to_arrow_table()
        return {row["call_id"]: row for row in rows_of(table)}


def _as_seen(charges: Sequence[dict[str, Any]], *, is_frozen: bool) -> Call:
    """Return a call as it was booked first, with what others than stitching have corrected."""
    if is_frozen:
        return whole_call(charges[-1])
    call = whole_call(charges[0])
    for row in charges[1:]:
        reason = row["reason"] or ""
        if reason.startswith(LATE_USAGE):
            call = with_usage_of(call, row)
        elif reason == OWNER_KNOWN:
            call = with_owner_of(call, row)
    return call

"""Rows of the stitching tables, read and written in bulk; all inside the step's transaction."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import pyarrow as pa
from msgspec.structs import replace

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, encode_frame
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW
from tollbook.ledger.stitch.sight import GATEWAY, RANKS, Sight, is_whole
from tollbook.ledger.stitch.trails import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from uuid import UUID

    import duckdb

    from tollbook.call import SpanSeen
    from tollbook.ledger.stitch.sight import SpanKey

    Connection = duckdb.DuckDBPyConnection

_VIEW: Final = "given"
_decode_opened: Final = msgspec.msgpack.Decoder(CallOpened).decode
_decode_closed: Final = msgspec.msgpack.Decoder(CallClosed).decode
_decode_links: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_encode: Final = msgspec.json.encode
_TIMES_MAX_US: Final = 2**55
_DAY_US: Final = 86_400_000_000


CHARGED: Final = frozenset(["charged", "aggregate"])
"""States of observed calls that are entries of their own."""


class State(NamedTuple):
    """What became of an observed call."""

    state: str  # see tables
    charged_as: bytes | None = None
    detail: str | None = None


class Stored(NamedTuple):
    """An observation with what became of it."""

    sight: Sight
    state: State


@contextmanager
def given(connection: Connection, columns: dict[str, Any]) -> Iterator[str]:
    """Make columns readable as a table, whose name is returned."""
    connection.register(_VIEW, pa.table(columns))
    try:
        yield _VIEW
    finally:
        connection.unregister(_VIEW)


def uuids(values: Iterable[bytes | None]) -> Any:
    """Return ids as a column."""
    return pa.ExtensionArray.from_storage(UUID_ARROW, pa.array(values, pa.binary(16)))


def times(values: Iterable[int | None]) -> Any:
    """Return microseconds since the epoch as a column."""
    held = [None if one is None else max(-_TIMES_MAX_US, min(one, _TIMES_MAX_US)) for one in values]
    return pa.array(held, pa.int64()).cast(TIME_ARROW)


def texts(values: Iterable[str | None]) -> Any:
    """Return texts as a column."""
    return pa.array(list(values), pa.string())


_OBSERVED: Final = (
    'SELECT one.call_id, epoch_us(one.seen_at), one.writer, one.segment, one."offset",'
    " one.version, one.opened, one.closed, one.state, one.charged_as, one.detail"
    " FROM observations AS one"
)  # fmt: skip


def observed_where(connection: Connection, condition: str, columns: dict[str, Any]) -> list[Stored]:
    """Return the observations, with their details, that a condition on ``given`` picks."""
    with given(connection, columns):
        found = connection.execute(
            f"{_OBSERVED} WHERE one.opened IS NOT NULL AND ({condition})"
        ).fetchall()
    return [_stored(*row) for row in found]


def _stored(
    call_id: UUID, seen_us: int, writer: str | None, segment: int | None, offset: int | None,
    version: str | None, opened: bytes, closed: bytes, state: str, charged_as: UUID | None,
    detail: str | None,
) -> Stored:  # fmt: skip
    del call_id
    evidence = Evidence(writer or "", segment or 0, offset or 0, version or "")
    call = Call(_decode_opened(opened), _decode_closed(closed), evidence)
    return Stored(
        sight_of(call, seen_us),
        State(state, None if charged_as is None else charged_as.bytes, detail),
    )


def sight_of(call: Call, seen_us: int) -> Sight:
    """Return a call as a sight."""
    return Sight(call, RANKS[call.opened.observer or GATEWAY], seen_us)


def known_ids(connection: Connection, calls: dict[bytes, Call]) -> dict[bytes, tuple[bool, int]]:
    """Return which of the calls are known already.

    Returns:
        Whether each was told of in whole, and the rank of who told of it. One that bears the id of
        a call of the gateway is that call: nothing can be added to it.
    """
    starts = [one.opened.started_at_ns // 1000 for one in calls.values()]
    bounds = [min(starts) - _DAY_US, max(starts) + _DAY_US]
    with given(connection, {"call_id": uuids(calls)}):
        found = connection.execute(
            "SELECT call_id, is_whole, observer FROM observations JOIN given USING (call_id)"
            " UNION ALL SELECT DISTINCT call_id, true, ? FROM entries JOIN given USING (call_id)"
            " WHERE called_at >= make_timestamp(?) AND called_at <= make_timestamp(?)"
            " AND observer IS NULL",
            [GATEWAY, *bounds],
        ).fetchall()
    return {call_id.bytes: (is_whole, RANKS[observer]) for call_id, is_whole, observer in found}


def save_observations(
    connection: Connection, sights: Sequence[Sight], states: dict[bytes, State]
) -> None:
    """Write sights that are new, or take the place of one that did not tell all."""
    if not sights:
        return
    opened = [one.call.opened for one in sights]
    closed = [one.call.closed for one in sights]
    evidence = [one.call.evidence for one in sights]
    became = [states[one.call_id] for one in sights]
    columns = {
        "call_id": uuids(one.call_id for one in sights),
        "observer": texts(one.observer for one in sights),
        "provider": texts(one.provider for one in opened),
        "provider_response_id": texts(one.provider_response_id for one in closed),
        "provider_request_id": texts(one.provider_request_id for one in closed),
        "trace_id": texts(one.trace_id for one in opened),
        "span_id": texts(one.span_id for one in opened),
        "parent_span_id": texts(one.parent_span_id for one in opened),
        "called_at": times(one.start_us for one in sights),
        "seen_at": times(one.seen_us for one in sights),
        "is_whole": pa.array([is_whole(one.call) for one in sights]),
        "writer": texts(one.writer for one in evidence),
        "segment": pa.array([one.segment for one in evidence], pa.int32()),
        "offset": pa.array([one.offset for one in evidence], pa.int64()),
        "version": texts(one.version for one in evidence),
        "opened": pa.array([encode_frame(one) for one in opened], pa.binary()),
        "closed": pa.array([encode_frame(one) for one in closed], pa.binary()),
        "state": texts(one.state for one in became),
        "charged_as": uuids(one.charged_as for one in became),
        "detail": texts(one.detail for one in became),
    }
    with given(connection, columns):
        connection.execute("INSERT OR REPLACE INTO observations BY NAME SELECT * FROM given")


def update_states(connection: Connection, states: dict[bytes, State]) -> None:
    """Write what became of stored observations."""
    if not states:
        return
    columns = {
        "call_id": uuids(states),
        "state": texts(one.state for one in states.values()),
        "charged_as": uuids(one.charged_as for one in states.values()),
        "detail": texts(one.detail for one in states.values()),
    }
    with given(connection, columns):
        connection.execute(
            "UPDATE observations SET state = given.state, charged_as = given.charged_as,"
            " detail = given.detail FROM given WHERE observations.call_id = given.call_id"
        )


_SAVE_SPANS: Final = (
    "INSERT INTO spans BY NAME SELECT * FROM given ON CONFLICT DO UPDATE SET"  # noqa: S608 -- constants
    " seen_at = CASE WHEN spans.identity IS NULL AND excluded.identity IS NOT NULL"
    " THEN excluded.seen_at ELSE spans.seen_at END, "
    + ", ".join(
        f"{name} = coalesce(spans.{name}, excluded.{name})"
        for name in ("parent_span_id", "ended_at", "identity", "call_id", "links")
    )
    + ", is_error = spans.is_error OR excluded.is_error"
)


def _completed(one: SpanSeen, more: SpanSeen) -> SpanSeen:
    is_later = one.identity is None and more.identity is not None
    return replace(
        one,
        at_ns=more.at_ns if is_later else one.at_ns,
        parent_span_id=one.parent_span_id or more.parent_span_id,
        ended_at_ns=more.ended_at_ns if one.ended_at_ns is None else one.ended_at_ns,
        is_error=one.is_error or more.is_error,
        identity=one.identity or more.identity,
        call_id=one.call_id or more.call_id,
        links=one.links or more.links,
    )


def save_spans(connection: Connection, spans: Sequence[SpanSeen]) -> None:
    """Write spans; of what is told twice the first word is kept, and what it left out added."""
    if not spans:
        return
    told: dict[SpanKey, SpanSeen] = {}
    for one in spans:
        before = told.get((one.trace_id, one.span_id))
        told[one.trace_id, one.span_id] = one if before is None else _completed(before, one)
    kept = list(told.values())
    columns = {
        "trace_id": texts(one.trace_id for one in kept),
        "span_id": texts(one.span_id for one in kept),
        "parent_span_id": texts(one.parent_span_id for one in kept),
        "name": texts(one.name for one in kept),
        "kind": texts(one.kind.value for one in kept),
        "observer": texts(one.observer.value for one in kept),
        "is_error": pa.array([one.is_error for one in kept]),
        "started_at": times(one.started_at_ns // 1000 for one in kept),
        "ended_at": times(None if one.ended_at_ns is None else one.ended_at_ns // 1000
                          for one in kept),
        "seen_at": times(one.at_ns // 1000 for one in kept),
        "identity": texts(_identity_text(one.identity) for one in kept),
        "call_id": uuids(one.call_id for one in kept),
        "links": texts(_encode(one.links).decode() if one.links else None for one in kept),
    }  # fmt: skip
    with given(connection, columns):
        connection.execute(_SAVE_SPANS)
    linked = [
        (one.trace_id, trace_id, one.at_ns // 1000)
        for one in kept
        for trace_id in {link.partition(":")[0] for link in one.links}
        if trace_id != one.trace_id
    ]
    if linked:
        trace_ids, others, seen = zip(*linked, strict=True)
        pairs = {"trace_id": texts(trace_ids), "linked": texts(others), "seen_at": times(seen)}
        with given(connection, pairs):
            connection.execute("INSERT INTO span_links SELECT trace_id, linked, seen_at FROM given")


def _identity_text(identity: Identity | None) -> str | None:
    """Return an identity as a JSON object by field, for JSON functions to read."""
    if identity is None:
        return None
    return _encode(msgspec.structs.asdict(identity)).decode()


class _StoredIdentity(msgspec.Struct, frozen=True):
    """The fields of a stored identity that others inherit."""

    tenant_id: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    cost_center: str | None = None
    feature: str | None = None
    workflow_id: str | None = None
    agent_run_id: str | None = None
    workflow_step: str | None = None
    environment: str | None = None
    request_origin: str | None = None
    request_id: str | None = None
    sources: dict[str, str] = {}


_decode_stored: Final = msgspec.json.Decoder(_StoredIdentity).decode


def spans_of(connection: Connection, trace_ids: Iterable[str]) -> dict[SpanKey, Span]:
    """Return the spans of traces."""
    with given(connection, {"trace_id": texts(trace_ids)}):
        found = connection.execute(
            "SELECT trace_id, span_id, parent_span_id, identity, epoch_us(seen_at), links"
            " FROM spans JOIN given USING (trace_id)"
        ).fetchall()
    return {
        (trace_id, span_id): Span(
            None if parent is None else (trace_id, parent),
            None if identity is None else identity_of(identity),
            seen_us,
            () if links is None else link_keys(_decode_links(links)),
        )
        for trace_id, span_id, parent, identity, seen_us, links in found
    }


def identity_of(text: str) -> Identity:
    """Return a stored identity, as far as others inherit it."""
    stored = _decode_stored(text)
    return Identity(**msgspec.structs.asdict(stored))


def link_keys(links: Iterable[str]) -> tuple[SpanKey, ...]:
    """Return links, ``trace_id:span_id`` each, as keys of spans."""
    return tuple(
        (trace_id, span_id) for trace_id, _, span_id in (one.partition(":") for one in links)
    )


def linked_traces(connection: Connection, trace_ids: Iterable[str]) -> set[str]:
    """Return the traces that these link to, or that link to these."""
    with given(connection, {"trace_id": texts(trace_ids)}):
        found = connection.execute(
            "SELECT linked_trace_id FROM span_links WHERE trace_id IN (SELECT trace_id FROM given)"
            " UNION SELECT trace_id FROM span_links WHERE linked_trace_id IN"
            " (SELECT trace_id FROM given)"
        ).fetchall()
    return {one for (one,) in found}

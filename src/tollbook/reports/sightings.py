"""What each observer other than the gateway said of one call."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.call import CallClosed, CallOpened
from tollbook.reports.calls import plain

if TYPE_CHECKING:
    from tollbook.reports.reader import Reader

_COLUMNS: Final = (
    "call_id, observer, state, seen_at, detail, trace_id, span_id, parent_span_id, opened, closed"
)
_MAX: Final = 100
_decode_opened: Final = msgspec.msgpack.Decoder(CallOpened).decode
_decode_closed: Final = msgspec.msgpack.Decoder(CallClosed).decode


class Sighting(Struct, frozen=True, kw_only=True):
    """One observer's word; what is no longer kept is None."""

    observer: str
    call_id: str
    """The id it gave the call."""
    state: str
    """``charged``, ``aggregate``, ``stitched``, ``wrapper`` or ``covered``."""
    matched_by: str | None
    seen_at: str
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    tenant_id: str | None
    provider: str | None
    model: str | None
    status: str | None
    usage_raw: list[str]


def charged_as(reader: Reader, wanted: str) -> str | None:
    """Return the id of the call that an observed call is charged as, None for any other id."""
    try:
        call_id = uuid.UUID(wanted)
    except ValueError:
        return None
    found = reader.fetch("SELECT charged_as FROM observations WHERE call_id = ?", [call_id])
    return str(found[0][0]) if found and found[0][0] is not None else None


def sightings_of(reader: Reader, call_id: str) -> list[Sighting]:
    """Return what was told of a call, and of the spans around it that repeat it."""
    wanted = uuid.UUID(call_id)
    rows = reader.fetch(
        f"SELECT {_COLUMNS} FROM observations WHERE call_id = ? OR charged_as = ?"  # noqa: S608 -- constants
        f" ORDER BY seen_at, call_id LIMIT {_MAX}",
        [wanted, wanted],
    )
    return [_sighting(*row) for row in rows]


def _sighting(
    call_id: Any, observer: str, state: str, seen_at: Any, detail: str | None,
    trace_id: str | None, span_id: str | None, parent_span_id: str | None,
    opened: bytes | None, closed: bytes | None,
) -> Sighting:  # fmt: skip
    first = None if opened is None else _decode_opened(opened)
    last = None if closed is None else _decode_closed(closed)
    return Sighting(
        observer=observer,
        call_id=plain(call_id),
        state=state,
        matched_by=None if detail is None else msgspec.json.decode(detail).get("by"),
        seen_at=plain(seen_at),
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        tenant_id=None if first is None else first.identity.tenant_id,
        provider=None if first is None else first.provider,
        model=_model(first, last),
        status=None if last is None else last.status.value,
        usage_raw=[]
        if last is None
        else [raw.decode(errors="backslashreplace") for raw in last.usage],
    )


def _model(opened: CallOpened | None, closed: CallClosed | None) -> str | None:
    actual = None if closed is None else closed.model_actual
    return actual or (None if opened is None else opened.model_requested)

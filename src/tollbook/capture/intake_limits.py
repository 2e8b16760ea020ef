"""What a frame from outside may hold: bounded in every text, number and list.

The spool and the ledger trust their own frames. What comes over the network must be no more than
what a frame of the gateway could have been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook import clock
from tollbook.call import CallClosed, CallOpened, SpanSeen, encode_frame
from tollbook.layers import Section

if TYPE_CHECKING:
    from tollbook.call import Frame

MAX_FRAME_BYTES: Final = 512 * 1024
MAX_TEXT_CHARS: Final = 2048
MAX_USAGE_BYTES: Final = 384 * 1024
_MAX_ITEMS: Final = 512
_MAX_DEPTH: Final = 4
_INT_MAX: Final = 2**63 - 1
_ID_BYTES: Final = 16
_OLDEST_NS: Final = 1_420_070_400 * clock.NS_PER_S
"""2015: no model was sold by the token before it."""
_AHEAD_NS: Final = 24 * 3600 * clock.NS_PER_S
_TRACE_DIGITS: Final = 32
_SPAN_DIGITS: Final = 16
_HEX: Final = frozenset("0123456789abcdef")
_KNOWN_SECTIONS: Final = frozenset(int(one) for one in Section)


def problem_of(frame: Frame, now_ns: int) -> str | None:  # noqa: PLR0911 -- one return for each rule
    """Return why a frame is refused, in words for its sender; None when it is taken.

    Args:
        frame: a CallOpened, CallClosed or SpanSeen; any other is refused.
        now_ns: the wall clock; clocks elsewhere may be a day ahead.
    """
    if not isinstance(frame, (CallOpened, CallClosed, SpanSeen)):
        return f"{type(frame).__name__} frames are not taken"
    found = _problem_in(frame, "", 0)
    if found is not None:
        return found
    if isinstance(frame, SpanSeen):
        return _problem_of_span(frame, now_ns)
    if len(frame.call_id) != _ID_BYTES:
        return f"call_id has {len(frame.call_id)} bytes, expected {_ID_BYTES}"
    if isinstance(frame, CallClosed):
        if sum(map(len, frame.usage)) > MAX_USAGE_BYTES:
            return f"usage is larger than {MAX_USAGE_BYTES} bytes"
        return _problem_of_time("closed_at_ns", frame.closed_at_ns, now_ns)
    if not frame.provider or not frame.dialect:
        return "provider and dialect must be named"
    if frame.layers is not None and (
        len(frame.layers) % 2 or not _KNOWN_SECTIONS.issuperset(frame.layers[::2])
    ):
        return "layers are not pairs of a known section and a weight"
    if len(encode_frame(frame)) > MAX_FRAME_BYTES:
        return f"the frame is larger than {MAX_FRAME_BYTES} bytes"
    return _problem_of_time("started_at_ns", frame.started_at_ns, now_ns)


def _problem_of_span(frame: SpanSeen, now_ns: int) -> str | None:
    if not _is_hex(frame.trace_id, _TRACE_DIGITS) or not _is_hex(frame.span_id, _SPAN_DIGITS):
        return "trace_id and span_id must be 32 and 16 lower-case hex digits"
    if frame.call_id is not None and len(frame.call_id) != _ID_BYTES:
        return f"call_id has {len(frame.call_id)} bytes, expected {_ID_BYTES}"
    if len(encode_frame(frame)) > MAX_FRAME_BYTES:
        return f"the frame is larger than {MAX_FRAME_BYTES} bytes"
    return _problem_of_time("started_at_ns", frame.started_at_ns, now_ns)


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.issuperset(text)


def _problem_of_time(field: str, at_ns: int, now_ns: int) -> str | None:
    if at_ns < _OLDEST_NS:
        return f"{field} is before 2015; expected nanoseconds since 1970, UTC"
    if at_ns > now_ns + _AHEAD_NS:
        return f"{field} is more than a day ahead of the receiver's clock"
    return None


def _problem_in(value: Any, where: str, depth: int) -> str | None:  # noqa: C901, PLR0911 -- by type
    """Look at all that a value holds."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(value) > MAX_TEXT_CHARS:
            return f"{where} has more than {MAX_TEXT_CHARS} characters"
        return None if value.isprintable() else f"{where} holds a control character"
    if isinstance(value, int):
        return None if 0 <= value <= _INT_MAX else f"{where} is not between 0 and 2^63-1"
    if isinstance(value, bytes):
        return None if len(value) <= MAX_USAGE_BYTES else f"{where} is too large"
    if depth > _MAX_DEPTH:
        return f"{where} is nested too deeply"
    if isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            found = _problem_in(getattr(value, field), field, depth + 1)
            if found is not None:
                return found
        return None
    items = (*value.keys(), *value.values()) if isinstance(value, dict) else value
    if len(items) > _MAX_ITEMS:
        return f"{where} has more than {_MAX_ITEMS} items"
    for one in items:
        found = _problem_in(one, where, depth + 1)
        if found is not None:
            return found
    return None

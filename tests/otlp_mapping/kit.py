"""Spans for tests, and what they come to as calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.call import Call, CallClosed, CallOpened, Evidence, SpanSeen, decode_frame
from tollbook.call import encode_frame as encode
from tollbook.capture.otlp.mapping import frames_of
from tollbook.capture.otlp.spans import Span
from tollbook.ledger.charge import measure

if TYPE_CHECKING:
    from tollbook.call import Frame
    from tollbook.dialects.base import Measured

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
AT_NS = 1_793_000_000_000_000_000
RECEIVED_NS = AT_NS + 60_000_000_000


def a_span(attributes: dict[str, Any], **changes: Any) -> Span:
    """Return a span of a second with these attributes."""
    known: dict[str, Any] = {
        "trace_id": TRACE, "span_id": SPAN, "name": "a span", "attributes": attributes,
        "started_at_ns": AT_NS, "ended_at_ns": AT_NS + 1_000_000_000,
    }  # fmt: skip
    return Span(**(known | changes))


def a_chat(**attributes: Any) -> dict[str, Any]:
    """Return attributes of a chat by today's conventions; ``__`` in a name stands for a dot."""
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
    } | named


def call_in(frames: list[Frame]) -> Call:
    """Return the call that frames tell of, as it comes out of the spool."""
    read = [decode_frame(encode(one)) for one in frames]
    seen, opened, closed = read
    assert isinstance(seen, SpanSeen)
    assert isinstance(opened, CallOpened)
    assert isinstance(closed, CallClosed)
    assert seen.call_id == opened.call_id == closed.call_id
    return Call(opened, closed, Evidence("w", 1, 0, ""))


def call_of(attributes: dict[str, Any], **changes: Any) -> Call:
    """Return the call that a span is."""
    return call_in(frames_of(a_span(attributes, **changes), RECEIVED_NS))


def measured_of(attributes: dict[str, Any], **changes: Any) -> Measured:
    """Return the usage of the call that a span is."""
    return measure(call_of(attributes, **changes))


def told(measured: Measured) -> dict[str, int]:
    """Return the kinds that are not zero, but for the request itself."""
    assert measured.kinds is not None, measured.problems
    return {name: n for name, n in measured.kinds._asdict().items() if n and name != "requests"}

"""A span as it was received, whatever the encoding; and a log record, which may tell the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

_is_trace_id: Final = re.compile(r"(?!0{32})[0-9a-f]{32}").fullmatch
_is_span_id: Final = re.compile(r"(?!0{16})[0-9a-f]{16}").fullmatch


class Link(Struct, frozen=True, gc=False):
    """Another span that caused this one."""

    trace_id: str
    span_id: str


class Event(Struct, frozen=True):
    """Something that happened within a span."""

    name: str
    at_ns: int
    attributes: dict[str, Any] = {}


class Span(Struct, frozen=True, kw_only=True):
    """One span. Times are nanoseconds since the epoch, 0 where unknown.

    Values of attributes are str, int, float, bool, lists of these, and objects.
    """

    trace_id: str  # 32 lower-case hex digits
    span_id: str  # 16
    parent_span_id: str | None = None
    name: str = ""
    kind: int = 0  # SpanKind of OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer
    started_at_ns: int = 0
    ended_at_ns: int = 0
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    scope_name: str = ""
    scope_version: str = ""
    is_error: bool = False
    status_message: str = ""
    links: tuple[Link, ...] = ()
    events: tuple[Event, ...] = ()
    tracestate: str = ""
    flags: int = 0

    @property
    def is_valid(self) -> bool:
        """Whether its ids are such as W3C Trace Context allows; others cannot be told apart."""
        return is_context(self.trace_id, self.span_id)


class LogRecord(Struct, frozen=True, kw_only=True):
    """One log record, of an instrumentation that tells of a call in an event."""

    event_name: str = ""
    at_ns: int = 0
    trace_id: str = ""  # empty where it was not written within a span
    span_id: str = ""
    attributes: dict[str, Any] = {}
    body: Any = None
    resource: dict[str, Any] = {}
    scope_name: str = ""
    scope_version: str = ""
    flags: int = 0


def is_context(trace_id: str, span_id: str) -> bool:
    """Whether both ids are lower-case hex of their length and not all zeros."""
    return _is_trace_id(trace_id) is not None and _is_span_id(span_id) is not None


def text_of(attributes: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of some attributes that is a text which is not empty."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value
    return None

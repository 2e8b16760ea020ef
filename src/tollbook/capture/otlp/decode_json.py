"""OTLP messages in JSON to spans and log records.

The Protobuf JSON mapping with the exceptions of the OTLP specification ("JSON Protobuf Encoding"):
ids are hex digits of either case, 64-bit integers may be text, enums are numbers, names are
lowerCamelCase, and members that are not known are ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.capture.otlp.errors import BadOtlpError
from tollbook.capture.otlp.limits import NS_MAX, RECORDS_MAX
from tollbook.capture.otlp.spans import Event, Link, LogRecord, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

_Int64 = int | str
_ERROR: Final = 2  # StatusCode of OTLP
_MAX_DIGITS: Final = 20
_NS_DIGITS: Final = 19
"""Of nanoseconds since the epoch, from 2001 to 2286."""


# These are trees that live for a moment: the collector of cycles need not know them.
class _Value(Struct, rename="camel", gc=False):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Int64 | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None


class _Values(Struct, rename="camel", gc=False):
    values: list[_Value] = []


class _Pair(Struct, rename="camel", gc=False):
    key: str = ""
    value: _Value | None = None


class _Pairs(Struct, rename="camel", gc=False):
    values: list[_Pair] = []


class _Resource(Struct, rename="camel", gc=False):
    attributes: list[_Pair] = []


class _Scope(Struct, rename="camel", gc=False):
    name: str = ""
    version: str = ""


class _Status(Struct, rename="camel", gc=False):
    code: int | str = 0
    message: str = ""


class _Event(Struct, rename="camel", gc=False):
    name: str = ""
    time_unix_nano: _Int64 = 0
    attributes: list[_Pair] = []


class _Link(Struct, rename="camel", gc=False):
    trace_id: str = ""
    span_id: str = ""


class _Span(Struct, rename="camel", gc=False):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = None
    name: str = ""
    kind: int | str = 0
    start_time_unix_nano: _Int64 = 0
    end_time_unix_nano: _Int64 = 0
    attributes: list[_Pair] = []
    events: list[_Event] = []
    links: list[_Link] = []
    status: _Status | None = None
    trace_state: str | None = None
    flags: int = 0


class _ScopeSpans(Struct, rename="camel", gc=False):
    scope: _Scope | None = None
    spans: list[_Span] = []


class _ResourceSpans(Struct, rename="camel", gc=False):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Traces(Struct, rename="camel", gc=False):
    resource_spans: list[_ResourceSpans] = []


class _Log(Struct, rename="camel", gc=False):
    event_name: str = ""
    time_unix_nano: _Int64 = 0
    observed_time_unix_nano: _Int64 = 0
    trace_id: str = ""
    span_id: str = ""
    attributes: list[_Pair] = []
    body: _Value | None = None
    flags: int = 0


class _ScopeLogs(Struct, rename="camel", gc=False):
    scope: _Scope | None = None
    log_records: list[_Log] = []


class _ResourceLogs(Struct, rename="camel", gc=False):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] = []


class _Logs(Struct, rename="camel", gc=False):
    resource_logs: list[_ResourceLogs] = []


_decode_traces = msgspec.json.Decoder(_Traces).decode
_decode_logs = msgspec.json.Decoder(_Logs).decode
_NO_SCOPE: Final = _Scope()
_NO_STATUS: Final = _Status()


def decode_json(body: bytes) -> list[Span]:
    """Return the spans of an ``ExportTraceServiceRequest`` in JSON.

    Raises:
        BadOtlpError: it is none, or has more spans than are read at once.
    """
    try:
        request = _decode_traces(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadOtlpError("trace", "JSON", _words(error)) from error
    spans: list[Span] = []
    for of_resource in request.resource_spans:
        resource = _mapping(of_resource.resource.attributes) if of_resource.resource else {}
        for of_scope in of_resource.scope_spans:
            scope = of_scope.scope or _NO_SCOPE
            if len(spans) + len(of_scope.spans) > RECORDS_MAX:
                raise BadOtlpError("trace", "JSON", f"more than {RECORDS_MAX} spans")
            spans += [_span(one, resource, scope) for one in of_scope.spans]
    return spans


def decode_logs_json(body: bytes) -> list[LogRecord]:
    """Return the records of an ``ExportLogsServiceRequest`` in JSON.

    Raises:
        BadOtlpError: it is none, or has more records than are read at once.
    """
    try:
        request = _decode_logs(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadOtlpError("logs", "JSON", _words(error)) from error
    records: list[LogRecord] = []
    for of_resource in request.resource_logs:
        resource = _mapping(of_resource.resource.attributes) if of_resource.resource else {}
        for of_scope in of_resource.scope_logs:
            scope = of_scope.scope or _NO_SCOPE
            if len(records) + len(of_scope.log_records) > RECORDS_MAX:
                raise BadOtlpError("logs", "JSON", f"more than {RECORDS_MAX} records")
            records += [_log(one, resource, scope) for one in of_scope.log_records]
    return records


def _span(one: _Span, resource: dict[str, Any], scope: _Scope) -> Span:
    status = one.status or _NO_STATUS
    return Span(
        trace_id=one.trace_id.lower(),
        span_id=one.span_id.lower(),
        parent_span_id=(one.parent_span_id or "").lower() or None,
        name=one.name,
        kind=one.kind if isinstance(one.kind, int) else 0,
        started_at_ns=_time(one.start_time_unix_nano),
        ended_at_ns=_time(one.end_time_unix_nano),
        attributes=_mapping(one.attributes),
        resource=resource,
        scope_name=scope.name,
        scope_version=scope.version,
        is_error=status.code in {_ERROR, "STATUS_CODE_ERROR"},
        status_message=status.message,
        links=tuple([Link(link.trace_id.lower(), link.span_id.lower()) for link in one.links])
        if one.links
        else (),
        events=tuple(
            [Event(e.name, _time(e.time_unix_nano), _mapping(e.attributes)) for e in one.events]
        )
        if one.events
        else (),
        tracestate=one.trace_state or "",
        flags=one.flags,
    )


def _log(one: _Log, resource: dict[str, Any], scope: _Scope) -> LogRecord:
    return LogRecord(
        event_name=one.event_name,
        at_ns=_time(one.time_unix_nano) or _time(one.observed_time_unix_nano),
        trace_id=one.trace_id.lower(),
        span_id=one.span_id.lower(),
        attributes=_mapping(one.attributes),
        body=_value(one.body),
        resource=resource,
        scope_name=scope.name,
        scope_version=scope.version,
        flags=one.flags,
    )


def _mapping(pairs: Sequence[_Pair]) -> dict[str, Any]:
    return {
        pair.key: value.string_value  # most are
        if (value := pair.value) is not None and value.string_value is not None
        else _value(value)
        for pair in pairs
    }


def _value(value: _Value | None) -> Any:  # noqa: PLR0911 -- one for each kind of value
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _int64(value.int_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return _double(value.double_value)
    if value.array_value is not None:
        return [_value(one) for one in value.array_value.values]
    if value.kvlist_value is not None:
        return _mapping(value.kvlist_value.values)
    return value.bytes_value


def _int64(number: _Int64) -> int | None:
    if isinstance(number, int):
        return number
    if len(number) > _MAX_DIGITS:
        return None
    try:
        return int(number)
    except ValueError:
        return None


def _double(number: float | str) -> float | None:
    try:
        return float(number)  # "NaN" and "Infinity" are text in JSON
    except ValueError:
        return None


def _time(number: _Int64) -> int:
    if isinstance(number, str) and len(number) == _NS_DIGITS and number.isdecimal():
        return min(int(number), NS_MAX)  # as nearly all are written
    return min(max(_int64(number) or 0, 0), NS_MAX)


def _words(error: Exception) -> str:
    """Return what does not fit, without the data: the message names types and a path only."""
    return str(error) if isinstance(error, msgspec.ValidationError) else "it cannot be parsed"

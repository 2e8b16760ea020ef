"""OTLP messages in protobuf to spans and log records (opentelemetry-proto, trace/v1, logs/v1).

Bodies are bounded by the receiver; what is decoded here is bounded once more, for a small body may
hold a million empty spans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tollbook.capture.otlp.decode_json import decode_json, decode_logs_json
from tollbook.capture.otlp.errors import BadOtlpError
from tollbook.capture.otlp.limits import NS_MAX, RECORDS_MAX
from tollbook.capture.otlp.spans import Event, Link, LogRecord, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "decode_json",
    "decode_logs_json",
    "decode_logs_protobuf",
    "decode_protobuf",
    "logs_of",
    "spans_of",
]

_ERROR: Final = 2  # StatusCode of OTLP


def decode_protobuf(body: bytes) -> list[Span]:
    """Return the spans of an ``ExportTraceServiceRequest``.

    Raises:
        BadOtlpError: it is none, or has more spans than are read at once.
    """
    return spans_of(_parse(ExportTraceServiceRequest, body, "trace"))


def decode_logs_protobuf(body: bytes) -> list[LogRecord]:
    """Return the records of an ``ExportLogsServiceRequest``.

    Raises:
        BadOtlpError: it is none, or has more records than are read at once.
    """
    return logs_of(_parse(ExportLogsServiceRequest, body, "logs"))


def spans_of(request: Any) -> list[Span]:
    """Return the spans of a parsed ``ExportTraceServiceRequest`` (as gRPC hands it over).

    Raises:
        BadOtlpError: it has more spans than are read at once.
    """
    spans: list[Span] = []
    for of_resource in request.resource_spans:
        resource = _mapping(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            scope = of_scope.scope
            if len(spans) + len(of_scope.spans) > RECORDS_MAX:
                raise BadOtlpError("trace", "protobuf", f"more than {RECORDS_MAX} spans")
            for one in of_scope.spans:
                spans.append(  # noqa: PERF401 -- three loops deep, a comprehension hides the bound
                    Span(
                        trace_id=one.trace_id.hex(),
                        span_id=one.span_id.hex(),
                        parent_span_id=one.parent_span_id.hex() or None,
                        name=one.name,
                        kind=one.kind,
                        started_at_ns=min(one.start_time_unix_nano, NS_MAX),
                        ended_at_ns=min(one.end_time_unix_nano, NS_MAX),
                        attributes=_mapping(one.attributes),
                        resource=resource,
                        scope_name=scope.name,
                        scope_version=scope.version,
                        is_error=one.status.code == _ERROR,
                        status_message=one.status.message,
                        links=tuple(
                            [Link(link.trace_id.hex(), link.span_id.hex()) for link in one.links]
                        ),
                        events=tuple(
                            [
                                Event(e.name, min(e.time_unix_nano, NS_MAX), _mapping(e.attributes))
                                for e in one.events
                            ]
                        ),
                        tracestate=one.trace_state,
                        flags=one.flags,
                    )
                )
    return spans


def logs_of(request: Any) -> list[LogRecord]:
    """Return the records of a parsed ``ExportLogsServiceRequest`` (as gRPC hands it over).

    Raises:
        BadOtlpError: it has more records than are read at once.
    """
    records: list[LogRecord] = []
    for of_resource in request.resource_logs:
        resource = _mapping(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            scope = of_scope.scope
            if len(records) + len(of_scope.log_records) > RECORDS_MAX:
                raise BadOtlpError("logs", "protobuf", f"more than {RECORDS_MAX} records")
            for one in of_scope.log_records:
                records.append(  # noqa: PERF401 -- as above
                    LogRecord(
                        event_name=one.event_name,
                        at_ns=min(one.time_unix_nano or one.observed_time_unix_nano, NS_MAX),
                        trace_id=one.trace_id.hex(),
                        span_id=one.span_id.hex(),
                        attributes=_mapping(one.attributes),
                        body=_value(one.body),
                        resource=resource,
                        scope_name=scope.name,
                        scope_version=scope.version,
                        flags=one.flags,
                    )
                )
    return records


def _parse(shape: Any, body: bytes, what: str) -> Any:
    try:
        return shape.FromString(body)
    except DecodeError as error:
        raise BadOtlpError(what, "protobuf", "it cannot be parsed") from error


def _mapping(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    held = getattr(value, kind)
    if kind == "array_value":
        return [_value(one) for one in held.values]
    if kind == "kvlist_value":
        return _mapping(held.values)
    if kind == "bytes_value":
        return held.hex()
    return held

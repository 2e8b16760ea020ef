"""What exporters for the console print: OpenTelemetry's ``ConsoleSpanExporter`` of Python.

Shape: opentelemetry-python ``ReadableSpan.to_json``; and of Go ``stdouttrace``, whose members
begin with capitals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.values import (
    kind_of,
    mapping,
    ns_of_iso,
    objects,
    span_id_of,
    text,
    trace_id_of,
)
from tollbook.capture.otlp.spans import Event, Link, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "otel-console"
_NO_ID: Final = "0" * 16


def takes(value: Mapping[str, Any]) -> bool:
    """Whether an object is a span as an exporter prints it."""
    if isinstance(value.get("SpanContext"), dict):
        return "TraceID" in value["SpanContext"]
    context = value.get("context")
    if "span_kind" in value:  # Phoenix, whose spans have much the same form
        return False
    return isinstance(context, dict) and "trace_id" in context and "start_time" in value


def spans(value: Mapping[str, Any]) -> list[Span]:
    """Return the span that an object is."""
    return [_of_go(value) if "SpanContext" in value else _of_python(value)]


def _of_python(value: Mapping[str, Any]) -> Span:
    context = mapping(value.get("context"))
    status = mapping(value.get("status"))
    scope = mapping(value.get("instrumentation_scope"))
    return Span(
        trace_id=trace_id_of(context.get("trace_id")),
        span_id=span_id_of(context.get("span_id")),
        parent_span_id=span_id_of(value.get("parent_id")) or None,
        name=text(value.get("name")),
        kind=kind_of(value.get("kind")),
        started_at_ns=ns_of_iso(value.get("start_time")),
        ended_at_ns=ns_of_iso(value.get("end_time")),
        attributes=mapping(value.get("attributes")),
        resource=mapping(mapping(value.get("resource")).get("attributes")),
        scope_name=text(scope.get("name")),
        scope_version=text(scope.get("version")),
        is_error=status.get("status_code") == "ERROR",
        links=tuple(
            [
                Link(trace_id_of(one.get("trace_id")), span_id_of(one.get("span_id")))
                for link in objects(value.get("links"))
                if (one := mapping(link.get("context")))
            ]
        ),
        events=tuple(
            [
                Event(
                    text(one.get("name")),
                    ns_of_iso(one.get("timestamp")),
                    mapping(one.get("attributes")),
                )
                for one in objects(value.get("events"))
            ]
        ),
    )


def _of_go(value: Mapping[str, Any]) -> Span:
    context = mapping(value.get("SpanContext"))
    parent = span_id_of(mapping(value.get("Parent")).get("SpanID"))
    scope = mapping(value.get("InstrumentationScope") or value.get("InstrumentationLibrary"))
    return Span(
        trace_id=trace_id_of(context.get("TraceID")),
        span_id=span_id_of(context.get("SpanID")),
        parent_span_id=None if parent in {"", _NO_ID} else parent,
        name=text(value.get("Name")),
        kind=kind_of(value.get("SpanKind")),
        started_at_ns=ns_of_iso(value.get("StartTime")),
        ended_at_ns=ns_of_iso(value.get("EndTime")),
        attributes=_go_pairs(value.get("Attributes")),
        resource=_go_pairs(value.get("Resource")),
        scope_name=text(scope.get("Name")),
        scope_version=text(scope.get("Version")),
        is_error=mapping(value.get("Status")).get("Code") == "Error",
        tracestate=text(context.get("TraceState")),
        links=tuple(
            [
                Link(trace_id_of(one.get("TraceID")), span_id_of(one.get("SpanID")))
                for link in objects(value.get("Links"))
                if (one := mapping(link.get("SpanContext")))
            ]
        ),
        events=tuple(
            [
                Event(
                    text(one.get("Name")),
                    ns_of_iso(one.get("Time")),
                    _go_pairs(one.get("Attributes")),
                )
                for one in objects(value.get("Events"))
            ]
        ),
    )


def _go_pairs(value: object) -> dict[str, Any]:
    return {
        one["Key"]: mapping(one.get("Value")).get("Value")
        for one in objects(value)
        if isinstance(one.get("Key"), str)
    }

"""Traces of Jaeger: its API and its download button, and the documents of its Elasticsearch store.

Shapes: jaeger ``internal/uimodel`` and ``internal/storage/.../dbmodel`` (times in microseconds).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.values import (
    kind_of,
    mapping,
    ns_of_us,
    objects,
    span_id_of,
    text,
    trace_id_of,
)
from tollbook.capture.otlp.spans import Event, Link, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "jaeger"
_SCOPES: Final = ("otel.scope.name", "otel.library.name")
_VERSIONS: Final = ("otel.scope.version", "otel.library.version")


def takes(value: Mapping[str, Any]) -> bool:
    """Whether an object is a trace or a span of Jaeger."""
    if "traceID" not in value:
        return False
    return isinstance(value.get("spans"), list) or "operationName" in value


def spans(value: Mapping[str, Any]) -> list[Span]:
    """Return the spans of a trace, or of one document."""
    if "operationName" in value:
        return [_span(value, mapping(value.get("process")))]
    processes = mapping(value.get("processes"))
    return [
        _span(
            one, mapping(one.get("process")) or mapping(processes.get(text(one.get("processID"))))
        )
        for one in objects(value.get("spans"))
    ]


def _span(value: Mapping[str, Any], process: Mapping[str, Any]) -> Span:
    tags = _tags(value)
    trace_id = trace_id_of(value.get("traceID"))
    parent, links = _references(value, trace_id)
    started_ns = ns_of_us(value.get("startTime"))
    error = tags.pop("error", None)
    status = tags.pop("otel.status_code", None)
    resource = _tags(process)
    if isinstance(process.get("serviceName"), str):
        resource["service.name"] = process["serviceName"]
    return Span(
        trace_id=trace_id,
        span_id=span_id_of(value.get("spanID")),
        parent_span_id=parent,
        name=text(value.get("operationName")),
        kind=kind_of(tags.pop("span.kind", "")),
        started_at_ns=started_ns,
        ended_at_ns=started_ns + ns_of_us(value.get("duration")) if started_ns else 0,
        scope_name=_first(tags, _SCOPES),
        scope_version=_first(tags, _VERSIONS),
        tracestate=text(tags.pop("w3c.tracestate", "")),
        attributes=tags,
        resource=resource,
        is_error=error in {True, "true"} or status == "ERROR",
        links=links,
        events=tuple([_event(one) for one in objects(value.get("logs"))]),
    )


def _references(value: Mapping[str, Any], trace_id: str) -> tuple[str | None, tuple[Link, ...]]:
    parent = span_id_of(value.get("parentSpanID")) or None
    links: list[Link] = []
    for one in objects(value.get("references")):
        link = Link(trace_id_of(one.get("traceID")), span_id_of(one.get("spanID")))
        if parent is None and link.trace_id == trace_id and one.get("refType") == "CHILD_OF":
            parent = link.span_id
        elif link.span_id != parent:
            links.append(link)
    return parent, tuple(links)


def _tags(value: Mapping[str, Any]) -> dict[str, Any]:
    flat = mapping(value.get("tag"))  # of Elasticsearch, with dots as @
    made = {name.replace("@", "."): one for name, one in flat.items()}
    for one in objects(value.get("tags")):
        if isinstance(one.get("key"), str):
            made[one["key"]] = _value(one.get("value"), one.get("type"))
    return made


def _value(value: Any, kind: object) -> Any:
    if isinstance(value, str) and kind == "int64":
        return int(value) if len(value) < 20 and value.lstrip("-").isdigit() else value  # noqa: PLR2004 -- digits of 64 bits
    if isinstance(value, str) and kind == "bool":
        return value == "true"
    return value


def _event(value: Mapping[str, Any]) -> Event:
    fields = {
        one["key"]: _value(one.get("value"), one.get("type"))
        for one in objects(value.get("fields"))
        if isinstance(one.get("key"), str)
    }
    return Event(text(fields.pop("event", "")), ns_of_us(value.get("timestamp")), fields)


def _first(tags: dict[str, Any], names: tuple[str, ...]) -> str:
    found = [text(tags.pop(name, "")) for name in names]
    return next(filter(None, found), "")

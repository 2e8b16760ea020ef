"""Spans of Zipkin, version 2 of its API: ``/api/v2/traces``, ``/api/v2/trace/ID``, and lines.

Shape: https://zipkin.io/zipkin-api/ (times in microseconds, all tags are text).
"""

from __future__ import annotations

from hashlib import sha256
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
from tollbook.capture.otlp.spans import Event, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "zipkin"
_NUMBERS: Final = frozenset(
    {"http.status_code", "http.response.status_code", "server.port", "net.peer.port"}
)
_SCOPES: Final = ("otel.scope.name", "otel.library.name")
_VERSIONS: Final = ("otel.scope.version", "otel.library.version")


def takes(value: Mapping[str, Any]) -> bool:
    """Whether an object is a span of Zipkin."""
    if not isinstance(value.get("traceId"), str) or not isinstance(value.get("id"), str):
        return False
    return "localEndpoint" in value or isinstance(value.get("timestamp"), int)


def spans(value: Mapping[str, Any]) -> list[Span]:
    """Return the span that an object is."""
    tags = _tags(mapping(value.get("tags")))
    span_id = span_id_of(value.get("id"))
    parent = span_id_of(value.get("parentId")) or None
    if value.get("shared") is True:
        # Both sides of a request have one id (B3); the server's is told apart and set below
        parent, span_id = span_id, sha256(f"shared:{span_id}".encode()).hexdigest()[:16]
    started_ns = ns_of_us(value.get("timestamp"))
    service = mapping(value.get("localEndpoint")).get("serviceName")
    peer = mapping(value.get("remoteEndpoint")).get("serviceName")
    if isinstance(peer, str):
        tags.setdefault("peer.service", peer)
    status = tags.pop("otel.status_code", None)
    return [
        Span(
            trace_id=trace_id_of(value.get("traceId")),
            span_id=span_id,
            parent_span_id=parent,
            name=text(value.get("name")),
            kind=kind_of(value.get("kind") or "internal"),
            started_at_ns=started_ns,
            ended_at_ns=started_ns + ns_of_us(value.get("duration")) if started_ns else 0,
            scope_name=_first(tags, _SCOPES),
            scope_version=_first(tags, _VERSIONS),
            attributes=tags,
            resource={"service.name": service} if isinstance(service, str) else {},
            is_error="error" in tags or status == "ERROR",
            events=tuple(
                [
                    Event(text(one.get("value"))[:128], ns_of_us(one.get("timestamp")))
                    for one in objects(value.get("annotations"))
                ]
            ),
        )
    ]


def _tags(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: int(one)
        if name in _NUMBERS and isinstance(one, str) and one.isascii() and one[:9].isdigit()
        and len(one) <= 9  # noqa: PLR2004 -- ports and codes are short
        else one
        for name, one in told.items()
    }  # fmt: skip


def _first(tags: dict[str, Any], names: tuple[str, ...]) -> str:
    found = [text(tags.pop(name, "")) for name in names]
    return next(filter(None, found), "")

"""OTLP/JSON as others write it, to what the specification says.

Grafana Tempo answers ``{"batches": [...]}`` or ``{"trace": {...}}`` with ids in base64 (the plain
Protobuf JSON mapping); Python's ``MessageToJson`` may keep ``snake_case``; before 2022 scopes were
``instrumentationLibrarySpans``; enums may be names.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

_MESSAGES: Final = ("resourceSpans", "resource_spans", "batches")
_SCOPES: Final = (
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
    "instrumentation_library_spans",
)
_HOLDERS: Final = ("trace", "result")
_KINDS: Final = {
    f"SPAN_KIND_{name}": at
    for at, name in enumerate(
        ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
    )
}
_CAMEL: Final = {
    "trace_id": "traceId",
    "span_id": "spanId",
    "parent_span_id": "parentSpanId",
    "start_time_unix_nano": "startTimeUnixNano",
    "end_time_unix_nano": "endTimeUnixNano",
    "time_unix_nano": "timeUnixNano",
    "trace_state": "traceState",
    "string_value": "stringValue",
    "int_value": "intValue",
    "bool_value": "boolValue",
    "double_value": "doubleValue",
    "array_value": "arrayValue",
    "kvlist_value": "kvlistValue",
    "bytes_value": "bytesValue",
}
_IDS: Final = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_DEPTH_MAX: Final = 64


def resource_spans(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the ``resourceSpans`` of an object as the specification writes them.

    Args:
        value: a message, an element of its list, or an element of that one's.

    Returns:
        None where it is none of these.
    """
    for holder in _HOLDERS:
        inner = value.get(holder)
        if isinstance(inner, dict) and any(name in inner for name in _MESSAGES):
            value = inner
    for name in _MESSAGES:
        if isinstance(value.get(name), list):
            return [_resource(one) for one in value[name] if isinstance(one, dict)]
    if any(isinstance(value.get(name), list) for name in _SCOPES):
        return [_resource(value)]
    return None


def as_span(value: dict[str, Any]) -> dict[str, Any]:
    """Return a span with the names, ids and kinds of the specification."""
    made = _renamed(value, 0)
    for name, digits in _IDS.items():
        made[name] = _hex(made.get(name), digits)
    kind = made.get("kind")
    made["kind"] = _KINDS.get(kind, 0) if isinstance(kind, str) else kind
    for name in ("attributes", "events", "links"):
        if made.get(name) is None:
            made.pop(name, None)
    if isinstance(made.get("attributes"), dict):
        made["attributes"] = _pairs(made["attributes"])
    for link in _objects(made.get("links")):
        link["traceId"] = _hex(link.get("traceId"), 32)
        link["spanId"] = _hex(link.get("spanId"), 16)
    return {name: one for name, one in made.items() if one is not None}


def _resource(value: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"scopeSpans": []}
    if isinstance(value.get("resource"), dict):
        made["resource"] = _renamed(value["resource"], 0)
        attributes = made["resource"].get("attributes")
        if isinstance(attributes, dict):
            made["resource"]["attributes"] = _pairs(attributes)
    for name in _SCOPES:
        for one in _objects(value.get(name)):
            scope = one.get("scope") or one.get("instrumentationLibrary") or {}
            spans = [as_span(span) for span in _objects(one.get("spans"))]
            made["scopeSpans"].append({"scope": scope, "spans": spans})
    return made


def _renamed(value: Any, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        return None
    if isinstance(value, dict):
        return {_CAMEL.get(name, name): _renamed(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, depth + 1) for one in value]
    return value


def _hex(value: object, digits: int) -> str | None:
    if not isinstance(value, str):
        return None
    if len(value) == digits:
        return value
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value
    # Tempo leaves out zeros before an id of 64 bits
    return raw.hex().rjust(digits, "0") if raw and len(raw) * 2 <= digits else value


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(one)} for name, one in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)}}
    return {} if value is None else {"stringValue": value}


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

"""One request of a small product, written in the formats of several tools."""

from __future__ import annotations

import base64
import copy
import json
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.read import Batch, Trouble

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.audit.inputs.limits import Limits
    from tollbook.audit.read import InputRead
    from tollbook.capture.otlp.spans import Span

TRACE_ID = "5b8efff798038103d269b633813fc60c"
AT_US = 1_790_000_000_000_000
SPANS: list[dict[str, Any]] = [
    {
        "id": "eee19b7ec3c1b174",
        "parent": "",
        "name": "POST /answer",
        "kind": 2,
        "service": "web",
        "scope": "opentelemetry.instrumentation.fastapi",
        "attributes": {"tenant.id": "acme", "http.response.status_code": 200},
    },
    {
        "id": "eee19b7ec3c1b175",
        "parent": "eee19b7ec3c1b174",
        "name": "chat gpt-4o-mini",
        "kind": 3,
        "service": "web",
        "scope": "opentelemetry.instrumentation.openai_v2",
        "attributes": {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 120,
            "gen_ai.usage.output_tokens": 30,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.stream": True,
        },
    },
    {
        "id": "eee19b7ec3c1b176",
        "parent": "eee19b7ec3c1b174",
        "name": "embeddings",
        "kind": 3,
        "service": "worker",
        "scope": "opentelemetry.instrumentation.openai_v2",
        "attributes": {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.request.model": "text-embedding-3-small",
            "gen_ai.usage.input_tokens": 7,
        },
        "error": True,
    },
]
TREE = {
    (TRACE_ID, one["id"], one["parent"] or None, one["name"], one["kind"], one["service"])
    for one in SPANS
}


def otlp(trace_id: str = TRACE_ID) -> dict[str, Any]:
    """Return the request as OTLP/JSON has it."""
    return {"resourceSpans": [_resource(one, trace_id) for one in SPANS]}


def _resource(one: dict[str, Any], trace_id: str) -> dict[str, Any]:
    return {
        "resource": {"attributes": pairs({"service.name": one["service"]})},
        "scopeSpans": [
            {
                "scope": {"name": one["scope"], "version": "1.0"},
                "spans": [
                    {
                        "traceId": trace_id,
                        "spanId": one["id"],
                        "parentSpanId": one["parent"],
                        "name": one["name"],
                        "kind": one["kind"],
                        "startTimeUnixNano": str(AT_US * 1000),
                        "endTimeUnixNano": str((AT_US + 1500) * 1000),
                        "attributes": pairs(one["attributes"]),
                        "status": {"code": 2} if one.get("error") else {},
                    }
                ],
            }
        ],
    }


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def in_base64(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with ids as the plain Protobuf JSON mapping has them."""
    made = copy.deepcopy(message)
    _visit(made)
    return made


def _visit(value: Any) -> None:
    if isinstance(value, list):
        for one in value:
            _visit(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name in {"traceId", "spanId", "parentSpanId"}:
                value[name] = base64.b64encode(bytes.fromhex(one)).decode()
            else:
                _visit(one)


def protobuf(message: dict[str, Any]) -> bytes:
    shape: Any = ExportTraceServiceRequest
    if "resourceLogs" in message:
        shape = ExportLogsServiceRequest
    elif "resourceMetrics" in message:
        shape = ExportMetricsServiceRequest
    raw: bytes = ParseDict(in_base64(message), shape()).SerializeToString()
    return raw


def after_length(message: bytes) -> bytes:
    """Return a message as the Collector's file exporter writes it."""
    return len(message).to_bytes(4, "big") + message


def jaeger() -> dict[str, Any]:
    """Return the trace as Jaeger's API answers it."""
    types = {bool: "bool", int: "int64", float: "float64", str: "string"}
    kinds = {1: "internal", 2: "server", 3: "client"}
    services = sorted({one["service"] for one in SPANS})
    return {
        "traceID": TRACE_ID,
        "spans": [
            {
                "traceID": TRACE_ID,
                "spanID": one["id"],
                "operationName": one["name"],
                "references": [
                    {"refType": "CHILD_OF", "traceID": TRACE_ID, "spanID": one["parent"]}
                ]
                if one["parent"]
                else [],
                "startTime": AT_US,
                "duration": 1500,
                "tags": [
                    {"key": name, "type": types[type(value)], "value": value}
                    for name, value in {
                        **one["attributes"],
                        "span.kind": kinds[one["kind"]],
                        "otel.scope.name": one["scope"],
                        "otel.scope.version": "1.0",
                        **({"error": True} if one.get("error") else {}),
                    }.items()
                ],
                "logs": [],
                "processID": f"p{services.index(one['service']) + 1}",
                "warnings": None,
            }
            for one in SPANS
        ],
        "processes": {
            f"p{at}": {"serviceName": service, "tags": []} for at, service in enumerate(services, 1)
        },
        "warnings": None,
    }


def zipkin() -> list[dict[str, Any]]:
    """Return the spans as Zipkin's API answers them."""
    kinds = {2: "SERVER", 3: "CLIENT"}
    return [
        {
            "traceId": TRACE_ID,
            "id": one["id"],
            **({"parentId": one["parent"]} if one["parent"] else {}),
            "name": one["name"],
            "kind": kinds[one["kind"]],
            "timestamp": AT_US,
            "duration": 1500,
            "localEndpoint": {"serviceName": one["service"]},
            "tags": {
                **{name: str(value) for name, value in one["attributes"].items()},
                "otel.scope.name": one["scope"],
                "otel.scope.version": "1.0",
                **({"error": "RateLimitError"} if one.get("error") else {}),
            },
        }
        for one in SPANS
    ]


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in values)


class Got:
    """What was read of one input."""

    def __init__(self, read: InputRead, spans: list[Span], troubles: list[Trouble]) -> None:
        self.read = read
        self.spans = spans
        self.troubles = troubles

    @property
    def tree(self) -> set[tuple[Any, ...]]:
        return {
            (
                one.trace_id,
                one.span_id,
                one.parent_span_id,
                one.name,
                one.kind,
                one.resource.get("service.name"),
            )
            for one in self.spans
        }


def read_path(path: Path | str, **options: Any) -> list[Got]:
    """Read all that a path holds."""
    return [_read(one) for one in open_inputs([str(path)], **options)]


def _read(source: Any) -> Got:
    spans: list[Span] = []
    troubles: list[Trouble] = []
    for part in source:
        if isinstance(part, Batch):
            spans += part.spans
        else:
            troubles.append(part)
    assert source.read.spans == len(spans)
    assert source.read.troubles == len(troubles)
    return Got(source.read, spans, troubles)


def read_bytes(folder: Path, data: bytes, *, limits: Limits | None = None, **options: Any) -> Got:
    """Read a file with some content; its name says nothing."""
    path = folder / "input"
    path.write_bytes(data)
    if limits is not None:
        options["limits"] = limits
    (got,) = read_path(path, **options)
    return got

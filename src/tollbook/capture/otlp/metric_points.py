"""How many data points a metrics request has; nothing is billed by them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tollbook.capture.otlp.errors import BadOtlpError

_POINT_KINDS: Final = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


def count_protobuf(body: bytes) -> int:
    """Return how many points an ``ExportMetricsServiceRequest`` has.

    Raises:
        BadOtlpError: it is none.
    """
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise BadOtlpError("metrics", "protobuf", "it cannot be parsed") from error
    points = 0
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                points += 0 if kind is None else len(getattr(metric, kind).data_points)
    return points


def count_json(body: bytes) -> int:
    """Return how many points the same has as OTLP/JSON.

    Raises:
        BadOtlpError: it is none.
    """
    try:
        request = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadOtlpError("metrics", "JSON", "it cannot be parsed") from error
    if not isinstance(request, dict):
        raise BadOtlpError("metrics", "JSON", "it is no object")
    points = 0
    for resource in _objects(request, "resourceMetrics"):
        for scope in _objects(resource, "scopeMetrics"):
            for metric in _objects(scope, "metrics"):
                points += sum(
                    len(_objects(metric[kind], "dataPoints"))
                    for kind in _POINT_KINDS
                    if isinstance(metric.get(kind), dict)
                )
    return points


def _objects(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = holder.get(name)
    if not isinstance(found, list):
        return []
    return [one for one in found if isinstance(one, dict)]

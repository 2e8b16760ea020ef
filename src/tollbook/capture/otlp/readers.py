"""What reads the bodies of OTLP requests: spans, log records, and points that are only counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tollbook.capture.otlp.outcome import Signal
from tollbook.capture.otlp.receiver import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import Frame
    from tollbook.capture.otlp.receiver import Readers, Told

_POINT_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


def readers() -> Readers:
    """Return what reads each signal in each encoding."""
    return {
        (Signal.METRICS, "protobuf"): _metrics_protobuf,
        (Signal.METRICS, "json"): _metrics_json,
    }


def _nothing(_received_at_ns: int) -> Sequence[Frame]:
    """Say nothing: sums of tokens cannot tell which call they are of, so none is billed by them."""
    return ()


def _metrics_protobuf(body: bytes) -> list[Told]:
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise UnreadableError("the body is not an OTLP ExportMetricsServiceRequest") from error
    points = 0
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                points += 0 if kind is None else len(getattr(metric, kind).data_points)
    return [_nothing] * points


def _metrics_json(body: bytes) -> list[Told]:
    try:
        request = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UnreadableError("the body is not OTLP/JSON metrics") from error
    if not isinstance(request, dict):
        raise UnreadableError("the body is not OTLP/JSON metrics")
    points = 0
    for resource in _objects(request, "resourceMetrics"):
        for scope in _objects(resource, "scopeMetrics"):
            for metric in _objects(scope, "metrics"):
                points += sum(
                    len(_objects(metric[kind], "dataPoints"))
                    for kind in _POINT_KINDS
                    if isinstance(metric.get(kind), dict)
                )
    return [_nothing] * points


def _objects(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = holder.get(name)
    if not isinstance(found, list):
        return []
    return [one for one in found if isinstance(one, dict)]

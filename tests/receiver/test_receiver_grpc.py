"""OTLP over gRPC: the same, with the codes of gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.receiver.conftest import Running

    Start = Callable[..., Running]

RAW = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def metrics_request(points: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for _ in range(points):
        scope.metrics.add(name="gen_ai.client.token.usage").sum.data_points.add(as_int=1)
    return request


def stub_of(channel: Any) -> Any:
    make: Any = MetricsServiceStub
    return make(channel)


def failure(call: Callable[[], Any]) -> tuple[grpc.StatusCode, Status]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error: Any = raised.value
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    return error.code(), Status.FromString(details)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_an_export_is_answered(start: Start, compression: grpc.Compression) -> None:
    receiver = start()
    with grpc.insecure_channel(
        f"127.0.0.1:{receiver.grpc_port}", compression=compression
    ) as channel:
        answer = stub_of(channel).Export(metrics_request(7), timeout=10)
    assert answer.partial_success.rejected_data_points == 0
    text = receiver.get("/metrics").body.decode()
    assert 'items_total{signal="data_points",state="accepted"} 7' in text


def test_garbage_is_an_invalid_argument(start: Start) -> None:
    receiver = start()
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
        code, status = failure(lambda: channel.unary_unary(RAW)(b"\xff\xff\xff", timeout=10))
    assert (code, status.code) == (grpc.StatusCode.INVALID_ARGUMENT, 3)
    assert "etrics" in status.message


def test_what_is_too_large_is_not_sent_again(start: Start) -> None:
    receiver = start(max_decoded_bytes=2000)
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
        code, status = failure(lambda: stub_of(channel).Export(metrics_request(500), timeout=10))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not status.details  # RetryInfo would ask for it


def test_a_full_queue_asks_to_come_again(start: Start) -> None:
    receiver = start(max_waiting_bytes=1024)
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
        code, status = failure(lambda: stub_of(channel).Export(metrics_request(500), timeout=10))
    info = RetryInfo()
    assert (code, status.code) == (grpc.StatusCode.UNAVAILABLE, 14)
    assert status.details[0].Unpack(info)
    assert info.retry_delay.seconds == 2


def test_keys_come_in_the_metadata(start: Start) -> None:
    receiver = start(require_key=True)
    good = receiver.key(tenant_id="acme")
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
        stub = stub_of(channel)
        for metadata in ((), (("authorization", "Bearer tb_wrong"),), (("x-tollbook-key", "x"),)):
            code, status = failure(
                lambda metadata=metadata: stub.Export(  # type: ignore[misc]
                    metrics_request(1), timeout=10, metadata=metadata
                )
            )
            assert (code, status.code) == (grpc.StatusCode.UNAUTHENTICATED, 16)
        stub.Export(metrics_request(1), timeout=10, metadata=(("x-tollbook-key", good),))

"""Spans of real exporters, in both encodings and over both protocols."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from tollbook import clock
from tollbook.call import CallClosed, CallOpened, Observer, SpanSeen
from tollbook.capture.otlp.outcome import Kind
from tollbook.capture.otlp.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from tests.receiver.conftest import Disk, Running

    Start = Callable[..., Running]

ATTRIBUTES: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "tenant.id": "acme",
}


class Results(SpanExporter):
    """Keeps what an exporter answered."""

    def __init__(self, inner: SpanExporter) -> None:
        self.inner = inner
        self.results: list[SpanExportResult] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.results.append(self.inner.export(spans))
        return self.results[-1]

    def shutdown(self) -> None:
        self.inner.shutdown()


def emit(exporter: SpanExporter, calls: int = 1) -> list[SpanExportResult]:
    """Let an application run whose agent makes calls; return what each export was answered."""
    kept = Results(exporter)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("invoke_agent helper", attributes={
        "gen_ai.operation.name": "invoke_agent",
    }):  # fmt: skip
        for _ in range(calls):
            with tracer.start_as_current_span("chat gpt-4o-mini", attributes=ATTRIBUTES):
                pass
    provider.shutdown()
    return kept.results


def exporter_of(receiver: Running, kind: str, **headers: str) -> SpanExporter:
    if kind.startswith("http"):
        coding = Compression.Gzip if kind.endswith("gzip") else Compression.NoCompression
        return HttpSpanExporter(
            f"http://127.0.0.1:{receiver.http_port}/v1/traces", headers=headers,
            compression=coding, timeout=10,
        )  # fmt: skip
    import grpc  # noqa: PLC0415 -- only here

    coding = grpc.Compression.Gzip if kind.endswith("gzip") else grpc.Compression.NoCompression
    return GrpcSpanExporter(
        f"127.0.0.1:{receiver.grpc_port}", insecure=True, headers=tuple(headers.items()),
        compression=coding, timeout=10,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["http", "http-gzip", "grpc", "grpc-gzip"])
def test_spans_of_the_official_exporters_are_on_file(start: Start, kind: str) -> None:
    receiver = start()

    results = emit(exporter_of(receiver, kind), calls=2)

    assert results == [SpanExportResult.SUCCESS] * 3
    frames = receiver.spooled
    opened = [one for one in frames if isinstance(one, CallOpened)]
    spans = [one for one in frames if isinstance(one, SpanSeen)]
    assert len(opened) == sum(isinstance(one, CallClosed) for one in frames) == 2
    assert {one.observer for one in opened} == {Observer.OTLP}
    assert {one.identity.tenant_id for one in opened} == {"acme"}
    agent = next(one for one in spans if one.call_id is None)
    assert {one.parent_span_id for one in opened} == {agent.span_id}


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_key_goes_before_the_tenant_of_the_span(start: Start, kind: str) -> None:
    receiver = start(require_key=True)
    secret = receiver.key(tenant_id="globex")

    refused = emit(exporter_of(receiver, kind, authorization="Bearer tb_wrong"))
    taken = emit(exporter_of(receiver, kind, authorization=f"Bearer {secret}"))

    assert set(refused) == {SpanExportResult.FAILURE}
    assert set(taken) == {SpanExportResult.SUCCESS}
    frames = receiver.spooled
    (opened,) = [one for one in frames if isinstance(one, CallOpened)]
    assert opened.identity.tenant_id == "globex"
    assert opened.identity.conflicts[0].refused == "acme"
    spans = [one.identity for one in frames if isinstance(one, SpanSeen)]
    assert {one.tenant_id for one in spans if one is not None} == {"globex"}


def request_with(ids: list[tuple[bytes, bytes]]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add()
    for trace_id, span_id in ids:
        span = spans.spans.add(trace_id=trace_id, span_id=span_id, name="chat")
        span.start_time_unix_nano = span.end_time_unix_nano = clock.unix_ns()
        for name, value in ATTRIBUTES.items():
            pair = span.attributes.add(key=name)
            if isinstance(value, int):
                pair.value.int_value = value
            else:
                pair.value.string_value = str(value)
    return request


def test_what_cannot_be_taken_is_a_partial_success(start: Start) -> None:
    receiver = start()
    request = request_with([(b"\1" * 16, b"\2" * 8), (b"\1" * 5, b"\2" * 8), (b"", b"")])

    answer = receiver.post(
        "/v1/traces", gzip.compress(request.SerializeToString()),
        content_type="application/x-protobuf", content_encoding="gzip",
    )  # fmt: skip

    assert answer.status == 200
    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert partial.rejected_spans == 2
    assert "trace id" in partial.error_message
    assert len(receiver.spooled) == 3


def test_json_is_answered_in_json(start: Start) -> None:
    receiver = start()
    now = str(clock.unix_ns())
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
        "name": "chat", "startTimeUnixNano": now, "endTimeUnixNano": now,
        "attributes": [
            {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
        ],
    }  # fmt: skip
    bad = span | {"traceId": "00000000000000000000000000000000"}
    body = msgspec.json.encode(
        {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "x"}, "spans": [span, bad]}]}]}
    )

    answer = receiver.post("/v1/traces", body, content_type="application/json")

    assert answer.json["partialSuccess"]["rejectedSpans"] == "1"
    assert [type(one) for one in receiver.spooled] == [SpanSeen, CallOpened, CallClosed]


def test_logs_are_taken(start: Start) -> None:
    receiver = start()
    body = msgspec.json.encode({"resourceLogs": [{"scopeLogs": [{"logRecords": [{
        "timeUnixNano": str(clock.unix_ns()), "body": {"stringValue": "hello"},
    }]}]}]})  # fmt: skip
    assert receiver.post("/v1/logs", body, content_type="application/json").body == b"{}"
    text = receiver.get("/metrics").body.decode()
    assert 'items_total{signal="log_records",state="accepted"} 1' in text


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_an_exporter_sends_again_when_the_disk_was_full(
    start: Start, disk: Disk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter's own retry ends as one call, acknowledged once it was on file."""
    receiver = start()
    emit(exporter_of(receiver, kind))
    seen = len(receiver.spooled)
    refusals: list[Any] = []
    count = Tally.count

    def freed(tally: Tally, signal: Any, outcome: Any) -> None:
        refusals.append(outcome.kind)
        if outcome.kind is Kind.UNAVAILABLE:
            disk.is_full = False
        count(tally, signal, outcome)

    monkeypatch.setattr(Tally, "count", freed)
    disk.is_full = True

    assert set(emit(exporter_of(receiver, kind))) == {SpanExportResult.SUCCESS}

    assert refusals[0] is Kind.UNAVAILABLE
    ids = {one.call_id for one in receiver.spooled[seen:] if isinstance(one, CallOpened)}
    assert len(ids) == 1

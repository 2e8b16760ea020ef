"""The live endpoint, with the exporters of the OpenTelemetry SDK and with odd senders."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import zlib
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tollbook.audit.extract import Extractor
from tollbook.audit.inputs.errors import MissingExtraError
from tollbook.audit.inputs.live import ListenError, Live, listen
from tollbook.audit.inputs.live_http import BODY_MAX_BYTES
from tollbook.audit.inputs.live_inbox import Inbox
from tollbook.audit.read import Batch, Trouble
from tollbook.audit.settings import DEFAULT
from tollbook.capture.otlp.outcome import Kind, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import AnyValue

    from tollbook.capture.otlp.spans import Span

_JSON = {"content-type": "application/json"}
_PROTOBUF = {"content-type": "application/x-protobuf"}


def _message(name: str = "chat", **attributes: str) -> bytes:
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "name": name, "attributes": pairs,
            "startTimeUnixNano": "1", "endTimeUnixNano": "2"}  # fmt: skip
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


@contextmanager
def _open(**options: Any) -> Iterator[Live]:
    with closing(listen(port=0, **options)) as live:
        yield live


def _post(
    live: Live, body: bytes, headers: dict[str, str], path: str = "/v1/traces"
) -> tuple[int, bytes]:
    host, port = live.url.removeprefix("http://").rsplit(":", 1)
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def _rest(live: Live) -> tuple[list[Span], list[Trouble]]:
    live.stop()
    parts = list(live)
    spans = [span for part in parts if isinstance(part, Batch) for span in part.spans]
    return spans, [part for part in parts if isinstance(part, Trouble)]


def _send(exporter: SpanExporter) -> None:
    """Make a call within a request as an instrumented program does."""
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("opentelemetry.instrumentation.openai", "1")
    with tracer.start_as_current_span("ask", attributes={"tenant.id": "acme"}):
        told: dict[str, AnyValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 3,
            "gen_ai.prompt.0.content": "SECRET",
        }
        with tracer.start_as_current_span("chat gpt-4o", attributes=told):
            pass
    provider.shutdown()


@pytest.mark.parametrize("kind", ["http", "http-gzip", "grpc"])
def test_exporters_of_the_sdk(kind: str) -> None:
    """What they send is audited as if it came from a file."""
    with _open(grpc_port=0) as live:
        if kind == "grpc":
            assert live.grpc_url is not None
            _send(GrpcExporter(endpoint=live.grpc_url, insecure=True))
        else:
            packed = Compression.Gzip if kind == "http-gzip" else Compression.NoCompression
            _send(HttpExporter(endpoint=f"{live.url}/v1/traces", compression=packed))
        live.stop()
        extractor = Extractor(DEFAULT)
        facts = [
            extractor.fact(span, 0, part)
            for part in live
            if isinstance(part, Batch)
            for span in part.spans
        ]
    call, root = sorted(facts, key=lambda one: one.name, reverse=True)
    assert (root.owner, call.parent_span_id) == ({"tenant_id": "acme"}, root.span_id)
    assert call.call is not None
    assert call.call.counts == {"input": 12, "output": 3}
    assert call.service == "shop"
    assert extractor.take_dropped() == 1
    assert (live.read.spans, live.read.records, live.read.format) == (2, 2, "otlp-live")
    assert live.read.read_bytes > 0


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
def test_json_packed_or_not(coding: str) -> None:
    """JSON is taken whatever is installed; the answer is in the encoding of the request."""
    body = _message(**{"tenant.id": "acme"})
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body)}.get(coding, body)
    headers = _JSON | ({"content-encoding": coding} if coding else {})
    with _open() as live:
        assert _post(live, packed, headers) == (200, b"{}")
        [span], troubles = _rest(live)
    assert span.attributes == {"tenant.id": "acme"}
    assert troubles == []


def test_protobuf_is_read_without_the_library() -> None:
    """The same message as the SDK would make it."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = b"a" * 16, b"b" * 8, "chat"
    with _open() as live:
        assert _post(live, request.SerializeToString(), _PROTOBUF) == (200, b"")
        [read], _ = _rest(live)
    assert (read.name, read.trace_id) == ("chat", (b"a" * 16).hex())


def test_chunks_are_put_together() -> None:
    """Some exporters do not know the length before they send."""
    body = _message()
    with _open() as live:
        host, port = live.url.removeprefix("http://").rsplit(":", 1)
        with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
            connection.request(
                "POST", "/v1/traces", iter([body[:40], body[40:]]), _JSON, encode_chunked=True
            )
            assert connection.getresponse().status == 200
        spans, _ = _rest(live)
    assert [one.name for one in spans] == ["chat"]


def test_events_and_metrics() -> None:
    """An event that tells of a call is one; points of metrics are counted."""
    attributes = [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]
    record = {"eventName": "gen_ai.client.inference.operation.details", "traceId": "a" * 32,
              "spanId": "b" * 16, "timeUnixNano": "5", "attributes": attributes}  # fmt: skip
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    metric = {"name": "gen_ai.client.token.usage", "histogram": {"dataPoints": [{}, {}]}}
    metrics = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    with _open() as live:
        assert _post(live, json.dumps(logs).encode(), _JSON, "/v1/logs")[0] == 200
        assert _post(live, json.dumps(metrics).encode(), _JSON, "/v1/metrics")[0] == 200
        live.stop()
        [part] = live
    assert isinstance(part, Batch)
    assert not part.has_traces
    assert live.read.usage_points == 2


@pytest.mark.parametrize(
    ("body", "headers", "path", "status"),
    [
        (b"{", _JSON, "/v1/traces", 400),
        (b"\xff\xff\xff", _PROTOBUF, "/v1/traces", 400),
        (b"no gzip", _JSON | {"content-encoding": "gzip"}, "/v1/traces", 400),
        (gzip.compress(b"{}")[:-9], _JSON | {"content-encoding": "gzip"}, "/v1/traces", 400),
        (gzip.compress(bytes(BODY_MAX_BYTES + 1)), _JSON | {"content-encoding": "gzip"},
         "/v1/traces", 413),
        (b"{}", {"content-type": "text/plain"}, "/v1/traces", 415),
        (b"{}", _JSON | {"content-encoding": "br"}, "/v1/traces", 415),
        (b"{}", _JSON, "/elsewhere", 404),
    ],
    ids=["json", "protobuf", "gzip", "cut", "bomb", "type", "coding", "path"],
)  # fmt: skip
def test_what_is_refused(body: bytes, headers: dict[str, str], path: str, status: int) -> None:
    """The sender is told, and the endpoint goes on."""
    with _open() as live:
        assert _post(live, body, headers, path)[0] == status
        assert _post(live, _message(), _JSON)[0] == 200
        spans, troubles = _rest(live)
    assert len(spans) == 1
    assert len(troubles) == (0 if status == 404 else 1), "it is in the report"


def test_what_cannot_be_read_is_in_the_report() -> None:
    """So that the audit is not believed to be of everything."""
    with _open() as live:
        assert _post(live, b'{"resourceSpans": 3}', _JSON)[0] == 400
        _, [trouble] = _rest(live)
    assert trouble.where.source == live.read.source
    assert live.read.troubles == 1


def test_a_body_that_is_said_to_be_too_large_is_not_read() -> None:
    """The length alone is enough."""
    with _open() as live:
        host, port = live.url.removeprefix("http://").rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=30) as raw:
            raw.sendall(
                b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"content-length: 999999999999\r\n\r\n"
            )
            assert raw.recv(64).startswith(b"HTTP/1.1 413 ")


def test_a_sender_that_is_refused_can_read_why() -> None:
    """It is not reset while it still writes."""
    body = bytes(BODY_MAX_BYTES + 2_000_000)
    with _open() as live:
        status, answer = _post(live, body, _JSON)
    assert status == 413
    assert b"smaller batches" in answer


def test_senders_are_asked_to_come_again_when_too_much_waits() -> None:
    """Memory is bounded; nothing is thrown away silently."""
    inbox = Inbox(held_max_bytes=300)
    body = _message()
    assert inbox.take(Signal.TRACES, body, is_json=True).kind is Kind.OK
    assert inbox.take(Signal.TRACES, body, is_json=True).kind is Kind.UNAVAILABLE
    assert inbox.get(0) is not None
    assert inbox.take(Signal.TRACES, body, is_json=True).kind is Kind.OK
    inbox.close()
    assert inbox.take(Signal.TRACES, b"{}", is_json=True).kind is Kind.UNAVAILABLE


def test_a_person_who_looks_is_told_what_it_is() -> None:
    """A browser shows a line of text."""
    with _open() as live:
        host, port = live.url.removeprefix("http://").rsplit(":", 1)
        with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
            connection.request("GET", "/")
            assert b"OTLP" in connection.getresponse().read()


def test_the_time_ends_it() -> None:
    """No traffic is needed for that, and the port is free afterwards."""
    live = listen(port=0, minutes=0.001)
    assert list(live) == []
    host, port = live.url.removeprefix("http://").rsplit(":", 1)
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port))):
        pass


def test_progress_is_told_while_nobody_sends() -> None:
    """A person sees that it is alive."""
    told: list[int] = []
    list(listen(port=0, minutes=0.001, on_progress=lambda read: told.append(read.spans)))
    assert told
    assert set(told) == {0}


def test_an_interrupt_ends_it_with_what_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it waits: spans that wait come in one part."""
    with _open() as live:
        for _ in range(3):
            assert _post(live, _message(), _JSON)[0] == 200
        get, asked = live._inbox.get, []

        def interrupted(timeout_s: float) -> Any:
            asked.append(timeout_s)
            if len(asked) == 1:
                raise KeyboardInterrupt
            return get(timeout_s)

        monkeypatch.setattr(live._inbox, "get", interrupted)
        [part] = live
    assert isinstance(part, Batch)
    assert len(part.spans) == 3


def test_a_port_that_is_taken() -> None:
    """One line that says what to do."""
    with _open() as live:
        port = int(live.url.rsplit(":", 1)[1])
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}: .*--listen"):
            listen(port=port)


def test_a_taken_port_of_grpc_is_told_and_http_is_served() -> None:
    """A collector often has 4317 already."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with _open(grpc_port=port) as live:
            assert live.grpc_url is None
            assert _post(live, _message(), _JSON)[0] == 200
            spans, [trouble] = _rest(live)
    assert len(spans) == 1
    assert "gRPC is not served" in trouble.problem


def test_without_grpcio_http_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has none; the report says what to install."""

    def refuse(*_: object) -> None:
        raise MissingExtraError("OTLP over gRPC")

    monkeypatch.setattr("tollbook.audit.inputs.live_grpc.GrpcServer", refuse)
    with _open(grpc_port=0) as live:
        assert live.grpc_url is None
        assert "tollbook[audit]" in live.read.notes[0]
        assert _post(live, _message(), _JSON)[0] == 200


def test_many_senders_at_once() -> None:
    """Each message is taken once."""
    with _open() as live:
        done: list[int] = []

        def send(number: int) -> None:
            done.extend(_post(live, _message(f"{number}-{one}"), _JSON)[0] for one in range(5))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spans, _ = _rest(live)
    assert done == [200] * 40
    assert len({one.name for one in spans}) == 40


def test_grpc_tells_what_it_cannot_read() -> None:
    """As an exporter sees it."""
    with _open(grpc_port=0) as live:
        assert live.grpc_url is not None
        with grpc.insecure_channel(live.grpc_url.removeprefix("http://")) as channel:
            export = channel.unary_unary(
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
            )
            with pytest.raises(grpc.RpcError) as error:
                export(b"\xff\xff\xff", timeout=30)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT

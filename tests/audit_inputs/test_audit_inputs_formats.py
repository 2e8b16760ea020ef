"""Every format gives the same trace, whatever the file is called."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import SpanKind
from tests.audit_inputs.small_product import (
    SPANS,
    TRACE_ID,
    TREE,
    after_length,
    in_base64,
    jaeger,
    lines,
    otlp,
    pairs,
    protobuf,
    read_bytes,
    zipkin,
)

from tollbook.audit.inputs.sources import kinds, open_inputs
from tollbook.audit.read import Batch

if TYPE_CHECKING:
    from pathlib import Path

ELEMENTS = otlp()["resourceSpans"]


def _old(message: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        json.dumps(message)
        .replace("scopeSpans", "instrumentationLibrarySpans")
        .replace('"scope"', '"instrumentationLibrary"')
    )
    return made


def _names(message: dict[str, Any]) -> dict[str, Any]:
    parsed = ExportTraceServiceRequest.FromString(protobuf(message))
    made: dict[str, Any] = json.loads(MessageToJson(parsed, preserving_proto_field_name=True))
    return made


def _elasticsearch() -> bytes:
    trace = jaeger()
    return lines(
        *[
            {**span, "process": trace["processes"][span["processID"]], "startTimeMillis": 1}
            for span in trace["spans"]
        ]
    )


WRITTEN = {
    "one object": (lines(otlp()), "otlp-json"),
    "one object, indented": (json.dumps(otlp(), indent=2).encode(), "otlp-json"),
    "lines": (lines(*[{"resourceSpans": [one]} for one in ELEMENTS]), "otlp-jsonl"),
    "an array of messages": (json.dumps([otlp()]).encode(), "otlp-json"),
    "elements of the list": (lines(*ELEMENTS), "otlp-json"),
    "spans of their own": (
        lines(
            *[
                {**span, "resource": one["resource"], "scope": scope["scope"]}
                for one in ELEMENTS
                for scope in one["scopeSpans"]
                for span in scope["spans"]
            ]
        ),
        "otlp-json",
    ),
    "names with underscores, ids in base64": (json.dumps(_names(otlp())).encode(), "otlp-json"),
    "scopes by their old name": (lines(_old(otlp())), "otlp-json"),
    "Tempo": (lines({"batches": in_base64(otlp())["resourceSpans"]}), "tempo"),
    "Tempo, version 2": (lines({"trace": in_base64(otlp())}), "tempo"),
    "Protobuf with lengths": (
        b"".join(after_length(protobuf({"resourceSpans": [one]})) for one in ELEMENTS),
        "otlp-protobuf",
    ),
    "one Protobuf message": (protobuf(otlp()), "otlp-protobuf"),
    "Jaeger": (lines({"data": [jaeger()], "total": 0, "errors": None}), "jaeger"),
    "Jaeger, indented": (json.dumps({"data": [jaeger()]}, indent=4).encode(), "jaeger"),
    "Jaeger, a trace a line": (lines(jaeger()), "jaeger"),
    "Jaeger, of Elasticsearch": (_elasticsearch(), "jaeger"),
    "Jaeger, version 3 of its API": (lines({"result": otlp()}), "otlp-json"),
    "Zipkin": (json.dumps(zipkin()).encode(), "zipkin"),
    "Zipkin, several traces": (json.dumps([zipkin()[:1], zipkin()[1:]]).encode(), "zipkin"),
    "Zipkin, a span a line": (lines(*zipkin()), "zipkin"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_format_gives_the_trace_as_it_was(name: str, tmp_path: Path) -> None:
    data, format_ = WRITTEN[name]
    got = read_bytes(tmp_path, data)
    assert got.troubles == []
    assert got.tree == TREE
    assert len(got.spans) == len(SPANS)
    assert got.read.format == format_
    assert format_ in kinds()
    told = {one.span_id: one for one in got.spans}
    for one in SPANS:
        span = told[one["id"]]
        assert span.started_at_ns == 1_790_000_000_000_000_000
        assert span.ended_at_ns - span.started_at_ns == 1_500_000
        assert span.scope_name == one["scope"]
        assert span.scope_version == "1.0"
        assert span.is_error == one.get("error", False)
        for attribute, value in one["attributes"].items():
            # Zipkin has texts alone
            assert span.attributes[attribute] in {value, str(value)}


def test_what_the_console_exporter_of_python_prints(tmp_path: Path) -> None:
    out = io.StringIO()
    provider = TracerProvider(resource=Resource({"service.name": "web"}))
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=out)))
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("root", kind=SpanKind.SERVER) as root:
        with tracer.start_as_current_span("chat", attributes={"gen_ai.usage.input_tokens": 3}):
            pass
        root.add_event("seen", {"a": 1})
        ids = root.get_span_context()
    provider.shutdown()
    got = read_bytes(tmp_path, b"Starting the app\n" + out.getvalue().encode())
    chat, told = got.spans
    assert got.read.format == "otel-console"
    assert [one.problem for one in got.troubles] == ["is not JSON: expected { or ["]
    assert (told.trace_id, told.span_id) == (f"{ids.trace_id:032x}", f"{ids.span_id:016x}")
    assert chat.parent_span_id == told.span_id
    assert told.kind == 2
    assert told.resource["service.name"] == "web"
    assert told.ended_at_ns >= told.started_at_ns > 1_700_000_000_000_000_000
    assert told.events[0].name == "seen"
    assert chat.attributes == {"gen_ai.usage.input_tokens": 3}


def test_what_the_console_exporter_of_go_prints(tmp_path: Path) -> None:
    printed = {
        "Name": "chat",
        "SpanContext": {"TraceID": TRACE_ID, "SpanID": "eee19b7ec3c1b175", "TraceState": ""},
        "Parent": {"TraceID": TRACE_ID, "SpanID": "0000000000000000"},
        "SpanKind": 3,
        "StartTime": "2026-09-21T15:06:40.123456789+02:00",
        "EndTime": "2026-09-21T15:06:41+02:00",
        "Attributes": [
            {"Key": "gen_ai.usage.input_tokens", "Value": {"Type": "INT64", "Value": 5}}
        ],
        "Status": {"Code": "Error", "Description": ""},
        "Resource": [{"Key": "service.name", "Value": {"Type": "STRING", "Value": "web"}}],
        "InstrumentationScope": {"Name": "shop", "Version": "2"},
    }
    got = read_bytes(tmp_path, json.dumps(printed, indent="\t").encode() + b"\n")
    (span,) = got.spans
    assert span.started_at_ns == 1_789_996_000_123_456_789
    assert span.parent_span_id is None
    assert (span.is_error, span.scope_version, span.kind) == (True, "2", 3)
    assert span.attributes == {"gen_ai.usage.input_tokens": 5}


LOGS = {
    "resourceLogs": [
        {
            "resource": {"attributes": pairs({"service.name": "web"})},
            "scopeLogs": [
                {
                    "scope": {"name": "opentelemetry.util.genai"},
                    "logRecords": [
                        {
                            "timeUnixNano": "1790000000000000000",
                            "eventName": "gen_ai.client.inference.operation.details",
                            "traceId": TRACE_ID,
                            "spanId": "eee19b7ec3c1b175",
                            "attributes": pairs({"gen_ai.usage.input_tokens": 9}),
                        },
                        {"timeUnixNano": "1790000000000000001", "eventName": "gen_ai.choice"},
                    ],
                }
            ],
        }
    ]
}
METRICS = {
    "resourceMetrics": [
        {
            "scopeMetrics": [
                {
                    "metrics": [
                        {
                            "name": "gen_ai.client.token.usage",
                            "histogram": {"dataPoints": [{"count": "1"}, {"count": "2"}]},
                        },
                        {"name": "http.server.time", "sum": {"dataPoints": [{"asInt": "1"}]}},
                    ]
                }
            ]
        }
    ]
}


@pytest.mark.parametrize("form", [lines, lambda told: after_length(protobuf(told))])
def test_an_event_of_a_log_is_a_call_whose_trace_is_not_known(form: Any, tmp_path: Path) -> None:
    path = tmp_path / "logs"
    path.write_bytes(form(LOGS))
    (source,) = open_inputs([str(path)])
    (batch,) = list(source)
    assert isinstance(batch, Batch)
    assert not batch.has_traces
    (span,) = batch.spans
    assert (span.trace_id, span.span_id) == (TRACE_ID, "eee19b7ec3c1b175")
    assert span.attributes == {"gen_ai.usage.input_tokens": 9}
    assert span.started_at_ns == 1_790_000_000_000_000_000


@pytest.mark.parametrize("form", [lines, lambda told: after_length(protobuf(told))])
def test_points_of_metrics_that_tell_usage_are_counted(form: Any, tmp_path: Path) -> None:
    got = read_bytes(tmp_path, form(METRICS))
    assert got.read.usage_points == 2
    assert got.spans == []
    assert got.troubles == []


def test_formats_may_be_mixed_in_a_file(tmp_path: Path) -> None:
    data = lines(otlp(), zipkin()[0], jaeger(), METRICS, LOGS)
    got = read_bytes(tmp_path, data)
    assert got.read.format == "otlp-json + zipkin + jaeger + otlp-metrics + otlp-logs"
    assert len(got.spans) == 3 + 1 + 3 + 1
    assert got.troubles == []


def test_both_sides_of_a_span_that_zipkin_shares_are_kept(tmp_path: Path) -> None:
    client, server = dict(zipkin()[1]), dict(zipkin()[1])
    server |= {"shared": True, "kind": "SERVER", "localEndpoint": {"serviceName": "model"}}
    got = read_bytes(tmp_path, json.dumps([client, server]).encode())
    ours, theirs = got.spans
    assert theirs.span_id != ours.span_id
    assert theirs.parent_span_id == ours.span_id


def test_ids_of_64_bits_are_written_as_long_ones(tmp_path: Path) -> None:
    trace = jaeger()
    short = json.loads(json.dumps(trace).replace(TRACE_ID, TRACE_ID[16:]))
    got = read_bytes(tmp_path, lines(short))
    assert {one.trace_id for one in got.spans} == {"0" * 16 + TRACE_ID[16:]}
    assert {one.parent_span_id for one in got.spans} == {None, "eee19b7ec3c1b174"}

"""OTLP in protobuf and JSON comes to the same spans; what is none is refused."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from tests.otlp_mapping.kit import AT_NS, SPAN, TRACE

from tollbook.capture.otlp import decode, decode_json
from tollbook.capture.otlp.errors import BadOtlpError
from tollbook.capture.otlp.limits import NS_MAX


def value_of(value: Any) -> AnyValue:
    """Return a value as OTLP has it."""
    made = AnyValue()
    match value:
        case bool():
            made.bool_value = value
        case str():
            made.string_value = value
        case int():
            made.int_value = value
        case float():
            made.double_value = value
        case bytes():
            made.bytes_value = value
        case list():
            made.array_value.values.extend([value_of(one) for one in value])
        case dict():
            made.kvlist_value.values.extend(pairs(value))
        case _:
            pass
    return made


def pairs(values: dict[str, Any]) -> list[KeyValue]:
    """Return attributes as OTLP has them."""
    return [KeyValue(key=name, value=value_of(one)) for name, one in values.items()]


ATTRIBUTES = {
    "text": "héllo", "whole": 2**60, "negative": -5, "part": 0.1, "yes": True, "no": False,
    "list": ["a", 1, 2.5], "object": {"a": {"b": [True]}}, "empty": "", "nothing": None,
}  # fmt: skip


def a_request() -> ExportTraceServiceRequest:
    """Return a request with one span that has everything."""
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    of_resource.resource.attributes.extend(pairs({"service.name": "shop"}))
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name, of_scope.scope.version = "scope", "1.2"
    span = of_scope.spans.add(
        trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN),
        parent_span_id=bytes.fromhex(SPAN), name="a span", kind=3,
        start_time_unix_nano=AT_NS, end_time_unix_nano=AT_NS + 7, trace_state="ot=th:8", flags=257,
    )  # fmt: skip
    span.attributes.extend(pairs(ATTRIBUTES))
    span.status.code, span.status.message = 2, "failed"
    span.links.add(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN))
    event = span.events.add(name="exception", time_unix_nano=AT_NS)
    event.attributes.extend(pairs({"exception.type": "E"}))
    return request


def as_json(request: Any) -> Any:
    """Return a request in OTLP's JSON: that of protobuf, but ids in hex and enums as numbers."""

    def hexed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: ids[one] if name in {"traceId", "spanId", "parentSpanId"} else hexed(one)
                for name, one in value.items()
            }
        return [hexed(one) for one in value] if isinstance(value, list) else value

    ids = {base64.b64encode(bytes.fromhex(one)).decode(): one.upper() for one in (TRACE, SPAN)}
    return hexed(MessageToDict(request, use_integers_for_enums=True))


def test_both_encodings_come_to_the_same_span() -> None:
    request = a_request()
    (span,) = decode.decode_protobuf(request.SerializeToString())
    assert decode.decode_json(json.dumps(as_json(request)).encode()) == [span]
    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE, SPAN, SPAN)
    assert span.attributes == ATTRIBUTES
    assert span.resource == {"service.name": "shop"}
    assert (span.scope_name, span.scope_version, span.is_error) == ("scope", "1.2", True)
    assert (span.started_at_ns, span.ended_at_ns) == (AT_NS, AT_NS + 7)
    assert span.events[0].attributes == {"exception.type": "E"}
    assert span.links[0].trace_id == TRACE
    assert (span.tracestate, span.flags) == ("ot=th:8", 257)


def test_json_as_exporters_write_it() -> None:
    body = as_json(a_request())
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["newMember"] = {"x": 1}
    span["startTimeUnixNano"] = AT_NS  # a number in place of text
    span["attributes"] = [
        {"key": "n", "value": {"intValue": "12"}},
        {"key": "m", "value": {"intValue": 13}},
        {"key": "d", "value": {"doubleValue": 1}},
        {"key": "x", "value": {"doubleValue": "NaN"}},
        {"key": "y", "value": {"intValue": "1e5"}},
        {"key": "z", "value": {"intValue": "9" * 5000}},
        {"key": "none"},
    ]
    (read,) = decode.decode_json(json.dumps(body).encode())
    assert read.started_at_ns == AT_NS
    assert math.isnan(read.attributes.pop("x"))
    assert read.attributes == {"n": 12, "m": 13, "d": 1.0, "y": None, "z": None, "none": None}


def test_an_empty_request_has_no_spans() -> None:
    assert decode.decode_protobuf(b"") == []
    assert decode.decode_json(b"{}") == []
    assert decode.decode_logs_json(b"{}") == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"resourceSpans": 5}', b"\xff", b'{"resourceSpans": ' + b"[" * 10_000,
     b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":5}]}]}]}'],
)  # fmt: skip
def test_what_is_no_json_message_is_refused(body: bytes) -> None:
    with pytest.raises(BadOtlpError, match="is no trace message in JSON"):
        decode.decode_json(body)


def test_what_is_no_protobuf_message_is_refused() -> None:
    with pytest.raises(BadOtlpError, match="is no trace message in protobuf"):
        decode.decode_protobuf(b"\xff\xff\xff")
    with pytest.raises(BadOtlpError, match="is no logs message in protobuf"):
        decode.decode_logs_protobuf(b"\xff\xff\xff")


def test_more_spans_than_are_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "RECORDS_MAX", 2)
    monkeypatch.setattr(decode_json, "RECORDS_MAX", 2)
    request = a_request()
    spans = request.resource_spans[0].scope_spans[0].spans
    spans.add().CopyFrom(spans[0])
    assert len(decode.decode_protobuf(request.SerializeToString())) == 2
    spans.add().CopyFrom(spans[0])
    with pytest.raises(BadOtlpError, match="more than 2 spans"):
        decode.decode_protobuf(request.SerializeToString())
    with pytest.raises(BadOtlpError, match="more than 2 spans"):
        decode.decode_json(json.dumps(as_json(request)).encode())


def test_times_beyond_the_ledgers_are_cut() -> None:
    request = a_request()
    request.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = 2**64 - 1
    (span,) = decode.decode_protobuf(request.SerializeToString())
    assert span.ended_at_ns == NS_MAX
    assert decode.decode_json(json.dumps(as_json(request)).encode()) == [span]


def test_log_records_of_both_encodings() -> None:
    request = ExportLogsServiceRequest()
    of_scope = request.resource_logs.add().scope_logs.add()
    of_scope.scope.name = "scope"
    record = of_scope.log_records.add(
        trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN), event_name="an.event",
        observed_time_unix_nano=AT_NS, flags=1,
    )  # fmt: skip
    record.attributes.extend(pairs(ATTRIBUTES))
    record.body.CopyFrom(value_of({"a": [1]}))
    (read,) = decode.decode_logs_protobuf(request.SerializeToString())
    assert (read.event_name, read.at_ns, read.flags, read.body) == (
        "an.event",
        AT_NS,
        1,
        {"a": [1]},
    )
    assert read.attributes == ATTRIBUTES
    assert decode.decode_logs_json(json.dumps(as_json(request)).encode()) == [read]

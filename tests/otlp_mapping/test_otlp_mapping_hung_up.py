"""A stream that was hung up on costs the same whether its SDK tells of it by span or by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollbook.call import (
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    Identity,
    Metering,
    Observer,
    Status,
    UsageSource,
)
from tollbook.capture.otlp.decode import decode_protobuf
from tollbook.capture.otlp.mapping import frames_of
from tollbook.ledger.charge import measure
from tollbook.sdk.sinks import OtelSink

if TYPE_CHECKING:
    from tollbook.call import Frame

CALL_ID = bytes(range(16))
EVIDENCE = Evidence("test", 1, 0, "test")
OPENED = CallOpened(
    call_id=CALL_ID, started_at_ns=1_795_000_000_000_000_000, identity=Identity(tenant_id="acme"),
    provider="openai", dialect="openai", operation="chat", metering=Metering.METERED,
    method="POST", path="/v1/chat/completions", model_requested="gpt-4o-mini", is_stream=True,
    input_chars=4000, observer=Observer.SDK, span_id=CALL_ID[8:].hex(),
)  # fmt: skip
CLOSED = CallClosed(
    call_id=CALL_ID, closed_at_ns=1_795_000_001_000_000_000, status=Status.CANCELLED,
    http_status=200, duration_ns=1_000_000_000, output_chars=800, output_events=20,
)  # fmt: skip


def received(opened: CallOpened, closed: CallClosed) -> list[Frame]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    sink = OtelSink(provider)
    sink.closed(opened, closed)
    assert sink.flush(5)
    (span,) = decode_protobuf(encode_spans(exporter.get_finished_spans()).SerializeToString())
    return frames_of(span, 1)


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.ERROR])
@pytest.mark.parametrize("is_billable", ["billed", ""])
def test_what_was_given_is_estimated_alike(status: Status, is_billable: str) -> None:
    told = replace(CLOSED, status=status, error_type=None, is_billable=bool(is_billable))
    _, opened, closed = received(OPENED, told)
    assert isinstance(opened, CallOpened)
    assert isinstance(closed, CallClosed)
    assert (closed.status, closed.is_billable) == (status, bool(is_billable))
    direct = measure(Call(OPENED, told, EVIDENCE))
    by_span = measure(Call(opened, closed, EVIDENCE))
    assert by_span.kinds == direct.kinds
    assert by_span.source is direct.source
    assert direct.source is (UsageSource.ESTIMATED if is_billable else UsageSource.NONE)

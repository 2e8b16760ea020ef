"""OtelSink and TeeSink: conventions of today, and nothing lost on the way to our own receiver."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind as OtelKind
from opentelemetry.trace import StatusCode
from tests.sdk_sinks.sinks_kit import TRACE, a_call, a_span

import tollbook
from tollbook.call import Call, CallClosed, CallOpened, Evidence, SpanKind, SpanSeen, Status
from tollbook.capture.otlp.decode import decode_protobuf
from tollbook.capture.otlp.mapping import frames_of
from tollbook.dialects.registry import measures_named
from tollbook.sdk import runtime as runtime_module
from tollbook.sdk.runtime import Runtime
from tollbook.sdk.sink import MemorySink
from tollbook.sdk.sinks import OtelSink, TeeSink
from tollbook.sdk.spans import current_span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

ROOT = "b7ad6b7169203331"


class World:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.sink = OtelSink(tracers, MeterProvider([self.reader]))

    def spans(self) -> list[ReadableSpan]:
        assert self.sink.flush(10)
        return list(self.exporter.get_finished_spans())

    def points(self) -> dict[str, list[Any]]:
        assert self.sink._make_waiting(10)
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def as_sink(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(runtime_module, "_current", Runtime(sink=world.sink))
    return world


def test_a_call_is_a_span_of_the_conventions(world: World) -> None:
    opened, closed = a_call(
        trace_id=TRACE, parent_span_id=ROOT, span_id="00f067aa0ba902b7", max_output_tokens=50,
        is_stream=True, time_to_first_token_ns=2_000_000, service_tier="flex",
    )  # fmt: skip

    world.sink.opened(opened)
    world.sink.closed(opened, closed)

    (span,) = world.spans()
    assert (span.name, span.kind) == ("chat gpt-4o", OtelKind.CLIENT)
    assert (span.start_time, span.end_time) == (opened.started_at_ns, closed.closed_at_ns)
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.context.span_id:016x}" == "00f067aa0ba902b7"
    assert f"{span.parent.span_id:016x}" == ROOT
    found = dict(span.attributes or {})
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.002,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "openai.response.service_tier": "flex",
        "tenant.id": "acme",
        "user.id": "ada",
        "tollbook.identity.plan": "gold",
        "tollbook.dialect": "openai",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert not any(name.startswith("gen_ai.usage.cost") for name in found)
    assert span.status.status_code is StatusCode.UNSET


def test_a_cost_that_the_provider_named_goes_along(world: World) -> None:
    usage = b'{"prompt_tokens":10,"completion_tokens":2,"cost":0.00125}'
    world.sink.closed(*a_call(provider="openrouter", usage=(usage,)))

    found = dict(world.spans()[0].attributes or {})
    assert found["gen_ai.usage.cost.amount"] == 0.00125
    assert found["gen_ai.usage.cost.currency"] == "USD"
    assert found["gen_ai.usage.cost.source"] == "provider"


def test_an_error_is_an_error_without_usage(world: World) -> None:
    call = a_call(status=Status.ERROR, http_status=429, usage=(), is_billable=False)
    world.sink.closed(*call)

    (span,) = world.spans()
    found = dict(span.attributes or {})
    assert span.status.status_code is StatusCode.ERROR
    assert found["error.type"] == "429"
    assert found["http.response.status_code"] == 429
    assert "gen_ai.usage.input_tokens" not in found


@pytest.mark.parametrize(
    ("dialect", "provider", "usage"),
    [
        ("openai", "openai", b'{"prompt_tokens":100,"completion_tokens":20}'),
        (
            "anthropic",
            "anthropic",
            (
                b'{"input_tokens":3,"output_tokens":4,"cache_creation_input_tokens":30,'
                b'"cache_read_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":10,'
                b'"ephemeral_1h_input_tokens":20}}'
            ),
        ),
        (
            "gemini",
            "gemini",
            b'{"promptTokenCount":9,"candidatesTokenCount":4,"totalTokenCount":13}',
        ),
        (
            "cohere",
            "cohere",
            b'{"billed_units":{"input_tokens":5,"output_tokens":3},"tokens":{"input_tokens":70}}',
        ),
    ],
)
def test_our_own_receiver_reads_the_same_usage_as_was_seen(
    world: World, dialect: str, provider: str, usage: bytes
) -> None:
    opened, closed = a_call(dialect=dialect, provider=provider, usage=(usage,))
    world.sink.closed(opened, closed)
    body = encode_spans(world.spans()).SerializeToString()
    (received,) = decode_protobuf(body)
    frames = frames_of(received, opened.started_at_ns)

    (again,) = [one for one in frames if isinstance(one, CallOpened)]
    (ended,) = [one for one in frames if isinstance(one, CallClosed)]
    assert again.provider == provider
    assert again.identity.tenant_id == "acme"
    assert again.identity.tags["plan"] == "gold"
    assert ended.provider_response_id == closed.provider_response_id
    evidence = Evidence("", 0, 0, "")
    known = measures_named(dialect).measure(Call(opened, closed, evidence))
    read = measures_named(again.dialect).measure(Call(again, ended, evidence))
    assert known.kinds is not None
    assert read.kinds == known.kinds


def test_a_run_keeps_the_ids_that_its_calls_name(world: World) -> None:
    agent = a_span(span_id=ROOT)
    tool = a_span(
        span_id="1111111111111111", parent_span_id=ROOT, kind=SpanKind.TOOL, name="search"
    )
    call = a_call(trace_id=TRACE, parent_span_id="1111111111111111")

    world.sink.closed(*call)
    world.sink.span(tool)
    world.sink.span(agent)

    body = encode_spans(world.spans()).SerializeToString()
    seen = {
        one.name: one
        for span in decode_protobuf(body)
        for one in frames_of(span, 1)
        if isinstance(one, SpanSeen)
    }
    assert {one.trace_id for one in seen.values()} == {TRACE}
    assert (seen["planner"].span_id, seen["planner"].parent_span_id) == (ROOT, None)
    assert (seen["search"].span_id, seen["search"].parent_span_id) == (tool.span_id, ROOT)
    assert seen["chat gpt-4o"].parent_span_id == tool.span_id
    assert seen["planner"].kind is SpanKind.AGENT
    assert seen["search"].kind is SpanKind.TOOL
    assert seen["planner"].started_at_ns == agent.started_at_ns


def test_spans_of_many_threads_keep_their_ids(world: World) -> None:
    def work(part: int) -> None:
        for at in range(50):
            world.sink.span(a_span(span_id=f"{part * 1000 + at + 1:016x}", parent_span_id=ROOT))

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    found = {one.context.span_id for one in world.spans() if one.context is not None}
    assert found == {part * 1000 + at + 1 for part in range(4) for at in range(50)}


def test_metrics_are_those_of_the_conventions(world: World) -> None:
    world.sink.closed(*a_call())
    world.sink.closed(*a_call())
    world.sink.closed(
        *a_call(operation="embeddings", usage=(b'{"prompt_tokens":7,"total_tokens":7}',))
    )

    points = world.points()
    counted = {
        name.removeprefix("gen_ai.client.inference.usage."): sum(one.value for one in found)
        for name, found in points.items()
        if name.startswith("gen_ai.client.inference.usage.")
    }
    assert counted == {"input_tokens": 207, "output_tokens": 40, "cache_read.input_tokens": 80}
    assert sum(one.count for one in points["gen_ai.client.inference.duration"]) == 2
    assert sum(one.count for one in points["gen_ai.client.embeddings.duration"]) == 1
    assert points["gen_ai.client.inference.duration"][0].sum == pytest.approx(0.01)


def test_without_a_provider_nothing_happens_and_nothing_is_lost_later() -> None:
    sink = OtelSink()
    sink.closed(*a_call())
    sink.span(a_span())

    assert sink._make_waiting(10)
    assert sink.dropped == 0
    assert sink._tracer is None  # the application may still set a provider


def test_a_usage_that_cannot_be_read_never_raises(world: World) -> None:
    world.sink.closed(*a_call(usage=(b"\xff\xfe not json", b"{}")))
    world.sink.closed(*a_call(dialect="never heard of it"))

    assert len(world.spans()) + world.sink.dropped == 2


def test_what_waits_is_bounded_and_counted() -> None:
    begun, go_on = threading.Event(), threading.Event()
    sink = OtelSink(TracerProvider(), waiting_max=10)

    def hold() -> None:
        begun.set()
        go_on.wait(30)

    sink._put(hold)
    assert begun.wait(10)
    for _ in range(25):
        sink.span(a_span())
    assert sink.dropped == 15
    go_on.set()
    assert sink.flush(10)
    sink.close()
    sink.span(a_span())
    assert sink.dropped == 16


SCRIPT = """
import os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from tests.sdk_sinks.sinks_kit import a_call
from tollbook.sdk.sinks import OtelSink
sink = OtelSink()
provider = TracerProvider()  # set up after the sink, and so ended before it
exporter = ConsoleSpanExporter(formatter=lambda span: span.name + chr(10))
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)
sink.closed(*a_call())
sink.flush(5)
for _ in range(20):
    sink.closed(*a_call())
"""


def test_the_end_of_a_process_and_a_fork_lose_and_double_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.count("chat gpt-4o") == 21

    inherited = "before = a_call()\n"
    child = """
if os.fork() == 0:
    sink.closed(*before)
    sink.closed(*a_call())
    sink.flush(5)
    os._exit(0)
os.wait()
"""
    code = inherited + SCRIPT + child + "sink.closed(*before)\n"
    code = "from tests.sdk_sinks.sinks_kit import a_call\n" + code
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.count("chat gpt-4o") == 23


class Broken(MemorySink):
    def closed(self, opened: CallOpened, frame: CallClosed) -> None:
        raise RuntimeError("broken")

    def flush(self, timeout_s: float) -> bool:
        raise RuntimeError("broken")


def test_a_tee_tells_all_and_one_that_fails_stops_nothing() -> None:
    first, last = MemorySink(), MemorySink()
    tee = TeeSink(first, Broken(), last)
    opened, closed = a_call()

    tee.opened(opened)
    tee.closed(opened, closed)
    tee.span(a_span())

    assert list(first.calls) == list(last.calls) == [(opened, closed)]
    assert len(first.spans) == len(last.spans) == 1
    assert tee.dropped == 1
    assert not tee.flush(1)
    assert TeeSink(first, last).flush(1)
    tee.close()


def test_spans_of_other_instrumentations_are_within_the_scopes(as_sink: World) -> None:
    world = as_sink
    tracer = world.tracers.get_tracer("com.example.client")
    with (
        tracer.start_as_current_span("GET /agent"),
        tollbook.tenant("acme"),
        tollbook.agent_run("run-1", name="planner"),
        tollbook.step("plan"),
    ):
        with tracer.start_as_current_span("messages.create"):
            inner = current_span()
        assert current_span() is not None
        assert current_span() != inner
    body = encode_spans(world.spans()).SerializeToString()
    seen = {one.name: one for one in decode_protobuf(body)}

    assert seen["messages.create"].parent_span_id == seen["plan"].span_id
    assert seen["plan"].parent_span_id == seen["planner"].span_id
    assert seen["planner"].parent_span_id == seen["GET /agent"].span_id
    assert seen["plan"].attributes["tenant.id"] == "acme"
    assert len({one.trace_id for one in seen.values()}) == 1


def test_a_scope_that_fails_marks_its_span(world: World) -> None:
    tollbook.configure(sink=world.sink)
    with (
        pytest.raises(ValueError, match="no"),
        tollbook.agent_run("run-2"),
        tollbook.tool("search"),
    ):
        raise ValueError("no")
    body = encode_spans(world.spans()).SerializeToString()
    seen = {one.name: one for one in decode_protobuf(body)}

    assert seen["search"].is_error
    assert seen["search"].parent_span_id == seen["agent"].span_id

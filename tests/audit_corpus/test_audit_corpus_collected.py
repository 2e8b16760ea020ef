"""Spans of this process: kept without content, and the same after another process has sent them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from tollbook.audit.collected import OUTSIDE, Collector
from tollbook.audit.engine import audit
from tollbook.audit.pricing import ListPricer

SECRET = "what a customer said in confidence"
CALL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4.1",
    "gen_ai.response.model": "gpt-4.1-2025-04-14",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 10,
    "tenant.id": "acme",
}
VALUES = st.one_of(
    st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False),
    st.lists(st.text()), st.lists(st.integers(-10, 10)),
)  # fmt: skip


def provider(collector: Collector) -> TracerProvider:
    made = TracerProvider(resource=Resource({"service.name": "shop"}))
    collector.watch(made)
    return made


def told(collector: Collector, *attributes: dict[str, Any]) -> None:
    tracer = provider(collector).get_tracer("opentelemetry.instrumentation.openai", "1.0")
    for some in attributes:
        with tracer.start_as_current_span("chat", kind=trace.SpanKind.CLIENT, attributes=some):
            pass


def sent_on(collector: Collector) -> Collector:
    other = Collector()
    other.unpack(collector.packed(), collector.left_out)
    return other


def test_a_call_is_audited_as_it_was_made() -> None:
    collector = Collector()
    told(collector, CALL)
    for one in (collector, sent_on(collector)):
        made = audit(one.inputs(), ListPricer())
        assert (made.calls, made.services) == (1, {"shop": 1})
        assert made.instrumentations == {"opentelemetry.instrumentation.openai 1.0": 1}
        assert made.defensibility.cost_pico == 280_000_000, "100 at $2 and 10 at $8 a million"


def test_what_was_said_is_not_kept() -> None:
    collector = Collector()
    tracer = provider(collector).get_tracer("t")
    with tracer.start_as_current_span("chat", attributes=CALL) as span:
        span.set_attribute("gen_ai.input.messages", SECRET)
        span.set_attribute(
            "output.value", f'{{"usage": {{"total_tokens": 3}}, "text": "{SECRET}"}}'
        )
        span.add_event("gen_ai.choice", {"message.content": SECRET})
        span.record_exception(ValueError(SECRET))
    assert SECRET not in repr(collector.spans)
    assert SECRET not in repr(sent_on(collector).spans)


def test_parents_links_and_kinds_are_those_of_otlp() -> None:
    collector = Collector()
    tracer = provider(collector).get_tracer("t")
    with tracer.start_as_current_span("cause") as cause:
        pass
    link = trace.Link(cause.get_span_context())
    with (
        tracer.start_as_current_span("POST /ask", kind=trace.SpanKind.SERVER) as parent,
        tracer.start_as_current_span("job", links=[link]),
    ):
        pass
    _, job, asked = collector.spans[OUTSIDE]
    assert (asked.kind, job.kind) == (2, 1)
    assert job.parent_span_id == f"{parent.get_span_context().span_id:016x}" == asked.span_id
    assert [one.span_id for one in job.links] == [f"{cause.get_span_context().span_id:016x}"]
    assert asked.started_at_ns <= job.started_at_ns <= job.ended_at_ns <= asked.ended_at_ns


def test_a_provider_is_watched_once() -> None:
    collector = Collector()
    watched = provider(collector)
    collector.watch(watched)
    watched.get_tracer("t").start_span("one").end()
    assert len(collector.spans[OUTSIDE]) == 1


def test_spans_are_kept_by_the_place_where_they_ended() -> None:
    collector = Collector()
    told(collector, CALL)
    collector.place = "test_shop.py::test_ask"
    told(collector, CALL, CALL)
    assert [one.read.source for one in collector.inputs()] == [OUTSIDE, "test_shop.py::test_ask"]
    aside = collector.set_aside()
    assert collector.inputs() == []
    told(collector, CALL)
    collector.put_back(aside)
    assert {place: len(spans) for place, spans in collector.spans.items()} == {
        OUTSIDE: 1,
        "test_shop.py::test_ask": 3,
    }


def test_beyond_the_limit_spans_are_counted() -> None:
    collector = Collector(spans_max=2)
    told(collector, CALL, CALL, CALL)
    assert (sum(map(len, collector.spans.values())), collector.left_out) == (2, 1)
    assert sent_on(collector).left_out == 1
    full = Collector(spans_max=1)
    full.unpack(collector.packed(), collector.left_out)
    assert full.left_out == 2


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=5))
def test_any_attributes_are_kept_or_dropped_but_never_refused(attributes: dict[str, Any]) -> None:
    collector = Collector()
    told(collector, attributes)
    assert sent_on(collector).spans == collector.spans
    kept = collector.spans[OUTSIDE][0].attributes
    assert kept.keys() <= attributes.keys()

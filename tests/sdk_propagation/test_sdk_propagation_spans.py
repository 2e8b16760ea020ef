"""Runs, steps and tools become the spans of a tree."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tollbook import sdk as tollbook
from tollbook.call import SpanKind
from tollbook.sdk.propagation import from_payload, to_payload
from tollbook.sdk.propagation.threads import PropagatingExecutor

if TYPE_CHECKING:
    from tollbook.call import SpanSeen
    from tollbook.sdk.sink import MemorySink


def by_name(sink: MemorySink) -> dict[str, SpanSeen]:
    return {one.name: one for one in sink.spans}


def test_a_run_is_a_tree_of_spans(sink: MemorySink) -> None:
    with tollbook.tenant("acme"), tollbook.agent_run("run-1", name="planner"):
        with tollbook.step("plan"), tollbook.tool("search"), tollbook.retrieval():
            inner = tollbook.current_span()
        with tollbook.agent_run(name="writer"):
            assert tollbook.current().agent_run_id == "run-1"
    spans = by_name(sink)
    assert {name: one.kind for name, one in spans.items()} == {
        "planner": SpanKind.AGENT, "plan": SpanKind.STEP, "search": SpanKind.TOOL,
        "retrieval": SpanKind.RETRIEVAL, "writer": SpanKind.AGENT,
    }  # fmt: skip
    parents = {name: one.parent_span_id for name, one in spans.items()}
    assert parents["planner"] is None
    assert parents["plan"] == parents["writer"] == spans["planner"].span_id
    assert parents["search"] == spans["plan"].span_id
    assert parents["retrieval"] == spans["search"].span_id
    assert inner == (spans["planner"].trace_id, spans["retrieval"].span_id)
    assert len({one.trace_id for one in spans.values()}) == 1
    for one in spans.values():
        assert re.fullmatch(r"[0-9a-f]{32} [0-9a-f]{16}", f"{one.trace_id} {one.span_id}")
        assert one.identity is not None
        assert (one.identity.tenant_id, one.identity.agent_run_id) == ("acme", "run-1")
        assert one.ended_at_ns is not None
        assert one.ended_at_ns >= one.started_at_ns
    assert spans["plan"].identity is not None
    assert spans["plan"].identity.workflow_step == "plan"
    assert tollbook.current_span() is None


def test_a_run_without_an_id_gets_one_of_its_own(sink: MemorySink) -> None:
    seen = set()
    for _ in range(2):
        with tollbook.agent_run() as known:
            seen.add(known.agent_run_id)
    assert len(seen) == 2
    assert None not in seen


def test_a_span_that_ended_in_an_error_says_so(sink: MemorySink) -> None:
    with pytest.raises(ValueError, match="x"), tollbook.step("fails"):
        raise ValueError("x")
    with tollbook.step("works"):
        pass
    assert {name: one.is_error for name, one in by_name(sink).items()} == {
        "fails": True, "works": False,
    }  # fmt: skip


def test_a_sink_that_raises_does_not_break_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def span(self, frame: SpanSeen) -> None:
            raise OSError("full")

    tollbook.configure(sink=Broken())
    with tollbook.step("one") as known:
        assert known.workflow_step == "one"


def test_a_decorated_function_makes_a_span_for_each_call(sink: MemorySink) -> None:
    @tollbook.tool("search")
    def search() -> str | None:
        found = tollbook.current_span()
        return found.span_id if found else None

    threads = [threading.Thread(target=search) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    search()
    assert len({one.span_id for one in sink.spans}) == 4


def test_an_active_span_of_opentelemetry_is_the_parent_and_takes_over_within(
    sink: MemorySink,
) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("outer") as outer:
        ids = outer.get_span_context()
        assert tollbook.current_span() == (f"{ids.trace_id:032x}", f"{ids.span_id:016x}")
        with tollbook.step("mine"):
            mine = tollbook.current_span()
            assert mine is not None
            assert mine.trace_id == f"{ids.trace_id:032x}"
            with tracer.start_as_current_span("inner") as inner:
                found = tollbook.current_span()
                assert found is not None
                assert found.span_id == f"{inner.get_span_context().span_id:016x}"
            assert tollbook.current_span() == mine
    (span,) = sink.spans
    assert span.parent_span_id == f"{ids.span_id:016x}"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_job_is_part_of_the_trace_that_enqueued_it(sink: MemorySink) -> None:
    with tollbook.tenant("acme"), tollbook.agent_run("r1"):
        payload = to_payload()
    with from_payload(payload, job="index"), tollbook.step("embed"):
        pass
    spans = by_name(sink)
    assert spans["index"].kind is SpanKind.WORKFLOW
    assert spans["index"].parent_span_id == spans["agent"].span_id
    assert spans["embed"].parent_span_id == spans["index"].span_id
    assert len({one.trace_id for one in sink.spans}) == 1


def test_a_job_that_called_nobody_is_not_told_of(sink: MemorySink) -> None:
    with from_payload({"baggage": "tenant.id=acme"}, job="quiet"):
        pass
    assert not sink.spans


def test_what_runs_again_and_again_is_linked_to_what_scheduled_it(sink: MemorySink) -> None:
    with tollbook.step("schedules"):
        payload = to_payload()
    for _ in range(2):
        with from_payload(payload, job="nightly", is_linked=True), tollbook.step("works"):
            pass
    runs = [one for one in sink.spans if one.name == "nightly"]
    first = by_name(sink)["schedules"]
    assert [one.links for one in runs] == [(f"{first.trace_id}:{first.span_id}",)] * 2
    assert len({one.trace_id for one in runs} | {first.trace_id}) == 3
    assert all(one.parent_span_id is None for one in runs)


def test_a_job_is_not_part_of_what_the_worker_was_doing(sink: MemorySink) -> None:
    with tollbook.tenant("worker"), tollbook.step("loop"), from_payload({}, job="job"):
        assert tollbook.current().tenant_id is None
        with tollbook.step("inner"):
            pass
    spans = by_name(sink)
    assert spans["job"].parent_span_id is None
    assert spans["job"].trace_id != spans["loop"].trace_id


def test_threads_that_ask_for_a_requests_span_at_once_get_the_same() -> None:
    with from_payload({}, job="job"):
        together = threading.Barrier(8)

        def ask() -> object:
            together.wait(10)
            return tollbook.current_span()

        with PropagatingExecutor(8) as pool:
            found = [pool.submit(ask) for _ in range(8)]
            assert len({one.result(10) for one in found}) == 1

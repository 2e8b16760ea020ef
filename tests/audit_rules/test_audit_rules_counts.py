"""What findings count: traces and copies, and the spans that a change of tenant names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace
from tests.audit_rules.made_traces import AT_NS, CLIENT, SERVER, call, found, span

from tollbook.audit.findings import Hop, Mode, Severity
from tollbook.audit.rules.found import ref_of
from tollbook.audit.tally import Tally

if TYPE_CHECKING:
    from tollbook.audit.facts import SpanFact


def _in_trace(number: int, tenant: str) -> list[SpanFact]:
    one = call(1, owner={"tenant_id": tenant}, of={"api_key_id": "key-1", "response_id": None})
    return [replace(one, trace_id=f"{number:032x}", started_at_ns=AT_NS + number)]


def test_a_shared_key_is_counted_in_all_its_traces() -> None:
    hits = found(*[_in_trace(number, f"t{number % 2}") for number in range(6)], rule="A18")
    tally = Tally()
    for hit in hits:
        tally.add(hit)
    (one,) = tally.findings()
    assert (one.calls, one.traces) == (6, 6)


def test_users_without_a_tenant_are_counted_in_all_their_traces() -> None:
    traces = [
        [replace(call(1, owner={"user_id": f"u{number}"}), trace_id=f"{number:032x}")]
        for number in range(5)
    ]
    (hit,) = found(*traces, rule="A23")
    assert (hit.calls, hit.traces) == (5, 5)


def test_a_span_that_is_there_fifty_times_makes_sums_fifty_times_as_large() -> None:
    one = call(2, 1)
    tally = Tally()
    for hit in found([span(1), *[replace(one) for _ in range(50)]], rule="A07"):
        tally.add(hit)
    (finding,) = tally.findings()
    assert (finding.factor_millis, finding.hits) == (50_000, 49)


def test_a_change_of_tenant_names_both_spans_and_the_call() -> None:
    root = span(1, kind=SERVER, name="POST /ask", owner={"tenant_id": "acme"})
    asks = span(2, 1, kind=CLIENT, name="POST")
    answers = span(3, 2, kind=SERVER, name="GET /docs", service="docs", owner={"tenant_id": "bit"})
    billed = call(4, 3, owner={}, service="docs")
    (hit,) = found([root, asks, answers, billed], rule="A03")
    assert hit.hop == Hop(ref_of(root), ref_of(answers), "http", is_change=True)
    assert (
        hit.title == "The tenant changes from POST /ask in shop to GET /docs in docs within a trace"
    )
    assert [one.span_id for one in hit.evidence] == [answers.span_id, root.span_id, billed.span_id]
    assert hit.affected == (billed.ref,)


def test_a_call_that_names_another_tenant_is_evidence_once() -> None:
    root = span(1, kind=SERVER, owner={"tenant_id": "acme"})
    billed = call(2, 1, owner={"tenant_id": "bit"})
    (hit,) = found([root, billed], rule="A03")
    assert hit.hop == Hop(ref_of(root), ref_of(billed), "within", is_change=True)
    assert [one.span_id[-1] for one in hit.evidence] == ["2", "1"]


def test_a_call_below_a_hole_is_evidence_once() -> None:
    named = span(1, owner={"tenant_id": "acme"})
    (hit,) = found([named, call(3, 99, owner={})], rule="A31")
    assert [one.span_id[-1] for one in hit.evidence] == ["3"]


def _failed(number: int, parent: int, **changes: object) -> SpanFact:
    of: dict[str, object] = {
        "kinds": None,
        "counts": {},
        "is_error": True,
        "http_status": 500,
        "response_id": None,
    }
    return call(number, parent, of={**of, **changes}, is_error=True, ended_at_ns=AT_NS + 2_500_000)


def test_a_call_after_a_failed_one_that_says_nothing_is_a_note() -> None:
    (hit,) = found([span(1), _failed(2, 1), call(3, 1)], rule="A07")
    assert (hit.mode, hit.severity) == (Mode.RETRIES, Severity.NOTE)
    assert [one.span_id[-1] for one in hit.evidence] == ["3", "2"]
    assert hit.affected == (call(3, 1).ref,)


def test_a_marked_retry_is_no_note() -> None:
    assert found([span(1), _failed(2, 1), call(3, 1, of={"attempt": 1})], rule="A07") == []


def test_calls_that_all_succeeded_are_no_retries() -> None:
    assert found([span(1), call(2, 1), call(3, 1)], rule="A07") == []

"""Retries, fallbacks and the same call told twice: what is marked and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.audit_score.made_traces import AT_NS, S, call, span

from tollbook.audit.facts import SpanFact
from tollbook.audit.repeats import unclear_repeats
from tollbook.audit.trace import Trace
from tollbook.call import SpanKind

ROOT = SpanFact("t1", "root", None, "POST /ask", SpanKind.OTHER, started_at_ns=AT_NS,
                ended_at_ns=AT_NS + 60 * S)  # fmt: skip


def below(number: int, **changes: Any) -> SpanFact:
    """Return a call under the root."""
    return span(number, call(number, **changes), parent_span_id="root")


def test_one_answer_told_twice_is_clear_once() -> None:
    first, second = below(1, response_id="r"), below(2, response_id="r")
    assert unclear_repeats(Trace([ROOT, second, first])) == {"s2"}


def test_ids_of_two_providers_are_two() -> None:
    calls = below(1, response_id="r"), below(2, response_id="r", provider="azure")
    assert unclear_repeats(Trace([ROOT, *calls])) == set()


@pytest.mark.parametrize("mark", [{"attempt": 2}, {"retry_of": "s1"}, {"fallback_from": "gpt-4o"}])
def test_a_call_after_a_failed_one_needs_a_mark(mark: dict[str, Any]) -> None:
    failed = below(1, is_error=True, response_id=None)
    assert unclear_repeats(Trace([ROOT, failed, below(2)])) == {"s2"}
    assert unclear_repeats(Trace([ROOT, failed, below(2, **mark)])) == set()


def test_only_the_next_call_of_the_same_operation_may_be_the_retry() -> None:
    failed = below(1, is_error=True, response_id=None)
    other = below(2, operation="embeddings")
    assert unclear_repeats(Trace([ROOT, failed, other, below(3), below(4)])) == {"s3"}


def test_calls_side_by_side_are_no_retries() -> None:
    failed = span(1, call(1, is_error=True), parent_span_id="root", ended_at_ns=AT_NS + 9 * S)
    assert unclear_repeats(Trace([ROOT, failed, below(2)])) == set()


def test_calls_of_other_parents_and_without_one_are_no_retries() -> None:
    failed = span(1, call(1, is_error=True), parent_span_id=None)
    assert unclear_repeats(Trace([ROOT, failed, below(2), span(3)])) == set()

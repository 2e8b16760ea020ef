"""A trace that is looked at in parts is judged as if it were looked at as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audit_six.span_kit import audited, call, facts, owner_findings, server, span

from tollbook.audit.facts import encode_fact
from tollbook.audit.parts import SPANS_MAX, parts_of
from tollbook.audit.trace import Trace

if TYPE_CHECKING:
    import random


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=30),
    st.integers(1, 12),
    st.randoms(use_true_random=False),
)
def test_each_span_is_in_one_part_and_knows_whose_it_is(
    parents: list[int], most: int, order: random.Random
) -> None:
    spans = [
        call(
            "t", f"s{at}", f"s{parent}" if parent < at else None, tenant="acme" if at == 0 else None
        )
        for at, parent in enumerate(parents)
    ]
    order.shuffle(spans)
    made = facts(spans)
    whole = Trace(made)
    expected = {one.span_id: whole.payer_of(one) is not None for one in made}

    found: dict[str, bool] = {}
    for part in parts_of([encode_fact(one) for one in made], most):
        trace = Trace(part)
        for one in part:
            if one.call is not None:
                assert one.span_id not in found
                found[one.span_id] = trace.payer_of(one) is not None

    assert found == expected


def test_a_cycle_ends() -> None:
    made = facts([span("t", "a", "b"), span("t", "b", "c"), span("t", "c", "a")])

    parts = list(parts_of([encode_fact(one) for one in made], 1))

    assert [len(part) for part in parts] == [3, 3, 3]


def test_a_job_with_more_spans_than_are_held_has_an_owner() -> None:
    spans = [server("t", "root", tenant="acme", ms=10**6)]
    spans += [span("t", f"s{at}", "root", at=at) for at in range(SPANS_MAX)]
    spans += [call("t", "last", f"s{SPANS_MAX - 1}", at=SPANS_MAX)]

    made = audited(spans)

    assert made.calls == 1
    assert made.traces == 1
    assert owner_findings(made) == []

"""What holds for any spans: one cause for each call without an owner, whatever the order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.audit_six.span_kit import (
    KINDS,
    audited,
    call,
    causes_by_call,
    owner_findings,
    server,
    span,
    stream,
    trace_of,
)

from tollbook.audit.findings import SIX, Mode
from tollbook.audit.rules.six import rules
from tollbook.audit.rules.sketches import BARS_MAX, sketch
from tollbook.audit.settings import DEFAULT
from tollbook.audit.trace import Trace

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from tollbook.audit.report import Audit
    from tollbook.capture.otlp.spans import Span

TENANTS = st.sampled_from([None, None, "acme", "zeta"])
TRACES = ("t0", "t1", "t2")


@st.composite
def worlds(draw: st.DrawFn) -> list[Span]:
    """Draw spans of a few traces: calls and others, with parents that may be anything."""
    found = []
    for at in range(draw(st.integers(1, 14))):
        trace = draw(st.sampled_from(TRACES))
        parent = draw(st.sampled_from([None, None, "gone", *(f"s{one}" for one in range(14))]))
        how: dict[str, Any] = {
            "service": draw(st.sampled_from(["web", "agent"])),
            "kind": draw(st.sampled_from(sorted(KINDS))),
            "at": draw(st.integers(0, 500)),
            "ms": draw(st.integers(0, 500)),
            "tenant": draw(TENANTS),
        }
        make = draw(st.sampled_from(["call", "call", "stream", "embed", "agent", "server", "job"]))
        links = [("t1", "s1")] if draw(st.booleans()) else []
        key = f"s{at}"
        if make in {"call", "embed", "stream"}:
            usage = draw(st.sampled_from([(10, 5), (10, 5), None]))
            operation = "embeddings" if make == "embed" else "chat"
            made = stream if make == "stream" else call
            found.append(
                made(trace, key, parent, operation=operation, usage=usage, links=links, **how)
            )
        elif make == "agent":
            found.append(span(trace, key, parent, gen_ai__operation__name="invoke_agent", **how))
        elif make == "server":
            how.pop("kind")
            found.append(server(trace, key, parent, url__path="/run", links=links, **how))
        else:
            found.append(span(trace, key, parent, messaging__system="celery", links=links, **how))
    return found


def calls_of(spans: Sequence[Span]) -> dict[str, bool]:
    """Return each billed call, and whether it has an owner."""
    grouped: dict[str, list[Span]] = {}
    for one in spans:
        grouped.setdefault(one.trace_id, []).append(one)
    traces = [trace_of(some) for some in grouped.values()]
    return {one.ref: trace.payer_of(one) is not None for trace in traces for one in trace.calls}


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_each_call_without_an_owner_has_one_cause_and_no_other_has_any(spans: list[Span]) -> None:
    calls = calls_of(spans)

    causes = causes_by_call(spans)

    assert set(causes) == {ref for ref, is_owned in calls.items() if not is_owned}
    assert all(len(hits) == 1 for hits in causes.values())


@settings(max_examples=60, deadline=None)
@given(worlds(), st.randoms(use_true_random=False), st.integers(1, 7))
def test_neither_order_nor_chunks_matter(
    spans: list[Span], order: random.Random, chunk: int
) -> None:
    mixed = list(spans)
    order.shuffle(mixed)

    assert _told(audited(mixed, chunk=chunk)) == _told(audited(spans))


def _told(made: Audit) -> set[tuple[Any, ...]]:
    return {
        (one.mode, one.rule, one.finding_id, one.calls, one.is_cause)
        for one in made.findings
        if one.rule in {"A01", "A02", "A05"}
    }


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_the_calls_of_causes_are_the_calls_without_an_owner(spans: list[Span]) -> None:
    made = audited(spans)
    lost = [ref for ref, is_owned in calls_of(spans).items() if not is_owned]

    assert sum(one.calls for one in owner_findings(made)) == len(lost)
    assert all(one.mode in {*SIX, Mode.MISSING_TENANT, Mode.BAGGAGE_NOT_COPIED}
               for one in owner_findings(made))  # fmt: skip
    assert all((one.hop is not None and one.sketch is not None) or one.hop is not None
               for one in owner_findings(made))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_who_says_who_pays_everywhere_has_no_cause(spans: list[Span]) -> None:
    named = [replace(one, attributes=one.attributes | {"tenant.id": "acme"}) for one in spans]

    assert owner_findings(audited(named)) == []


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(1, 8))
def test_a_sketch_is_bounded_and_shows_what_is_marked(spans: list[Span], most: int) -> None:
    made = trace_of([replace(one, trace_id="1" * 32) for one in spans])
    marked = made.spans[-1].span_id

    drawn = sketch(made, {marked: "first-missing"}, most)

    assert len(drawn.bars) <= most
    assert len(drawn.bars) + drawn.left_out == len(made.spans)
    assert [bar.span_id for bar in drawn.bars if bar.mark] == [marked]


def test_cycles_repeated_ids_and_missing_parents() -> None:
    spans = [
        call("t", "a", "c"),
        call("t", "b", "a"),
        span("t", "c", "b"),
        call("t", "me", "me"),
        call("t", "a", "c", tenant="acme"),
        call("t", "lost", "gone"),
    ]

    made = audited(spans)

    assert made.spans == 6
    assert sum(one.calls for one in owner_findings(made)) == made.calls


def test_a_trace_of_a_hundred_thousand_spans_all_below_each_other() -> None:
    above: str | None = None
    deep = []
    for at in range(98_000):
        tenant = "acme" if at == 50 else None
        deep.append(span("t", f"s{at}", above, tenant=tenant))
        above = f"s{at}"
    owned = [call("t", f"o{at}", above) for at in range(1000)]
    lost = [call("t", f"w{at}", "root", at=at) for at in range(1000)]
    trace = trace_of([*deep, *owned, server("t", "root"), *lost])

    within, across, never = rules(DEFAULT)
    hits = list(within.check(trace))
    never.observe(trace)
    keyed = list(across.keys(trace))

    assert len(trace.calls) == 2000
    assert sum(hit.is_cause for hit in hits) == 1000  # another span of the trace says who pays
    assert len(keyed) < 1000
    assert all(hit.sketch is None or len(hit.sketch.bars) <= BARS_MAX for hit in hits)


def test_a_large_trace_that_names_nobody_is_held_in_bounded_evidence() -> None:
    trace = trace_of([server("t", "root"), *[call("t", f"w{at}", "root") for at in range(3000)]])
    within, across, never = rules(DEFAULT)

    assert list(within.check(trace)) == []
    never.observe(trace)
    group = [fact for _, fact in across.keys(trace)]
    assert list(across.check_group("h:x:1", group)) == []
    hits = list(never.finish())

    assert sum(hit.calls for hit in hits) == 3000
    assert len(hits) == 257
    assert {hit.mode for hit in hits} == {Mode.MISSING_TENANT}


def test_a_trace_is_made_of_spans_without_times() -> None:
    made = audited([replace(call("t", "a"), started_at_ns=0, ended_at_ns=0)])

    assert sum(one.calls for one in owner_findings(made)) == 1


def test_owners_come_from_the_nearest_span_and_then_the_process() -> None:
    trace = trace_of([
        span("t", "root", tenant="far", user__id="u1"),
        span("t", "mid", "root", resource={"tenant.id": "process"}),
        call("t", "leaf", "mid"),
    ])  # fmt: skip
    leaf = next(one for one in trace.spans if one.call is not None)
    owned, user = trace.payer_of(leaf), trace.owner_of(leaf, "user_id")

    assert owned is not None
    assert (owned.value, owned.distance) == ("process", 1)
    assert user is not None
    assert (user.value, user.distance) == ("u1", 2)
    assert trace.entry_of(leaf).name == "root"
    assert isinstance(trace, Trace)

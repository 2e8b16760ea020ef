"""The score of many calls: sums that hold exactly, and what each finding's mending would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.audit_score.made_traces import call, span, trace

from tollbook.audit.criteria import NEEDED, WHOLE_MILLIS
from tollbook.audit.findings import SIX, Hit, Mode, Severity
from tollbook.audit.scoring import FORMULA, CallScore, Found, Scoring, cause_title
from tollbook.audit.trace import Trace

if TYPE_CHECKING:
    from tollbook.audit.facts import SpanFact
    from tollbook.audit.report import Defensibility

COSTS = st.one_of(st.none(), st.integers(0, 10**13))
CHANGES: dict[str, dict[str, Any]] = {
    "token_kinds": {"usage_source": "estimated"},
    "price": {"is_price_doubtful": True},
    "model_actual": {"model_actual": None},
    "request_id": {"response_id": None},
    "billing_path": {"host": None},
}


@st.composite
def calls(draw: st.DrawFn) -> list[tuple[SpanFact, str | None, list[Found]]]:
    """Return calls, each in a trace of its own, why each has no owner, what was found of it."""
    made = []
    for number in range(draw(st.integers(1, 8))):
        changes: dict[str, Any] = {"cost_pico": draw(COSTS)}
        for name in draw(st.sets(st.sampled_from(sorted(CHANGES)))):
            changes |= CHANGES[name]
        if draw(st.integers(0, 6)) == 0:
            changes |= {"is_billable": False, "cost_pico": 0}
        owner = {"tenant_id": "acme"} if draw(st.booleans()) else {}
        one = span(1, call(number, **changes), trace_id=f"t{number}", owner=owner)
        why = draw(st.none() | st.sampled_from([mode.value for mode in SIX]))
        cause = None if owner else why
        found = [
            Found(f"f{mode.value}", mode, draw(st.sampled_from(Severity)), False)
            for mode in draw(st.sets(st.sampled_from(Mode), max_size=4))
        ]
        if cause is not None:
            found.append(Found(f"c{cause}", Mode(cause), Severity.ERROR, True))
        made.append((one, cause, found))
    return made


def scored(
    made: list[tuple[SpanFact, str | None, list[Found]]],
) -> tuple[Scoring, Defensibility, list[CallScore]]:
    each: list[CallScore] = []
    scoring = Scoring(lambda _trace, _span, got: each.append(got))
    for one, cause, found in made:
        causes = {} if cause is None else {one.ref: cause}
        scoring.observe(trace(one), causes, {one.ref: found})
    return scoring, scoring.result(), each


@given(calls())
@settings(max_examples=100, deadline=None)
def test_the_parts_are_the_whole(made: list[tuple[SpanFact, str | None, list[Found]]]) -> None:
    _, got, each = scored(made)
    costs = [0 if not one.call.is_billable else one.call.cost_pico
             for one, _, _ in made if one.call is not None]  # fmt: skip

    assert got.calls == len(made) == sum(got.distribution)
    assert got.defensible_calls + sum(one.calls for one in got.at_risk) == got.calls
    assert got.cost_pico == sum(cost or 0 for cost in costs)
    assert got.unpriced_calls == costs.count(None)
    at_risk = [cost for cost, one in zip(costs, each, strict=True) if one.lacks]
    assert got.at_risk_pico == sum(cost or 0 for cost in at_risk)
    assert got.at_risk_pico == sum(one.cost_pico for one in got.at_risk)
    assert sum(one.unpriced_calls for one in got.at_risk) == at_risk.count(None)
    assert all(one.calls for one in got.at_risk)
    assert len({one.cause for one in got.at_risk}) == len(got.at_risk)


@given(calls())
@settings(max_examples=100, deadline=None)
def test_the_score_is_what_its_formula_says_of_the_table(
    made: list[tuple[SpanFact, str | None, list[Found]]],
) -> None:
    _, got, each = scored(made)
    by_table = sum(one.weight_millis * one.calls for one in got.criteria)
    assert got.score_millis == by_table // got.calls
    assert got.score_millis == sum(one.score_millis for one in each) // len(each)
    if got.cost_pico:
        weighed = sum(
            one.score_millis * (span.call.cost_pico or 0)
            for one, (span, _, _) in zip(each, made, strict=True)
            if span.call is not None
        )
        assert got.dollar_score_millis == weighed // got.cost_pico
    else:
        assert got.dollar_score_millis is None


def mended(one: SpanFact, name: str) -> SpanFact:
    """Return a call that has what it lacked."""
    assert one.call is not None
    whole = span(1, call(1), trace_id=one.trace_id)
    assert whole.call is not None
    if name == "owner":
        return replace(one, owner={"tenant_id": "acme"})
    fields = {
        "token_kinds": ("usage_source", "counts"), "model_actual": ("model_actual",),
        "price": ("is_price_doubtful",),
    }[name]  # fmt: skip
    return replace(
        one, call=replace(one.call, **{field: getattr(whole.call, field) for field in fields})
    )


@given(calls())
@settings(max_examples=80, deadline=None)
def test_the_score_after_a_cause_is_mended_is_that_of_calls_with_owners(
    made: list[tuple[SpanFact, str | None, list[Found]]],
) -> None:
    made = [
        (one, cause, [about for about in found if about.is_cause])
        for one, cause, found in made
    ]  # fmt: skip
    scoring, before, _ = scored(made)
    for cause in {cause for _, cause, _ in made if cause is not None}:
        after = [
            (mended(one, "owner"), None, []) if why == cause else (one, why, found)
            for one, why, found in made
        ]
        got = scoring.score_after(f"c{cause}")
        expected = scored(after)[1].score_millis
        charged = [one for one, why, _ in made
                   if why == cause and one.call is not None and one.call.is_billable]  # fmt: skip
        if charged:
            assert got == expected >= before.score_millis
        else:
            assert got is None


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (Mode.MODEL_UNKNOWN, "model_actual"),
        (Mode.PRICE_MISSING, "price"),
        (Mode.TOKEN_KINDS, "token_kinds"),
        (Mode.STREAMING, "token_kinds"),
    ],
)
def test_the_score_after_other_findings(mode: Mode, name: str) -> None:
    about = Found("f1", mode, Severity.WARNING, False)
    bad = span(1, call(1, **CHANGES[name]), trace_id="t1")
    good = span(1, call(2), trace_id="t2")
    scoring, before, _ = scored([(bad, None, [about]), (good, None, [])])
    weight = next(one.weight_millis for one in NEEDED if one.name == name)
    assert before.score_millis == (2000 - weight) // 2
    assert scoring.score_after("f1") == 1000
    assert scoring.score_after("another") is None
    after = scored([(mended(bad, name), None, []), (good, None, [])])[1]
    assert after.score_millis == 1000


def test_of_two_findings_about_one_lack_neither_alone_mends_it() -> None:
    found = [Found(one, Mode.TOKEN_KINDS, Severity.ERROR, False) for one in ("f1", "f2")]
    scoring, _, _ = scored([(span(), None, found)])
    assert scoring.score_after("f1") is None
    assert scoring.score_after("f2") is None


def hit(mode: Mode, calls: int, cost_pico: int | None, unpriced_calls: int = 0) -> Hit:
    return Hit(
        mode=mode, rule="A01", severity=Severity.ERROR, title="", place=(), span="t1:s1",
        evidence=(), calls=calls, cost_pico=cost_pico, unpriced_calls=unpriced_calls, is_cause=True,
    )  # fmt: skip


def test_a_cause_that_is_known_late_takes_its_dollars_with_it() -> None:
    nobody = [span(1, call(at, cost_pico=cost), trace_id=f"t{at}", owner={})
              for at, cost in enumerate((5, 7, None))]  # fmt: skip
    scoring, before, _ = scored([(one, None, []) for one in nobody])
    assert [(one.cause, one.calls, one.cost_pico) for one in before.at_risk] == [
        ("missing-tenant", 3, 12)
    ]
    scoring.book(hit(Mode.SINGLE_KEY, 2, 7, 1), "late")
    after = scoring.result()
    assert [(one.cause, one.calls, one.cost_pico, one.unpriced_calls) for one in after.at_risk] == [
        ("single-key", 2, 7, 1),
        ("missing-tenant", 1, 5, 0),
    ]
    assert (after.at_risk_pico, after.score_millis) == (before.at_risk_pico, before.score_millis)
    assert (
        scoring.score_after("late") == (700 + 700 + 550 + 2 * 300) // 3
    )  # the third has no price either


@given(st.integers(0, 9), st.integers(0, 99), st.integers(0, 9))
@settings(deadline=None)
def test_booking_more_than_there_is_keeps_the_whole(calls: int, cost: int, unpriced: int) -> None:
    scoring, before, _ = scored([(span(1, call(1, cost_pico=7), owner={}), None, [])])
    scoring.book(hit(Mode.STREAMING, calls, cost, unpriced), "late")
    after = scoring.result()
    assert after.at_risk_pico == before.at_risk_pico == 7
    assert sum(one.calls for one in after.at_risk) == 1
    assert all(one.calls >= 0 and one.cost_pico >= 0 for one in after.at_risk)
    assert (scoring.score_after("late") or 0) <= WHOLE_MILLIS


def test_without_calls_there_is_no_score() -> None:
    got = Scoring().result()
    assert (got.score_millis, got.calls, got.at_risk, got.dollar_score_millis) == (0, 0, (), None)
    assert Scoring().score_after("f") is None


def test_the_formula_names_each_weight() -> None:
    assert all(f"{one.name} {one.weight_millis}" in FORMULA for one in NEEDED)


def test_every_mode_and_criterion_has_words_of_its_own() -> None:
    names = {mode.value for mode in Mode} | {one.name for one in NEEDED}
    titles = {cause_title(one) for one in names}
    assert all(titles)
    assert len(titles) == len(names)


def test_the_spans_of_a_wrapper_are_not_scored() -> None:
    agent = span(1, call(1, is_call=False), span_id="s1")
    below = span(2, call(2), parent_span_id="s1")
    scoring = Scoring()
    scoring.observe(Trace([agent, below]), {})
    assert scoring.result().calls == 1


@pytest.mark.parametrize(("is_waiting", "gain_millis"), [(True, 300), (False, 150)])
def test_a_stream_that_tells_its_usage_has_a_price_too_where_one_is_known(
    *, is_waiting: bool, gain_millis: int
) -> None:
    bare = call(1, kinds=None, counts={}, cost_pico=None, price_card=None, is_price_doubtful=True,
                is_price_waiting=is_waiting)  # fmt: skip
    scoring, got, _ = scored(
        [(span(1, bare), None, [Found("f", Mode.STREAMING, Severity.ERROR, False)])]
    )
    assert got.score_millis == 700
    assert scoring.score_after("f") == 700 + gain_millis

"""Recorded spans of real instrumentations: what was planted is found, and nothing else."""

from __future__ import annotations

from functools import cache

import pytest

from examples.corpus.held_out.plan import HELD_OUT
from examples.corpus.page import PAGE, written
from examples.corpus.plan import INSTRUMENTATIONS, PLAN
from examples.corpus.replay import HELD_OUT_DIR, Recorded, recorded
from examples.corpus.score import Judged, judge, judge_all

KNOWN_FALSE: dict[tuple[str, str], tuple[str, ...]] = {}
"""What is found and should not be; all of it is on the page, too."""

RUNS = {(planted.name, by): planted for planted in PLAN for by in planted.instrumentations}


@cache
def judged() -> tuple[Judged, ...]:
    return tuple(judge_all(recorded(), PLAN))


def test_every_run_of_the_plan_is_recorded() -> None:
    assert {(one.recorded.name, one.recorded.instrumentation) for one in judged()} == set(RUNS)


@pytest.mark.parametrize("by", INSTRUMENTATIONS)
def test_everything_planted_is_found_with_its_hop_and_nothing_else(by: str) -> None:
    runs = [one for one in judged() if one.recorded.instrumentation == by]
    assert {one.recorded.name: one.missed for one in runs if one.missed} == {}
    for one in runs:
        known = KNOWN_FALSE.get((one.recorded.name, by), ())
        assert len(one.false) == len(known), one.false
        assert all(rule in words for rule, words in zip(known, one.false, strict=True)), one.false


@pytest.mark.parametrize("by", INSTRUMENTATIONS)
def test_runs_with_nothing_wrong_have_no_warning(by: str) -> None:
    clean = [
        one for one in judged() if one.recorded.instrumentation == by and not one.planted.expected
    ]
    assert len(clean) >= 3
    for one in clean:
        assert one.recorded.findings() == [], one.recorded.name


@pytest.mark.parametrize("by", INSTRUMENTATIONS)
def test_every_call_of_a_recorded_run_is_somebodys(by: str) -> None:
    """The notes beside the spans are whole, so that what is missed cannot be overlooked."""
    for one in judged():
        if one.recorded.instrumentation == by:
            calls = one.recorded.calls
            assert len(calls) == (72 if by == "openllmetry" and not _through(one) else 60)
            assert {call.tenant for call in calls} == {"acme", "globex", "initech"}


def _through(one: Judged) -> bool:
    """Whether its calls go through the gateway, which does not rerank."""
    return "gateway" in one.planted.switches


def test_a_wrong_hop_and_a_wrong_mode_are_told() -> None:
    """The judge is not blind: the spans of one run do not pass for those of another."""
    planted = RUNS["stripped-headers", "opentelemetry"]
    data = {(run.name, run.instrumentation): run for run in recorded()}
    other = judge(data["agent-baggage", "opentelemetry"], planted)
    assert any("hop" in words for words in other.missed)
    assert any("agent-recursion" in words for words in other.false)
    clean = judge(data["clean", "opentelemetry"], planted)
    assert clean.missed
    assert not clean.false


def test_every_call_is_one_call_of_the_audit() -> None:
    run = next(one for one in judged() if one.recorded.name == "clean").recorded
    assert isinstance(run, Recorded)
    assert run.audit.calls == len(run.calls)
    assert run.audit.troubles == ()


def test_the_page_has_these_figures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, "corpus", judged()) == page


def test_the_page_has_the_figures_of_the_worlds_held_out_as_they_come() -> None:
    held_out = list(judge_all(recorded(HELD_OUT_DIR), HELD_OUT))
    assert {one.recorded.name for one in held_out} == {planted.name for planted in HELD_OUT}
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, "held out", held_out) == page

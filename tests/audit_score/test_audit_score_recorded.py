"""Scores of recorded runs of real instrumentations: the sums hold, and each cause can be mended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tollbook.audit.engine import audit
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.pricing import ListPricer

if TYPE_CHECKING:
    from tollbook.audit.scoring import CallScore

DATA = Path(__file__).parents[1] / "audit_corpus" / "data"
RUNS = sorted(DATA.glob("*.jsonl.gz"))
PRICER = ListPricer()


def test_there_are_recorded_runs() -> None:
    assert len(RUNS) > 10


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_the_parts_of_a_recorded_run_are_the_whole(path: Path) -> None:
    each: list[tuple[int | None, CallScore]] = []
    made = audit(
        open_inputs([str(path)]),
        PRICER,
        each_call=lambda _trace, span, got: each.append(
            (None if span.call is None else span.call.cost_pico, got)
        ),
    )
    told = made.defensibility
    assert told.calls == made.calls == len(each) > 0
    assert told.defensible_calls + sum(one.calls for one in told.at_risk) == told.calls
    assert told.at_risk_pico == sum(one.cost_pico for one in told.at_risk)
    assert told.at_risk_pico == sum(cost or 0 for cost, got in each if got.lacks)
    assert told.cost_pico == sum(cost or 0 for cost, _ in each)
    by_table = sum(one.weight_millis * one.calls for one in told.criteria)
    assert told.score_millis == by_table // told.calls

    ownerless = [got for _, got in each if "owner" in got.lacks]
    causes = [one for one in made.findings if one.is_cause]
    assert bool(ownerless) == bool(causes)
    for one in causes:
        assert one.score_after is not None
        assert told.score_millis < one.score_after <= 1000
    gained = sum((one.score_after or 0) - told.score_millis for one in causes)
    owner = next(one.weight_millis for one in told.criteria if one.name == "owner")
    assert gained <= owner * len(ownerless) // told.calls + len(causes)

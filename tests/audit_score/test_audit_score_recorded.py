"""Scores of recorded runs of real instrumentations: the sums hold, and each cause can be mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit_six.span_kit import Made, call, server, span

from tollbook.audit.engine import audit
from tollbook.audit.grouping import Grouping
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.outputs.call_file import calls_to
from tollbook.audit.outputs.held_calls import HeldCalls
from tollbook.audit.pricing import ListPricer
from tollbook.money import pico_from_usd

if TYPE_CHECKING:
    from tollbook.audit.report import Audit
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


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_the_lines_of_calls_are_the_dollars_at_risk_by_cause(path: Path, tmp_path: Path) -> None:
    lines = tmp_path / "calls.jsonl"
    with calls_to(str(lines)) as each:
        made = audit(open_inputs([str(path)]), PRICER, each_call=each)
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == made.calls
    assert by_cause(rows) == at_risk(made)


@pytest.mark.parametrize("held_max_bytes", [1 << 24, 2000])
def test_calls_that_were_only_counted_have_the_cause_of_their_group(held_max_bytes: int) -> None:
    refused: dict[str, Any] = {"error__type": "429", "http__response__status_code": 429}
    spans = [
        one
        for number in range(700)
        for one in (
            server(f"t{number}", f"r{number}"),
            call(f"t{number}", f"c{number}", f"r{number}"),
            call(f"t{number}", f"x{number}", f"r{number}", usage=None, is_error=True, **refused),
        )
    ]
    spans += [
        server("o", "o-root", service="other"),
        call("o", "o-call", "o-root", service="other"),
    ]
    spans += [span("j", "job", scope="celery", kind="consumer"), call("j", "j-call", "job")]
    rows: list[dict[str, Any]] = []
    with Grouping(held_max_bytes) as held:
        each = HeldCalls(rows.append, held)
        made = audit([Made(spans)], PRICER, each_call=each)
        each.finish()
    assert made.calls == len(rows) == 1402
    assert {one.cause for one in made.defensibility.at_risk} >= {"single-key"}
    assert by_cause(rows) == at_risk(made)


def by_cause(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Return calls and pico by cause."""
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row["cause"] is not None:
            calls, pico = found.get(row["cause"], (0, 0))
            found[row["cause"]] = calls + 1, pico + pico_from_usd(row["cost_usd"] or "0")
    return found


def at_risk(made: Audit) -> dict[str, tuple[int, int]]:
    """Return the same of the report."""
    return {
        one.cause: (one.calls, one.cost_pico) for one in made.defensibility.at_risk if one.calls
    }

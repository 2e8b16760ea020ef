"""The page about the score says what the code does, and its example comes out."""

from __future__ import annotations

import re
from pathlib import Path

from tests.audit_score.made_traces import call, span, trace

from tollbook.audit.criteria import CACHED_FROM_TOKENS, CLAUDE_CACHED_FROM_TOKENS, NEEDED
from tollbook.audit.findings import Mode, Severity
from tollbook.audit.outputs import words
from tollbook.audit.scoring import FORMULA, CallScore, Found, Scoring

PAGE = (Path(__file__).parents[2] / "docs" / "audit-score.md").read_text(encoding="utf-8")
CENT = 10**10
EXAMPLE = (
    (span(1, call(1, cost_pico=40 * CENT)), None),
    (span(2, call(2, cost_pico=30 * CENT), owner={}), Mode.BACKGROUND_JOBS),
    (span(3, call(3, cost_pico=20 * CENT, model_actual=None, response_id=None)), None),
    (
        span(4, call(4, cost_pico=10 * CENT, usage_source="estimated"), owner={}),
        Mode.HEADER_STRIPPING,
    ),
)


def test_the_table_is_that_of_the_code() -> None:
    for one in NEEDED:
        assert f"| `{one.name}` | {one.title} | {one.weight_millis} | {one.why} |" in PAGE
    assert len(re.findall(r"^\| `", PAGE, re.MULTILINE)) == len(NEEDED)
    assert FORMULA.partition(";")[0] in PAGE
    least = f"{CACHED_FROM_TOKENS:,} tokens of input on (Claude 5: {CLAUDE_CACHED_FROM_TOKENS},"
    assert least in PAGE
    for one in NEEDED:
        assert f"- **{one.name}**:" in PAGE


def test_the_worked_example_comes_out() -> None:
    each: list[CallScore] = []
    scoring = Scoring(lambda _trace, _span, got: each.append(got))
    spans = [one for one, _ in EXAMPLE]
    causes = {one.ref: mode.value for one, mode in EXAMPLE if mode is not None}
    found = {
        one.ref: [Found(mode.value, mode, Severity.ERROR, is_cause=True)]
        for one, mode in EXAMPLE
        if mode is not None
    }
    scoring.observe(trace(*spans), causes, found)
    got = scoring.result()

    for number, (one, scored) in enumerate(zip(spans, each, strict=True), 1):
        assert one.call is not None
        cost = f"${(one.call.cost_pico or 0) // CENT / 100:.2f}"
        cause = f" {scored.cause} " if scored.cause else " "
        row = f"| {number} | {cost} | {', '.join(scored.lacks) or 'nothing'} |{cause}|"
        assert f"{row} {scored.score_millis} |" in PAGE
    assert f"= {got.score_millis}, shown as **{words.score(got.score_millis)}**" in PAGE
    having = ", ".join(f"{one.name} {one.calls}" for one in got.criteria[1:])
    assert f"owner {got.criteria[0].calls} of {got.calls}, {having}" in " ".join(PAGE.split())
    assert got.dollar_score_millis is not None
    assert f"= {got.dollar_score_millis}, shown as **81.5**" in PAGE
    parts = ", ".join(f"{one.cause} {words.usd(one.cost_pico)}" for one in got.at_risk)
    assert f"At risk: {words.usd(got.at_risk_pico)} of {words.usd(got.cost_pico)}. {parts}." in PAGE
    after = scoring.score_after(Mode.BACKGROUND_JOBS.value)
    assert after is not None
    assert f"= {after}, shown as **{words.score(after)}**" in PAGE

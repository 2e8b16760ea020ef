"""Two audits held against each other: new, fixed, worse, better; whether a build should fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tollbook.audit.compare import Change, compare
from tollbook.audit.findings import Finding, Mode, Severity
from tollbook.audit.outputs.comparison import FORMAT, comparison_json, comparison_text
from tollbook.audit.report import Audit, Defensibility

USD = 10**12


def finding(name: str = "a", **changes: Any) -> Finding:
    made = Finding(
        finding_id=name, mode=Mode.STREAMING, rule="A05", severity=Severity.ERROR,
        title=f"Place {name}", evidence=(), hits=10, traces=10, calls=10, cost_pico=USD,
    )  # fmt: skip
    return replace(made, **changes)


def audit(*findings: Finding, score: int = 700, calls: int = 100, **changes: Any) -> Audit:
    told = Defensibility(
        score_millis=score, formula="", criteria=(), calls=calls, defensible_calls=0,
        cost_pico=9 * USD, unpriced_calls=0, at_risk_pico=5 * USD, at_risk=(),
    )  # fmt: skip
    made = Audit(
        version="1", made_at="2026-11-22T00:00:00+00:00", inputs=(), troubles=(), spans=calls,
        traces=calls, calls=calls, wrappers=0, first_at_ns=0, last_at_ns=0, instrumentations={},
        services={}, findings=findings, defensibility=told,
    )  # fmt: skip
    return replace(made, **changes)


def change(old: Audit, new: Audit) -> list[tuple[str, Change]]:
    return [(one.finding.finding_id, one.change) for one in compare(old, new).changes]


def test_what_is_new_and_what_is_fixed() -> None:
    old, new = audit(finding("a"), finding("b")), audit(finding("b"), finding("c"))
    assert change(old, new) == [("c", Change.NEW), ("a", Change.FIXED), ("b", Change.SAME)]
    told = compare(old, new)
    assert told.is_worse
    assert told.why_worse == ("1 finding is new",)
    assert [one.finding.finding_id for one in told.of(Change.FIXED)] == ["a"]


@pytest.mark.parametrize(
    ("calls", "of", "expected"),
    [
        (10, 100, Change.SAME),
        (20, 200, Change.SAME),
        (11, 100, Change.WORSE),
        (11, 200, Change.BETTER),
        (0, 100, Change.BETTER),
    ],
)
def test_a_finding_is_worse_by_its_share_of_the_calls(
    calls: int, of: int, expected: Change
) -> None:
    old, new = audit(finding()), audit(finding(calls=calls), calls=of)
    assert change(old, new) == [("a", expected)]
    assert compare(old, new).is_worse == (expected is Change.WORSE)


def test_gravity_goes_before_numbers() -> None:
    old = audit(finding(severity=Severity.WARNING))
    assert change(old, audit(finding(calls=1))) == [("a", Change.WORSE)]
    assert change(audit(finding(calls=1)), old) == [("a", Change.BETTER)]


def test_a_new_note_does_not_fail_a_build() -> None:
    told = compare(audit(), audit(finding(severity=Severity.NOTE)))
    assert (told.is_worse, told.why_worse) == (False, ())
    assert [one.change for one in told.changes] == [Change.NEW]


def test_a_score_that_fell_fails_a_build_and_one_that_rose_does_not() -> None:
    assert compare(audit(), audit(score=699)).why_worse == ("the score fell",)
    assert not compare(audit(), audit(score=701)).is_worse
    assert not compare(audit(), audit()).is_worse


def test_what_makes_the_two_less_alike_is_said() -> None:
    told = compare(audit(prices="list"), audit(version="2", ignored=("A14",), prices="own"))
    assert len(told.notes) == 3
    empty = compare(audit(finding()), audit(calls=0, score=0))
    assert not empty.is_worse
    assert any("no call was found" in one for one in empty.notes)


FINDINGS = st.lists(
    st.builds(
        finding,
        name=st.sampled_from("abcdef"),
        severity=st.sampled_from(Severity),
        calls=st.integers(0, 100),
        cost_pico=st.integers(0, 10**14),
    ),
    unique_by=lambda one: one.finding_id,
    max_size=6,
)


@given(FINDINGS, FINDINGS, st.integers(100, 10**6), st.integers(100, 10**6))
def test_the_other_way_round_everything_is_the_opposite(
    first: list[Finding], second: list[Finding], calls_first: int, calls_second: int
) -> None:
    old, new = audit(*first, calls=calls_first), audit(*second, calls=calls_second)
    opposite = {
        Change.NEW: Change.FIXED, Change.FIXED: Change.NEW, Change.WORSE: Change.BETTER,
        Change.BETTER: Change.WORSE, Change.SAME: Change.SAME,
    }  # fmt: skip
    assert dict(change(new, old)) == {name: opposite[one] for name, one in change(old, new)}
    names = {one.finding_id for one in (*first, *second)}
    assert {name for name, _ in change(old, new)} == names
    assert not compare(old, old).is_worse


def test_the_comparison_as_json() -> None:
    told = json.loads(comparison_json(compare(audit(finding("a")), audit(finding("b"), score=612))))
    assert (told["format"], told["is_worse"]) == (FORMAT, True)
    assert told["score"] == {"before": 70.0, "now": 61.2}
    assert told["at_risk_usd"] == {"before": "5.000000000000", "now": "5.000000000000"}
    assert [(one["finding_id"], one["change"]) for one in told["changes"]] == [
        ("b", "new"), ("a", "fixed"),
    ]  # fmt: skip
    assert told["changes"][0]["cost_usd"] == {"before": "0.000000000000", "now": "1.000000000000"}


def test_the_comparison_as_text() -> None:
    old = audit(finding("a"), finding("same"))
    new = audit(finding("same"), finding("b", title="bad\x1b[31m name"), score=612)
    text = comparison_text(compare(old, new))
    assert text.splitlines()[0] == (
        "Compared with the earlier audit: worse: the score fell, 1 finding is new"
    )
    assert "70.0 -> 61.2" in text
    assert "New: 1 finding" in text
    assert "Fixed: 1 finding" in text
    assert "Unchanged: 1 finding" in text
    assert "\x1b" not in text
    assert text.endswith("\n")
    assert "no worse" in comparison_text(compare(old, old))


def test_long_lists_are_cut_in_text_and_whole_in_json() -> None:
    told = compare(audit(), audit(*(finding(f"{at:03}") for at in range(50))))
    assert "and 30 more" in comparison_text(told)
    assert len(json.loads(comparison_json(told))["changes"]) == 50

"""Holds what the auditor says of recorded runs against what was planted in them.

For each mode and instrumentation, over all runs: *precision* is the share of calls that the
auditor books to the mode of which the mode was planted on that call; *recall* is the share of
planted calls that it books to it. A *hop* is right when a finding of the mode names the planted
spans. Only findings of severity warning and error count.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from examples.corpus.plan import Expected, Planted
    from examples.corpus.replay import Call, Recorded
    from tollbook.audit.findings import Finding, SpanRef


class Cell(NamedTuple):
    """One mode under one instrumentation, in calls."""

    planted: int = 0
    said: int = 0
    right: int = 0
    hops: int = 0
    hops_right: int = 0

    def plus(self, other: Cell) -> Cell:
        """Return both together."""
        return Cell(*(one + more for one, more in zip(self, other, strict=True)))

    @property
    def precision_millis(self) -> int | None:
        """Thousandths, rounded down; None where nothing was said."""
        return self.right * 1000 // self.said if self.said else None

    @property
    def recall_millis(self) -> int | None:
        """Thousandths, rounded down; None where nothing was planted."""
        return self.right * 1000 // self.planted if self.planted else None


class Judged(NamedTuple):
    """One run."""

    recorded: Recorded
    planted: Planted
    cells: dict[str, Cell]
    """By mode."""
    missed: tuple[str, ...]
    """What was planted and not found as it is, in words."""
    false: tuple[str, ...]
    """What was found and not planted, in words."""


def judge(run: Recorded, planted: Planted) -> Judged:
    """Return how one run was judged."""
    findings = run.findings()
    cells: dict[str, Cell] = {}
    missed: list[str] = []
    due: dict[str, set[Call]] = {}
    for expected in planted.expected:
        calls = set(_concerned(run.calls, expected))
        due.setdefault(expected.mode, set()).update(calls)
        hops = _hops_of(findings, expected, calls)
        right = bool(hops) and all(_hop_is_right(one, expected, run) for one in hops)
        cells[expected.mode] = cells.get(expected.mode, Cell()).plus(
            Cell(
                hops=bool(expected.first_missing), hops_right=bool(expected.first_missing) and right
            )
        )
        if expected.first_missing and not right:
            missed.append(f"{expected.mode}: hop {_words(hops)}")
    said: dict[str, set[Call]] = {}
    known = {ref: call for call in run.calls for ref in call.spans}
    false: list[str] = []
    for one in findings:
        said.setdefault(one.mode.value, set()).update(
            known[ref] for ref in _refs(one) if ref in known
        )
        if one.mode.value not in due:
            false.append(f"{one.severity} {one.mode} ({one.rule}): {one.title}")
    for mode in due.keys() | said.keys():
        planted_calls, said_calls = due.get(mode, set()), said.get(mode, set())
        right_calls = planted_calls & said_calls
        cells[mode] = cells.get(mode, Cell()).plus(
            Cell(len(planted_calls), len(said_calls), len(right_calls))
        )
        if right_calls != planted_calls:
            missed.append(f"{mode}: {len(right_calls)} of {len(planted_calls)} calls")
    return Judged(run, planted, cells, tuple(missed), tuple(false))


def judge_all(runs: Iterable[Recorded], plan: Iterable[Planted]) -> Iterator[Judged]:
    """Judge recorded runs; one that is not in the plan is left out."""
    by_name = {planted.name: planted for planted in plan}
    for run in runs:
        if run.name in by_name:
            yield judge(run, by_name[run.name])


def table(judged: Iterable[Judged]) -> dict[tuple[str, str], Cell]:
    """Return the cells of all runs together, by mode and instrumentation."""
    found: dict[tuple[str, str], Cell] = {}
    for one in judged:
        for mode, cell in one.cells.items():
            key = mode, one.recorded.instrumentation
            found[key] = found.get(key, Cell()).plus(cell)
    return found


def notes(judged: Iterable[Judged]) -> Mapping[str, int]:
    """Return which notes appear on runs without a fault, and how often."""
    found: Counter[str] = Counter()
    for one in judged:
        if not one.planted.expected:
            found.update(
                f"{finding.mode} ({finding.rule})"
                for finding in one.recorded.audit.findings
                if finding.severity == "note"
            )
    return found


def _concerned(calls: Iterable[Call], expected: Expected) -> Iterator[Call]:
    for call in calls:
        if call.part.startswith(expected.parts):
            yield call


def _hops_of(findings: Iterable[Finding], expected: Expected, calls: set[Call]) -> list[Finding]:
    """Return findings of the mode that have some of these calls as evidence."""
    spans = {ref for call in calls for ref in call.spans}
    return [one for one in findings if one.mode.value == expected.mode and _refs(one) & spans]


def _hop_is_right(one: Finding, expected: Expected, run: Recorded) -> bool:
    """Say whether a finding names the planted hop.

    Where the break also ended the trace, what came before it is in no span that could name it:
    the auditor may then say nothing of it, but nothing wrong.
    """
    if one.hop is None:
        return False
    return _is_one_of(one.hop.first_missing, expected.first_missing, run) and (
        one.hop.last_seen is None
        or not expected.last_seen
        or _is_one_of(one.hop.last_seen, expected.last_seen, run)
    )


def _is_one_of(ref: SpanRef, names: tuple[str, ...], run: Recorded) -> bool:
    if f"{ref.service}: {ref.name}" in names:
        return True
    of_call = any(f"{ref.trace_id}:{ref.span_id}" in call.spans for call in run.calls)
    return "the call" in names and of_call


def _refs(one: Finding) -> set[str]:
    return {f"{ref.trace_id}:{ref.span_id}" for ref in one.evidence}


def _words(hops: list[Finding]) -> str:
    said = [
        f"{_name(one.hop.last_seen)} -> {_name(one.hop.first_missing)}"
        for one in hops
        if one.hop is not None
    ]
    return "; ".join(said) or "not found"


def _name(ref: SpanRef | None) -> str:
    return "nowhere" if ref is None else f"{ref.service}: {ref.name}"

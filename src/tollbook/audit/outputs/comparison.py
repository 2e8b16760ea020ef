"""A comparison of two audits as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.audit.compare import Change
from tollbook.audit.outputs import words
from tollbook.audit.outputs.hops import plain
from tollbook.money import usd_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.compare import Changed, Comparison

FORMAT: Final = "tollbook-audit-comparison-1"
_HEADS: Final = {
    Change.NEW: "New",
    Change.WORSE: "Worse",
    Change.BETTER: "Better",
    Change.FIXED: "Fixed",
}
_SHOWN_MAX: Final = 20
_POINTS: Final = 10
"""Thousandths in a point of the score."""


def comparison_text(told: Comparison) -> str:
    """Return the comparison for a terminal, its lines ended."""
    return "\n".join(_lines(told)) + "\n"


def comparison_json(told: Comparison) -> str:
    """Return the comparison as a document of its own, indented; money is decimal text."""
    packed = msgspec.json.encode(comparison_document(told))
    return msgspec.json.format(packed, indent=2).decode() + "\n"


def comparison_document(told: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values."""
    return {
        "format": FORMAT,
        "currency": "USD",
        "is_worse": told.is_worse,
        "why_worse": list(told.why_worse),
        "notes": list(told.notes),
        "score": _both(told.score_before_millis / _POINTS, told.score_now_millis / _POINTS),
        "calls": _both(told.calls_before, told.calls_now),
        "at_risk_usd": _both(usd_text(told.at_risk_before_pico), usd_text(told.at_risk_now_pico)),
        "changes": [_public(one) for one in told.changes],
    }


def _both(before: object, now: object) -> dict[str, object]:
    return {"before": before, "now": now}


def _public(one: Changed) -> dict[str, Any]:
    finding = one.finding
    return {
        "change": one.change.value,
        "finding_id": finding.finding_id,
        "mode": finding.mode.value,
        "rule": finding.rule,
        "severity": finding.severity.value,
        "title": finding.title,
        "calls": _both(one.calls_before, one.calls_now),
        "cost_usd": _both(usd_text(one.cost_before_pico), usd_text(one.cost_now_pico)),
    }


def _lines(told: Comparison) -> Iterator[str]:
    verdict = f"worse: {', '.join(told.why_worse)}" if told.is_worse else "no worse"
    yield f"Compared with the earlier audit: {verdict}"
    yield f"  score    {_arrow(words.score, told.score_before_millis, told.score_now_millis)}"
    yield f"  at risk  {_arrow(words.usd, told.at_risk_before_pico, told.at_risk_now_pico)}"
    yield f"  calls    {_arrow(words.count, told.calls_before, told.calls_now)}"
    for note in told.notes:
        yield f"  {plain(note)}"
    for change, head in _HEADS.items():
        found = told.of(change)
        if not found:
            continue
        yield ""
        yield f"{head}: {words.count(len(found), 'finding')}"
        for one in found[:_SHOWN_MAX]:
            yield from _finding(one)
        if len(found) > _SHOWN_MAX:
            yield f"  and {words.count(len(found) - _SHOWN_MAX)} more"
    same = len(told.of(Change.SAME))
    if same:
        yield ""
        yield f"Unchanged: {words.count(same, 'finding')}"


def _finding(one: Changed) -> Iterator[str]:
    found = one.finding
    yield f"  {found.rule} {found.severity.value}  {plain(found.title)}"
    yield (
        f"      calls {_arrow(words.count, one.calls_before, one.calls_now)},"
        f" cost {_arrow(words.usd, one.cost_before_pico, one.cost_now_pico)}"
    )


def _arrow(shown: Any, before: int, now: int) -> str:
    return f"{shown(before)} -> {shown(now)}"

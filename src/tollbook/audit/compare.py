"""Two audits held against each other: what is new, mended, worse, better.

Findings are known again by their id, which is made of mode, rule and place. Two samples are seldom
of one size, so a finding is worse where its share of the calls grew, not its number.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tollbook.audit.findings import Finding, Severity

if TYPE_CHECKING:
    from tollbook.audit.report import Audit

_RANK: Final = {one: at for at, one in enumerate(Severity)}


class Change(StrEnum):
    """What became of a finding."""

    NEW = "new"
    WORSE = "worse"
    BETTER = "better"
    FIXED = "fixed"
    SAME = "same"


class Changed(Struct, frozen=True, kw_only=True):
    """A finding in both audits, or in one."""

    change: Change
    finding: Finding
    """As it is now; as it was, where it is fixed."""
    calls_before: int
    calls_now: int
    cost_before_pico: int
    cost_now_pico: int


class Comparison(Struct, frozen=True, kw_only=True):
    """The difference, the gravest first. Money is in pico (10^-12 USD)."""

    score_before_millis: int
    score_now_millis: int
    calls_before: int
    calls_now: int
    at_risk_before_pico: int
    at_risk_now_pico: int
    changes: tuple[Changed, ...]
    is_worse: bool
    """The score fell, or there is a new or worse finding that is no note."""
    why_worse: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What makes the two less alike than they look."""

    def of(self, change: Change) -> tuple[Changed, ...]:
        """Return the findings of one kind of change."""
        return tuple(one for one in self.changes if one.change is change)


def compare(old: Audit, new: Audit) -> Comparison:
    """Return what changed from one audit to a later one."""
    before = {one.finding_id: one for one in old.findings}
    now = {one.finding_id: one for one in new.findings}
    changes = [
        _changed(before.get(one), now.get(one), old.calls, new.calls)
        for one in dict.fromkeys([*now, *before])
    ]
    changes.sort(key=_order)
    why = _why_worse(old, new, changes)
    return Comparison(
        score_before_millis=old.defensibility.score_millis,
        score_now_millis=new.defensibility.score_millis,
        calls_before=old.calls,
        calls_now=new.calls,
        at_risk_before_pico=old.defensibility.at_risk_pico,
        at_risk_now_pico=new.defensibility.at_risk_pico,
        changes=tuple(changes),
        is_worse=bool(why),
        why_worse=why,
        notes=_notes(old, new),
    )


def _changed(old: Finding | None, new: Finding | None, calls_old: int, calls_new: int) -> Changed:
    shown = new or old
    assert shown is not None
    if old is None:
        change = Change.NEW
    elif new is None:
        change = Change.FIXED
    else:
        change = _between(old, new, calls_old, calls_new)
    return Changed(
        change=change,
        finding=shown,
        calls_before=0 if old is None else old.calls,
        calls_now=0 if new is None else new.calls,
        cost_before_pico=0 if old is None else old.cost_pico,
        cost_now_pico=0 if new is None else new.cost_pico,
    )


def _between(old: Finding, new: Finding, calls_old: int, calls_new: int) -> Change:
    if _RANK[new.severity] != _RANK[old.severity]:
        return Change.WORSE if _RANK[new.severity] < _RANK[old.severity] else Change.BETTER
    # Shares of the calls, multiplied out: no division, no rounding.
    share_old, share_new = old.calls * calls_new, new.calls * calls_old
    if share_new == share_old:
        return Change.SAME
    return Change.WORSE if share_new > share_old else Change.BETTER


def _why_worse(old: Audit, new: Audit, changes: list[Changed]) -> tuple[str, ...]:
    why = []
    if new.calls and new.defensibility.score_millis < old.defensibility.score_millis:
        why.append("the score fell")
    for change in (Change.NEW, Change.WORSE):
        grave = [
            one
            for one in changes
            if one.change is change and one.finding.severity is not Severity.NOTE
        ]
        if grave:
            noun = "finding is" if len(grave) == 1 else "findings are"
            why.append(f"{len(grave)} {noun} {change.value}")
    return tuple(why)


def _notes(old: Audit, new: Audit) -> tuple[str, ...]:
    notes = []
    if old.version != new.version:
        notes.append(
            f"made by Tollbook {old.version} and {new.version}: rules may have changed too"
        )
    if set(old.ignored) != set(new.ignored):
        notes.append("the two left out different rules")
    if old.prices != new.prices:
        notes.append(f"priced by {old.prices or 'no prices'} and by {new.prices or 'no prices'}")
    if old.calls and not new.calls:
        notes.append("no call was found this time, so nothing can be said of what is fixed")
    return tuple(notes)


_KINDS: Final = {one: at for at, one in enumerate(Change)}


def _order(one: Changed) -> tuple[int, int, int, int, str]:
    return (
        _KINDS[one.change],
        _RANK[one.finding.severity],
        -max(one.cost_now_pico, one.cost_before_pico),
        -max(one.calls_now, one.calls_before),
        one.finding.finding_id,
    )

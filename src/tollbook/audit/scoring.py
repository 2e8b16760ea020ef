"""Defensibility: for each call what a charge needs, and the dollars of those that lack it.

Everything is a sum of integers, so that the parts are the whole whatever the order of the traces.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

from tollbook.audit.criteria import BY_NAME, NEEDED, WHOLE_MILLIS, Seen
from tollbook.audit.findings import Mode, Severity
from tollbook.audit.outputs.words import MODES
from tollbook.audit.repeats import unclear_repeats
from tollbook.audit.report import AtRisk, Criterion, Defensibility

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

FORMULA: Final = (
    "score = 100 x sum of (weight x calls that have it) / (1000 x calls), rounded down; weights: "
    + ", ".join(f"{one.name} {one.weight_millis}" for one in NEEDED)
    + ". A call that was not charged has nothing to defend and counts as having all."
)
STEPS: Final = 11
"""Of the distribution: 0 to 99 thousandths, 100 to 199, ..., 900 to 999, and 1000."""
_OWNERLESS: Final = Mode.MISSING_TENANT.value
_REFUTES: Final = {
    Mode.TOKEN_KINDS: "token_kinds",
    Mode.IDENTITY_CONFLICT: "owner",
    Mode.IDENTITY_KIND: "owner",
}
"""What a finding takes from the calls it is about: they seem to have it, and it is wrong."""
_MENDS: Final = _REFUTES | {
    Mode.STREAMING: "token_kinds",
    Mode.DOUBLE_COUNTING: "retries",
    Mode.RETRIES: "retries",
    Mode.MODEL_UNKNOWN: "model_actual",
    Mode.PRICE_MISSING: "price",
    Mode.BATCH_METADATA: "owner",
    Mode.BAGGAGE_NOT_COPIED: "owner",
    Mode.MISSING_TENANT: "owner",
}
"""What its calls would have, were a finding mended that is not itself why an owner is missing."""


class CallScore(NamedTuple):
    """What one call has."""

    score_millis: int
    lacks: tuple[str, ...]
    """Names of criteria, in their order."""
    cause: str | None
    """A mode or a criterion that its dollars are booked to; None where it lacks nothing."""


class Found(NamedTuple):
    """That a finding is about a call."""

    finding_id: str
    mode: Mode
    severity: Severity
    is_cause: bool


@runtime_checkable
class AwaitsCauses(Protocol):
    """Is told of each call, and at the end why some of those without an owner have none."""

    def __call__(self, trace: Trace, span: SpanFact, scored: CallScore) -> None:
        """Take a call; a cause of ``missing-tenant`` may become another one."""

    def waits(self, ref: str, group: str) -> None:
        """Take that a call (``trace_id:span_id``) is one of a group."""

    def because(self, hit: Hit) -> None:
        """Take why the calls of a hit, or of its group, have no owner."""


ALL: Final = CallScore(WHOLE_MILLIS, (), None)


def score_call(
    trace: Trace,
    span: SpanFact,
    cause: str | None,
    *,
    is_repeat_unclear: bool = False,
    found: Sequence[Found] = (),
) -> CallScore:
    """Return what a call has of what a charge needs.

    Args:
        trace: its trace.
        span: the call, priced.
        cause: the mode that says why it has no owner, None where it has one or nobody knows.
        is_repeat_unclear: see :func:`tollbook.audit.repeats.unclear_repeats`.
        found: what was found about it.
    """
    call = span.call
    if call is None or not call.is_billable:
        return ALL
    refuted = {
        name: one.mode.value
        for one in found
        if (name := _REFUTES.get(one.mode)) is not None and _counts(one)
    }
    seen = Seen(trace, span, call, is_repeat_unclear)
    lacks = tuple(
        [
            one.name
            for one in NEEDED
            if one.name in refuted
            or (one.name == "owner" and cause is not None)
            or not one.is_met(seen)
        ]
    )
    if not lacks:
        return ALL
    score = WHOLE_MILLIS - sum(BY_NAME[name].weight_millis for name in lacks)
    first = lacks[0]
    if first == "owner":
        return CallScore(score, lacks, cause or refuted.get(first) or _OWNERLESS)
    return CallScore(score, lacks, first)


def _counts(one: Found) -> bool:
    """Whether a finding is grave enough to take something from a call."""
    if one.mode is Mode.TOKEN_KINDS:
        return one.severity is not Severity.NOTE
    return one.severity is Severity.ERROR


class _Sum:
    """Calls and their dollars."""

    __slots__ = ("calls", "cost_pico", "unpriced_calls")

    def __init__(self) -> None:
        self.calls = self.cost_pico = self.unpriced_calls = 0

    def add(self, cost_pico: int | None) -> None:
        self.calls += 1
        if cost_pico is None:
            self.unpriced_calls += 1
        else:
            self.cost_pico += cost_pico


class Scoring:
    """Scores the calls of all traces and keeps sums.

    Args:
        each: is told of each call.
    """

    def __init__(self, each: Callable[[Trace, SpanFact, CallScore], None] | None = None) -> None:
        self._each = each
        self._all = _Sum()
        self._score_sum = self._weighed_sum = self._defensible = self._uncharged = 0
        self._lacking = {one.name: _Sum() for one in NEEDED}
        self._at_risk: dict[str, _Sum] = {}
        self._distribution = [0] * STEPS
        self._gains: Counter[str] = Counter()

    def observe(
        self,
        trace: Trace,
        causes: Mapping[str, str],
        found: Mapping[str, Sequence[Found]] | None = None,
    ) -> None:
        """Count the calls of a trace.

        Args:
            trace: the trace, its calls priced.
            causes: for calls without an owner (``trace_id:span_id``) the mode that says why.
            found: for calls what was found about them.
        """
        calls = trace.calls
        unclear = unclear_repeats(trace) if calls else set()
        for span in calls:
            about = () if found is None else found.get(span.ref, ())
            scored = score_call(
                trace,
                span,
                causes.get(span.ref),
                is_repeat_unclear=span.span_id in unclear,
                found=about,
            )
            self._add(span, scored)
            if scored.lacks:
                self._gain(span, scored, about)
            if self._each is not None:
                self._each(trace, span, scored)

    def book(self, hit: Hit, finding_id: str | None = None) -> None:
        """Book calls whose cause is known only when everything was seen.

        ``hit.calls`` calls without an owner, of ``hit.cost_pico`` and ``hit.unpriced_calls``, were
        observed with no cause; it is ``hit.mode``.
        """
        source = self._at_risk.get(_OWNERLESS)
        moved = 0 if source is None else min(hit.calls - hit.free_calls, source.calls)
        if source is None or not moved:
            return
        if finding_id is not None:
            self._gains[finding_id] += BY_NAME["owner"].weight_millis * moved
        if hit.mode.value == _OWNERLESS:
            return
        target = self._at_risk.setdefault(hit.mode.value, _Sum())
        cost = min(hit.cost_pico or 0, source.cost_pico)
        unpriced = min(hit.unpriced_calls, source.unpriced_calls)
        for one, sign in ((source, -1), (target, 1)):
            one.calls += sign * moved
            one.cost_pico += sign * cost
            one.unpriced_calls += sign * unpriced

    def score_after(self, finding_id: str) -> int | None:
        """Return the score were one finding mended; None where that changes no call."""
        gain = self._gains[finding_id]
        if not gain:
            return None
        return min(self._score_sum + gain, WHOLE_MILLIS * self._all.calls) // self._all.calls

    def result(self) -> Defensibility:
        """Return the score."""
        calls, cost = self._all.calls, self._all.cost_pico
        at_risk = tuple(
            AtRisk(
                cause=cause,
                title=cause_title(cause),
                calls=one.calls,
                cost_pico=one.cost_pico,
                unpriced_calls=one.unpriced_calls,
            )
            for cause, one in sorted(
                self._at_risk.items(),
                key=lambda item: (-item[1].cost_pico, -item[1].calls, item[0]),
            )
            if one.calls or one.cost_pico
        )
        return Defensibility(
            score_millis=self._score_sum // calls if calls else 0,
            formula=FORMULA,
            criteria=tuple(
                Criterion(
                    name=one.name,
                    title=one.title,
                    weight_millis=one.weight_millis,
                    calls=calls - self._lacking[one.name].calls,
                    cost_pico=self._lacking[one.name].cost_pico,
                )
                for one in NEEDED
            ),
            calls=calls,
            defensible_calls=self._defensible,
            cost_pico=cost,
            unpriced_calls=self._all.unpriced_calls,
            at_risk_pico=sum(one.cost_pico for one in at_risk),
            at_risk=at_risk,
            dollar_score_millis=self._weighed_sum // cost if cost else None,
            uncharged_calls=self._uncharged,
            distribution=tuple(self._distribution),
        )

    def _add(self, span: SpanFact, scored: CallScore) -> None:
        call = span.call
        cost = None if call is None else call.cost_pico
        if call is not None and not call.is_billable:
            self._uncharged += 1
            cost = 0
        self._all.add(cost)
        self._score_sum += scored.score_millis
        self._weighed_sum += scored.score_millis * (cost or 0)
        self._distribution[scored.score_millis // (WHOLE_MILLIS // (STEPS - 1))] += 1
        if scored.cause is None:
            self._defensible += 1
            return
        for name in scored.lacks:
            self._lacking[name].add(cost)
        self._at_risk.setdefault(scored.cause, _Sum()).add(cost)

    def _gain(self, span: SpanFact, scored: CallScore, found: Sequence[Found]) -> None:
        """Count what each finding, mended alone, would give to a call."""
        for name in scored.lacks:
            mending = {
                one.finding_id: one.is_cause for one in found if name in _mended_by(one, span)
            }
            for finding_id, is_cause in mending.items():
                if is_cause or len(mending) == 1:
                    self._gains[finding_id] += BY_NAME[name].weight_millis


def _mended_by(one: Found, span: SpanFact) -> tuple[str, ...]:
    """Return the criteria that a call would meet, were a finding about it mended."""
    name = "owner" if one.is_cause else _MENDS.get(one.mode)
    if name is None:
        return ()
    call = span.call
    if name == "token_kinds" and call is not None and call.is_price_waiting:
        return name, "price"
    return (name,)


def cause_title(cause: str) -> str:
    """Return what is said of dollars at risk by a cause: a mode or a criterion."""
    needed = BY_NAME.get(cause)
    return MODES[Mode(cause)] if needed is None else needed.lacking

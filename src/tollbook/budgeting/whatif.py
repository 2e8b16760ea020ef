"""What a budget would have done to the calls of a past range, before it is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook import clock
from tollbook.budgeting.deeds import find_rule
from tollbook.budgeting.history import past_calls
from tollbook.budgeting.moments import text_of
from tollbook.budgeting.replay import REFUSED, Fate, Replay, Verdict
from tollbook.budgeting.shelf import top_ups_of
from tollbook.budgeting.shown import as_written, step_words
from tollbook.budgeting.written import Written, amount_text, owner_text, rule_of
from tollbook.budgets.refusal import said
from tollbook.budgets.window import BUCKETS
from tollbook.money import PICO_PER_USD, usd_text
from tollbook.reports.params import parse_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tollbook.budgets.rules import Rule
    from tollbook.desk import Desk

CURRENCY: Final = "USD"
UNNAMED: Final = "what-if"
ROWS_MAX: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US_PER_S: Final = 1_000_000
NOTE: Final = (
    "Each call of the ledger is replayed in the order in which it was sent. It holds its input and"
    " its whole output limit at its own price until it ended, then counts what it did cost; a"
    " refused call costs nothing, so those behind it find more room. Calls that were refused then"
    " are left out: nobody knows what they would have cost. What callers would have done instead"
    " is not guessed."
)


class AskWhatIf(Written, forbid_unknown_fields=True, kw_only=True):
    """A rule, or one in force with changes, over a past range (default: the last 30 days)."""

    name: str | None = None
    """Of the budget in force that is changed; unset: the rule is given whole."""
    since: str | None = None
    until: str | None = None
    period: str | None = None
    tz: str = "UTC"


class _Sums:
    """What became of the calls of one owner."""

    def __init__(self) -> None:
        self.calls = self.blocked = self.slowed = self.unpriced = self.waited = 0
        self.pico = self.blocked_pico = 0
        self.first_us: int | None = None

    def add(self, fate: Fate) -> None:
        """Count a call."""
        cost = fate.call.pico or 0
        self.calls += 1
        self.pico += cost
        if fate.verdict in REFUSED:
            self.blocked += 1
            self.slowed += fate.verdict is Verdict.SLOWED
            self.unpriced += fate.verdict is Verdict.UNPRICED
            self.blocked_pico += cost
            if self.first_us is None or fate.call.at_us < self.first_us:
                self.first_us = fate.call.at_us
        elif fate.at_us > fate.call.at_us:
            self.waited += 1


class Outcome(NamedTuple):
    """A rule over a past range."""

    rule: Rule
    fates: list[Fate]
    """Of the calls of the range, in the order in which they were decided."""


def what_if(desk: Desk, asked: AskWhatIf) -> dict[str, Any]:
    """Return how many calls of whom a rule would have refused, and their dollars."""
    now = clock.utc_now()
    base = None
    if asked.name is not None:
        base = find_rule(desk, asked.name, clock.unix_ns()).budget
    rule = rule_of(asked.name or UNNAMED, asked, base)
    given = {
        name: value
        for name in ("since", "until", "period", "tz")
        if (value := getattr(asked, name)) is not None
    }
    if not given.keys() & {"since", "period"}:
        given["since"] = "30d"
    period = parse_range(given, now)
    extra = _extra(desk, rule) if asked.name is not None else None
    outcome = replayed(desk, rule, period.start, min(period.end, now), extra)
    return _answer(outcome, asked.tz, period.start, period.end)


def replayed(
    desk: Desk, rule: Rule, since: datetime, until: datetime,
    extra: Callable[[tuple[str, ...], int], int] | None = None,
) -> Outcome:  # fmt: skip
    """Replay the calls of ``[since, until)``.

    The window that the range begins in is replayed from its start, so that what was spent before is
    known.
    """
    if since >= until:
        return Outcome(rule, [])
    since_us = _us(since)
    calls = past_calls(desk.reader, rule, _EPOCH + timedelta(seconds=_start_s(rule, since)), until)
    replay = Replay(rule) if extra is None else Replay(rule, extra=extra)
    return Outcome(rule, [one for one in replay.run(calls) if one.call.at_us >= since_us])


def _start_s(rule: Rule, since: datetime) -> int:
    """Return from when on calls matter to the first of a range."""
    at_s = _us(since) // _US_PER_S
    start_s = rule.span(at_s).start_s
    return start_s if rule.has_calendar else start_s - (BUCKETS + 1) * max(rule.bucket_s, 60)


def _extra(desk: Desk, rule: Rule) -> Callable[[tuple[str, ...], int], int]:
    """Return what top-ups added to an owner's limit at a moment of the past."""
    top_ups = [one for one in top_ups_of(desk.books, rule.budget.name) if one.unit == rule.unit]

    def extra(owner: tuple[str, ...], at_s: int) -> int:
        at_ns = at_s * clock.NS_PER_S
        return sum(
            one.amount
            for one in top_ups
            if one.owner == owner and one.created_at_ns <= at_ns < one.expires_at_ns
        )

    return extra


def _answer(outcome: Outcome, tz: str, since: datetime, until: datetime) -> dict[str, Any]:
    rule, total = outcome.rule, _Sums()
    owners: dict[tuple[str, ...], _Sums] = {}
    for fate in outcome.fates:
        total.add(fate)
        owners.setdefault(fate.call.owner, _Sums()).add(fate)
    ranked = sorted(
        owners.items(), key=lambda item: (-item[1].blocked, -item[1].pico, item[0])
    )  # fmt: skip
    blocked_owners = sum(1 for one in owners.values() if one.blocked)
    each = rule.budget.each
    return {
        "rows": [_row(each, owner, sums, tz) for owner, sums in ranked[:ROWS_MAX]],
        "owners": len(owners),
        "blocked_owners": blocked_owners,
        **_totals(total),
        "first_blocked_at": _moment(total.first_us, tz),
        "steps": _steps(outcome),
        "said": sentence(rule, total.blocked, blocked_owners, total.blocked_pico, total.calls),
        "rule": as_written(rule.budget) | {"name": rule.budget.name},
        "limit": amount_text(rule.unit, rule.limit),
        "unit": rule.unit,
        "since": _moment(_us(since), tz),
        "until": _moment(_us(until), tz),
        "note": NOTE,
        "currency": CURRENCY,
    }


def sentence(rule: Rule, blocked: int, owners: int, pico: int, calls: int) -> str:
    """Return the answer in a sentence: would have blocked 12 calls of 3 tenants."""
    if rule.budget.mode == "soft":
        return f"A soft budget blocks nothing; it counted {_number(calls, 'call')}."
    if not blocked:
        return f"Would have blocked none of {_number(calls, 'call')}."
    each = [one.replace("_", " ") for one in rule.budget.each]
    what = each[0] if len(each) == 1 else "owner"
    whose = f" of {_number(owners, what)}" if each else ""
    return (
        f"Would have blocked {_number(blocked, 'call')} of {calls:,}{whose},"
        f" which cost {_rounded(pico)} {CURRENCY}."
    )


def _rounded(pico: int) -> str:
    """Return dollars for a sentence: cents, below a dollar all digits; rows have all of them."""
    if pico < PICO_PER_USD:
        return said("usd", pico)
    cent = PICO_PER_USD // 100
    whole, part = divmod((pico + cent // 2) // cent, 100)
    return f"{whole:,}.{part:02}"


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _row(each: Sequence[str], owner: tuple[str, ...], sums: _Sums, tz: str) -> dict[str, Any]:
    fields = dict(zip(each, owner, strict=True))
    return {
        "owner": owner_text(fields),
        "owner_fields": fields,
        **_totals(sums),
        "first_blocked_at": _moment(sums.first_us, tz),
    }


def _totals(sums: _Sums) -> dict[str, Any]:
    return {
        "calls": sums.calls,
        "cost_usd": usd_text(sums.pico),
        "blocked_calls": sums.blocked,
        "blocked_cost_usd": usd_text(sums.blocked_pico),
        "slowed_calls": sums.slowed,
        "unpriced_calls": sums.unpriced,
        "waited_calls": sums.waited,
    }


def _steps(outcome: Outcome) -> list[dict[str, Any]]:
    """Return how many calls met each step: sent while it was the last that had begun."""
    sums = {step.at_percent: _Sums() for step in outcome.rule.budget.steps}
    for fate in outcome.fates:
        if fate.at_percent:
            sums[fate.at_percent].add(fate)
    return [
        {
            "at_percent": step.at_percent, "what": step_words(step),
            "calls": sums[step.at_percent].calls, "cost_usd": usd_text(sums[step.at_percent].pico),
            "refused_calls": sums[step.at_percent].blocked,
        }
        for step in outcome.rule.budget.steps
    ]  # fmt: skip


def blocked(fates: Iterable[Fate]) -> list[Fate]:
    """Return the fates of the calls that would have been refused."""
    return [one for one in fates if one.verdict in REFUSED]


def _moment(at_us: int | None, tz: str) -> str | None:
    return None if at_us is None else text_of(at_us * 1000, tz)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)

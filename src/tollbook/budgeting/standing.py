"""Where each owner of each budget stands: limit, top-ups, spent, held, left, until when.

Where gateways run on this data directory their shared table is read, which is live and knows what
calls under way hold; otherwise the ledger is asked, which knows of no holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.budgeting.moments import text_of_s
from tollbook.budgeting.shown import step_words, window_words
from tollbook.budgeting.written import amount_text, owner_text
from tollbook.budgets.ring import roll
from tollbook.budgets.rules import read_rules
from tollbook.budgets.seed import TABLE_FILE
from tollbook.budgets.steps import tightened
from tollbook.budgets.table import BudgetTable, BudgetTableError
from tollbook.budgets.window import BUCKETS, Span
from tollbook.ledger.budgetsums import booked_in
from tollbook.spool.errors import SpoolError
from tollbook.spool.reader import SpoolReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tollbook.budgeting.shelf import InForce, TopUp
    from tollbook.budgets.rules import Rule
    from tollbook.reports.reader import Reader

SPOOL_DIR: Final = "spool"
LIVE: Final = "gateways"
LEDGER: Final = "ledger"
_PERCENT: Final = 100
_SEEN_S: Final = 3600
"""Whoever called this lately is shown beside a limit of calls at once."""
STATES: Final = ("blocked", "over", "warned", "on track to exceed", "ok")
"""Of a standing, the worst first; over is what a soft budget is that passed its limit."""


class Stand(NamedTuple):
    """One owner of one budget, now. Amounts are pico for dollars, else pieces."""

    rule: Rule
    owner: tuple[str, ...]
    span: Span
    limit: int
    """Without top-ups."""
    top_ups: int
    spent: int
    held: int
    source: str
    """``gateways`` (live) or ``ledger``."""
    freed_at_s: int | None = None
    """Of a rolling window that is used up: when enough of it has passed for a call."""

    @property
    def since_s(self) -> int:
        """From when on spending counts, seconds since the epoch."""
        return counted_span(self.rule, self.span).start_s

    @property
    def resets_at_s(self) -> int | None:
        """When a calendar's window ends; None of one that rolls, and of calls under way."""
        return self.span.end_s if self.rule.has_calendar else None

    @property
    def blocked_until_s(self) -> int | None:
        """When calls are admitted again; None where they are, or nobody can say."""
        if not self.is_blocked or not self.rule.limit:
            return None
        return self.resets_at_s if self.rule.has_calendar else self.freed_at_s

    @property
    def whole(self) -> int:
        """The limit with top-ups."""
        return self.limit + self.top_ups

    @property
    def left(self) -> int:
        """What fits yet; never negative: what is over is :attr:`over`."""
        return max(0, self.whole - self.spent - self.held)

    @property
    def over(self) -> int:
        """By how much the limit is passed, as soft ones are."""
        return max(0, self.spent + self.held - self.whole)

    @property
    def is_blocked(self) -> bool:
        """Whether nothing is admitted any more."""
        is_hard = self.rule.budget.mode == "hard"
        return is_hard and self.spent + self.held >= self.whole

    def exhausted_at_s(self, now_s: int) -> int | None:
        """Return when the limit is reached if spending goes on as since the window began.

        An estimate: spent by the seconds gone is the pace. None where it is not reached before the
        window ends, nothing was spent, or it has been reached.
        """
        gone_s = now_s - self.span.start_s
        if not self.rule.has_calendar:
            return None  # what passes out of a rolling window comes free meanwhile
        if self.spent <= 0 or gone_s <= 0 or self.spent >= self.whole:
            return None
        at_s = self.span.start_s + -(-self.whole * gone_s // self.spent)
        return at_s if at_s < self.span.end_s else None

    @property
    def step_percent_refused(self) -> int | None:
        """Percent of the step that refuses now, None where none does."""
        budget = self.rule.budget
        step = tightened(budget.steps, self.spent, self.whole)
        return step.at_percent if step.is_refused and budget.mode == "hard" else None

    def percent(self) -> int | None:
        """Return the whole percent of the limit that is spent, rounded down; None of no limit."""
        return None if self.whole <= 0 else self.spent * _PERCENT // self.whole

    def state(self, now_s: int) -> str:
        """Return the word for it, one of :data:`STATES`."""
        budget = self.rule.budget
        if self.is_blocked or self.step_percent_refused:
            return "blocked"
        if self.over:
            return "over"
        percent = self.percent()
        if budget.warn_at_percent and percent is not None and percent >= min(
            budget.warn_at_percent
        ):  # fmt: skip
            return "warned"
        if self.exhausted_at_s(now_s) is not None:
            return "on track to exceed"
        return "ok"


def standings(reader: Reader, data_dir: Path, found: InForce, now_s: int) -> list[Stand]:
    """Return every owner of the budgets in force that has spent, holds or has a top-up.

    A budget that is one for all, and a stop, is there even where nothing was spent.

    Raises:
        QueryTimeoutError: it took too long.
    """
    rules = read_rules(found.budgets, "books")
    stands: list[Stand] = []
    with _live(data_dir) as table:
        for rule in rules:
            span = rule.span(now_s)
            spent, parts = _booked(reader, rule, span)
            extra = _extra(found.top_ups, rule)
            owners = {**dict.fromkeys(extra), **dict.fromkeys(spent)}
            if not rule.budget.each:
                owners[()] = None
            for owner in owners:
                counted = None if table is None else table.of(rule, owner, span, now_s)
                limit, more = rule.limit, extra.get(owner, 0)
                booked = spent.get(owner, 0)
                freed_s = freed_at_s(rule, parts.get(owner, {}), limit + more)
                stands.append(Stand(
                    rule, owner, span, limit, more,
                    booked if counted is None else counted[0],
                    0 if counted is None else counted[1],
                    LEDGER if counted is None else LIVE, freed_s,
                ))  # fmt: skip
    return stands


def counted_span(rule: Rule, span: Span) -> Span:
    """Return the time that counts: a calendar's window, or all the parts of one that rolls."""
    if rule.has_calendar:
        return span
    if not rule.bucket_s:
        return Span(span.start_s - _SEEN_S, span.start_s + 1)
    return Span(span.start_s - BUCKETS * rule.bucket_s, span.start_s + rule.bucket_s)


_Owner = tuple[str, ...]


def _booked(
    reader: Reader, rule: Rule, span: Span
) -> tuple[dict[_Owner, int], dict[_Owner, dict[int, int]]]:
    """Return what owners have spent, and of it what in each part of a rolling window."""
    spent: dict[_Owner, int] = {}
    parts: dict[_Owner, dict[int, int]] = {}
    for booked in booked_in(reader.fetch, rule, counted_span(rule, span)):
        owner = rule.owner(booked.fields)
        if owner is None:
            continue
        amount = 0 if rule.unit == "concurrent" else booked.amount(rule)
        spent[owner] = spent.get(owner, 0) + amount
        if rule.bucket_s:
            mine = parts.setdefault(owner, {})
            mine[booked.at_s] = mine.get(booked.at_s, 0) + amount
    return spent, parts


def freed_at_s(rule: Rule, parts: Mapping[int, int], limit: int) -> int | None:
    """Return when a rolling window that is used up has room again, None where it has."""
    left = sum(parts.values()) - limit
    if left < 0:
        return None
    for start_s, amount in sorted(parts.items()):
        left -= amount
        if left < 0:
            return start_s + (BUCKETS + 1) * rule.bucket_s
    return None


def _extra(top_ups: Iterable[TopUp], rule: Rule) -> dict[tuple[str, ...], int]:
    """Return what top-ups add, by owner; those of an earlier shape of the budget add nothing."""
    found: dict[tuple[str, ...], int] = {}
    for one in top_ups:
        is_ours = one.budget == rule.budget.name and one.unit == rule.unit
        if is_ours and len(one.owner) == len(rule.budget.each):
            found[one.owner] = found.get(one.owner, 0) + one.amount
    return found


class _LiveTable:
    """The table that the workers of this host share, open for looking."""

    def __init__(self, table: BudgetTable) -> None:
        self._table = table

    def of(
        self, rule: Rule, owner: tuple[str, ...], span: Span, now_s: int
    ) -> tuple[int, int] | None:
        """Return what an owner has spent and holds, None for who has no slot; none is made."""
        with self._table.locked():
            slot = self._table.look(rule.key(owner, span.start_s))
            if slot is None:
                return None
            if rule.bucket_s:
                roll(self._table, slot, now_s // rule.bucket_s)
            standing = self._table.standing(slot)
            return standing.spent, standing.held


def _live(data_dir: Path) -> AbstractContextManager[_LiveTable | None]:
    from contextlib import contextmanager  # noqa: PLC0415 -- used here only

    @contextmanager
    def opened() -> Iterator[_LiveTable | None]:
        table = None
        if workers_live(data_dir):
            try:
                table = BudgetTable(data_dir / TABLE_FILE)
            except BudgetTableError:
                table = None
        try:
            yield None if table is None else _LiveTable(table)
        finally:
            if table is not None:
                table.close()

    return opened()


def workers_live(data_dir: Path) -> bool:
    """Whether gateway workers run on a data directory, and count in its table."""
    if not (data_dir / TABLE_FILE).exists():
        return False
    try:
        writers = SpoolReader(data_dir / SPOOL_DIR).writers()
    except SpoolError:
        return False
    return any(one.is_alive for one in writers)


def stand_row(stand: Stand, now_s: int) -> dict[str, Any]:
    """Return a standing as answers have it: amounts as text, moments in the budget's zone."""
    budget, unit = stand.rule.budget, stand.rule.unit
    owner: Mapping[str, str] = dict(zip(budget.each, stand.owner, strict=True))
    exhausted_s = stand.exhausted_at_s(now_s)
    zone = budget.timezone
    return {
        "state": stand.state(now_s),
        "budget": budget.name,
        "owner": owner_text(owner) if owner or not budget.match else owner_text(budget.match),
        "owner_fields": dict(owner),
        "unit": unit,
        "limit": amount_text(unit, stand.limit),
        "top_ups": amount_text(unit, stand.top_ups),
        "whole": amount_text(unit, stand.whole),
        "spent": amount_text(unit, stand.spent),
        "held": amount_text(unit, stand.held),
        "left": amount_text(unit, stand.left),
        "over": amount_text(unit, stand.over),
        "percent": stand.percent(),
        "window": budget.window,
        "window_words": window_words(stand.rule),
        "timezone": zone,
        "window_start": text_of_s(stand.since_s, zone),
        "resets_at": _moment(stand.resets_at_s, zone),
        "blocked_until": _moment(stand.blocked_until_s, zone),
        "exhausted_at": _moment(exhausted_s, zone),
        "next_step": next_step(stand),
        "mode": budget.mode,
        "source": stand.source,
    }


def _moment(at_s: int | None, zone: str) -> str | None:
    return None if at_s is None else text_of_s(at_s, zone)


def next_step(stand: Stand) -> dict[str, Any] | None:
    """Return the step of a progressive budget that comes next, and at how much spent."""
    rule = stand.rule
    for step in rule.budget.steps:
        mark = -(-stand.whole * step.at_percent // _PERCENT)
        if stand.spent < mark:
            return {"at_percent": step.at_percent, "at_amount": amount_text(rule.unit, mark),
                    "what": step_words(step)}  # fmt: skip
    return None


def order_of(stand: Stand, now_s: int) -> tuple[Any, ...]:
    """Return what standings are sorted by: the blocked first, then the nearest to their limit."""
    place = STATES.index(stand.state(now_s))
    return place, -(stand.percent() or 0), -stand.spent, stand.rule.budget.name, stand.owner

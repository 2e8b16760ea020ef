"""What a call has reserved, and whether there is room for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.budgets.refusal import Refused, stepped, unavailable, used_up, waits
from tollbook.budgets.ring import free_at, roll
from tollbook.budgets.steps import tightened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.budgets.rules import Rule
    from tollbook.budgets.table import BudgetTable, Standing
    from tollbook.budgets.window import Span

_RATE_WINDOW_S: Final = 61


class Hold(NamedTuple):
    """What a call has reserved in one budget."""

    rule: Rule
    key: bytes
    span: Span
    owner: tuple[str, ...]
    amount: int
    inode: int
    """Of the table that it is held in: a table made anew knows nothing of it."""


def hold_of(rule: Rule, owner: tuple[str, ...], amount: int, inode: int, now_s: int) -> Hold:
    """Return what a call is to reserve in a budget."""
    span = rule.span(now_s)
    return Hold(rule, rule.key(owner, span.start_s), span, owner, amount, inode)


def reserve(
    table: BudgetTable, place: int, holds: Sequence[Hold], now_s: int, *, is_shared: bool,
    is_queued: bool,
) -> tuple[Hold, ...] | Refused:  # fmt: skip
    """Reserve all of it or nothing; to be called under the table's lock.

    Args:
        table: the counters.
        place: of this worker's life.
        holds: what the call is to reserve.
        now_s: seconds since the epoch.
        is_shared: whether other hosts use the same limits.
        is_queued: whether others wait for the same, so that a call that fits has to wait too.

    Returns:
        What is reserved: ``holds``, and those of steps that slow the owner down.
    """
    is_hard = any(hold.rule.budget.mode == "hard" for hold in holds)
    taken: list[tuple[Hold, int]] = []
    waiting: Refused | None = None
    for hold in holds:
        slot = slot_of(table, hold, now_s)
        if slot is None:
            return unavailable() if is_hard else ()
        taken.append((hold, slot))
        if hold.rule.budget.mode == "hard":
            refused = _refused(table, taken, now_s, is_shared=is_shared, is_queued=is_queued)
            if refused is not None and not refused.wait_s:
                return refused
            waiting = waiting or refused
    if waiting is not None:
        return waiting
    for hold, slot in taken:
        table.hold(slot, place, hold.amount)
    return tuple(hold for hold, _ in taken)


def _refused(
    table: BudgetTable, taken: list[tuple[Hold, int]], now_s: int, *, is_shared: bool,
    is_queued: bool,
) -> Refused | None:  # fmt: skip
    """Return why there is no room for the last hold; add what a step wants to be held."""
    hold, slot = taken[-1]
    standing = table.standing(slot)
    limit = hold.rule.limit_of(hold.owner, now_s)
    everywhere = standing
    if is_shared and (elsewhere := table.elsewhere(slot)):
        everywhere = standing._replace(spent=standing.spent + elsewhere)
    verdict = _judged(table, slot, hold, everywhere, limit, now_s)
    if isinstance(verdict, Refused):
        return verdict
    if verdict is not None:
        rated = hold_of(hold.rule.rate(), hold.owner, 1, table.inode, now_s)
        rate_slot = slot_of(table, rated, now_s)
        if rate_slot is None:
            return unavailable()
        refused = _too_fast(table, rate_slot, rated, verdict, now_s)
        if refused is not None:
            return refused
        taken.append((rated, rate_slot))
    waiting = _in_the_way(table, slot, hold, standing, limit, is_shared=is_shared)
    return waits(hold, limit, standing.spent) if waiting is None and is_queued else waiting


def slot_of(table: BudgetTable, hold: Hold, now_s: int) -> int | None:
    """Return the slot of a hold, its window moved on to now; None when there is no room for it."""
    end_s = hold.span.end_s
    width_s = hold.rule.bucket_s
    slot = table.find(hold.key, end_s, now_s)
    if slot is not None and width_s:
        roll(table, slot, now_s // width_s)
    return slot


def _judged(
    table: BudgetTable, slot: int, hold: Hold, standing: Standing, limit: int, now_s: int
) -> Refused | tuple[int, int] | None:
    """Return why what is spent forbids a call; or the rate (and percent) of the step that is on."""
    rule, spent = hold.rule, standing.spent
    if spent >= limit or spent + hold.amount > limit:
        return used_up(hold, limit, spent, now_s, _reset_s(table, slot, hold, limit, spent))
    if not rule.budget.steps:
        return None
    step = tightened(rule.budget.steps, spent, limit)
    if step.is_refused:
        mark = step.at_percent * limit // 100
        reset_s = _reset_s(table, slot, hold._replace(amount=1), mark, spent)
        return stepped(hold, step.at_percent, now_s, reset_s, None)
    if step.requests_per_minute is None:
        return None
    return step.requests_per_minute, step.at_percent


def _too_fast(
    table: BudgetTable, slot: int, hold: Hold, step: tuple[int, int], now_s: int
) -> Refused | None:
    rate, percent = step
    taken = table.standing(slot).taken
    if taken < rate:
        return None
    freed_s = free_at(table, slot, 1, taken + 1 - rate)
    return stepped(hold, percent, now_s, freed_s or now_s + _RATE_WINDOW_S, rate)


def _in_the_way(
    table: BudgetTable, slot: int, hold: Hold, standing: Standing, limit: int, *, is_shared: bool
) -> Refused | None:
    """Return that the holds of others, or a grant that is too small, are in the way."""
    cap = limit
    if is_shared:
        cap = min(limit, table.granted(slot) or 0)
        table.set_limit(slot, limit)
    elif (granted := table.granted(slot)) is not None:
        cap = min(limit, granted)
    needed = standing.taken + hold.amount
    if needed <= cap and (hold.amount or standing.taken < cap):
        return None
    if cap < limit and needed > cap:
        table.want(slot, needed - cap)
        if is_shared and table.elsewhere(slot) is None:
            return unavailable()
    return waits(hold, limit, standing.spent)


def _reset_s(table: BudgetTable, slot: int, hold: Hold, limit: int, spent: int) -> int:
    """Return when there is room for a call, by what is spent alone."""
    width_s = hold.rule.bucket_s
    if not width_s:
        return hold.span.end_s
    too_much = max(spent + hold.amount - limit, spent - limit + 1)
    return free_at(table, slot, width_s, too_much) or hold.span.end_s

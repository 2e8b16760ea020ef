"""Admit a call against its budgets, and settle what it came to. One per gateway worker.

A call reserves the most it may cost before it is sent (input as estimated, output up to its own
limit) in every budget that it counts against, all of them or none; when it has ended, what it did
cost replaces the reservation. The sums are shared with the other workers of the host
(:mod:`tollbook.budgets.table`), so concurrent calls cannot overshoot a hard limit: what is spent
and held never exceeds it at the moment of admission. What is spent alone refuses; where only the
reservations of others are in the way, a call may wait (:mod:`tollbook.budgets.waiting`).
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.budgets.hold import Hold, hold_of, reserve, slot_of
from tollbook.budgets.pricing import amount_of, came_to, worst_of
from tollbook.budgets.refusal import Refused, unavailable, unpriced, used_up
from tollbook.budgets.ring import spend_in
from tollbook.budgets.rules import fields_of
from tollbook.budgets.steps import shown_steps, tightened
from tollbook.budgets.table import BudgetTable, BudgetTableError
from tollbook.call import CallClosed, Metering, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tollbook.budgets.pricing import Prices
    from tollbook.budgets.rules import Rule
    from tollbook.call import CallOpened

__all__ = ["Guard", "Hold", "Left", "Refused"]
logger = logging.getLogger(__name__)

_LOOKS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_SESSION: Final = "websocket"
"""Operation of a WebSocket's own call; what it leads to is charged within."""
_NS_PER_US: Final = 1000


class Left(NamedTuple):
    """What is left of a budget."""

    name: str
    pico: int
    steps: str = ""
    """How it tightens, and where it stands."""


class Guard:
    """The budgets of one worker.

    Args:
        rules: in force.
        path: the table that all workers of the host share.
        writer: name of this worker's spool writer: its life, as the ledger knows it.
        prices: as the ledger's.
        now_s: the wall clock, seconds since the epoch.
        is_shared: whether other hosts use the same limits, so that only what is granted counts.
    """

    def __init__(
        self, rules: Sequence[Rule], path: Path, writer: str, prices: Prices,
        now_s: Callable[[], int], *, is_shared: bool = False,
    ) -> None:  # fmt: skip
        self._path = path
        self._writer = writer
        self._prices = prices
        self._now_s = now_s
        self._table: BudgetTable | None = None
        self._place = 0
        self.refusals: dict[str, int] = {}
        """How many calls each budget has refused, for the metrics."""
        self.is_waited_for: Callable[[bytes], bool] = lambda _: False
        """Whether calls of this worker wait for room in a slot."""
        self.set_rules(rules, is_shared=is_shared)
        self.refresh()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In force."""
        return self._rules

    @property
    def has_table(self) -> bool:
        """Whether there are counters to count in."""
        return self._table is not None

    def set_rules(self, rules: Sequence[Rule], *, is_shared: bool = False) -> None:
        """Take other rules; counts of what they have in common go on."""
        self._rules = tuple(rules)
        self._is_shared = is_shared
        self.has_models = any(
            step.action == "model" for rule in rules for step in rule.budget.steps
        )
        """Whether a step may ask for another model."""
        self.stops = tuple(rule for rule in self._rules if rule.budget.stop_streams)
        """Rules that cut running answers."""

    def close(self) -> None:
        """Let go of the table."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def refresh(self) -> None:
        """Map the table if it is new; called now and then."""
        try:
            inode = self._path.stat().st_ino
        except OSError:
            return  # what is mapped goes on counting
        if self._table is not None and self._table.inode == inode:
            return
        try:
            table = BudgetTable(self._path)
        except BudgetTableError as error:
            logger.warning("%s", error.message)
            return
        with table.locked():
            place = table.claim(self._writer)
        if place is None:
            table.close()
            logger.warning("%s: every place is taken by a worker that has ended", self._path)
            return
        self.close()
        self._table, self._place = table, place

    def metrics(self) -> bytes:
        """Return the refusals by budget in Prometheus text (exposition format 0.0.4)."""
        family = "tollbook_gateway_budget_refusals_total"
        lines = [f"# HELP {family} Calls that a budget refused.", f"# TYPE {family} counter"]
        lines += [
            f'{family}{{budget="{rule.budget.name}"}} {self.refusals.get(rule.budget.name, 0)}'
            for rule in self._rules
        ]
        return "\n".join([*lines, ""]).encode()

    # before the call

    def admit(self, opened: CallOpened, *, is_next: bool = False) -> tuple[Hold, ...] | Refused:
        """Reserve in every budget that counts, or say which refuses; nothing is held then.

        ``is_next``: the call has waited, and nobody is before it.
        """
        if opened.metering is Metering.FREE and _is_look(opened):
            return ()
        holds = self._wanted(opened)
        if isinstance(holds, Refused) or not holds:
            return holds
        table, now_s = self._table, self._now_s()
        if table is None:
            return self._without_table(holds, now_s)
        is_queued = not is_next and any(self.is_waited_for(hold.key) for hold in holds)
        with table.locked():
            found = reserve(
                table, self._place, holds, now_s, is_shared=self._is_shared, is_queued=is_queued
            )
        if isinstance(found, Refused) and not found.wait_s and found.rule is not None:
            self.count(found.rule)
        return found

    def _without_table(self, holds: Sequence[Hold], now_s: int) -> tuple[Hold, ...] | Refused:
        """Return what can be said without counters: who has no limit at all is refused as ever."""
        hard = [hold for hold in holds if hold.rule.budget.mode == "hard"]
        for hold in hard:
            if not hold.rule.limit_of(hold.owner, now_s):
                self.count(hold.rule)
                return used_up(hold, 0, 0, now_s, hold.span.end_s)
        return unavailable() if hard else ()

    def model_for(self, opened: CallOpened) -> tuple[str, str] | None:
        """Return the cheaper model that a step asks for, and the budget's name.

        Where several budgets name one, the first budget's counts.
        """
        table, now_s = self._table, self._now_s()
        if table is None or opened.metering is not Metering.METERED:
            return None
        fields = fields_of(opened)
        with table.locked():
            for rule in self._rules:
                steps = rule.budget.steps
                owner = rule.owner(fields) if steps and rule.budget.mode == "hard" else None
                if owner is None:
                    continue
                slot = slot_of(table, hold_of(rule, owner, 0, 0, now_s), now_s)
                if slot is None:
                    continue
                limit = rule.limit_of(owner, now_s)
                model = tightened(steps, table.standing(slot).spent, limit).model
                if model is not None and model != opened.model_requested:
                    return model, rule.budget.name
        return None

    def _wanted(
        self, opened: CallOpened, rules: Sequence[Rule] | None = None
    ) -> tuple[Hold, ...] | Refused:
        fields = fields_of(opened)
        concerned = _concerned(self._rules if rules is None else rules, fields)
        if not concerned:
            return ()
        now_s, inode = self._now_s(), 0 if self._table is None else self._table.inode
        worst = None
        holds = []
        for rule, owner in concerned:
            if rule.unit in {"requests", "concurrent"} or not (rule.limit or rule.top_ups):
                amount: int | None = 1  # nobody need know what it costs
            else:
                if worst is None:
                    most = max(rule.budget.default_output_tokens for rule, _ in concerned)
                    worst = worst_of(self._prices, opened, most)
                amount = amount_of(rule, worst)
            if amount is None:
                self.count(rule)
                return unpriced(rule, fields["model"])
            holds.append(hold_of(rule, owner, amount, inode, now_s))
        return tuple(holds)

    # after it

    def settle(self, holds: tuple[Hold, ...], opened: CallOpened, closed: CallClosed) -> None:
        """Replace what a call held by what it came to. Never raises: a call has to be closed."""
        if not holds:
            return
        try:
            self._settle(holds, opened, closed)
        except (OSError, ValueError, OverflowError, struct.error):
            logger.exception("a call could not be settled in its budgets")

    def _settle(self, holds: tuple[Hold, ...], opened: CallOpened, closed: CallClosed) -> None:
        pico, tokens, requests = came_to(self._prices, opened, closed)
        table, now_s = self._table, self._now_s()
        if table is None:
            return
        ended_us = opened.started_at_ns // _NS_PER_US + closed.duration_ns // _NS_PER_US
        with table.locked():
            for hold in holds:
                rule = hold.rule
                slot = table.look(hold.key) if rule.unit == "concurrent" else None
                slot = slot_of(table, hold, now_s) if slot is None else slot
                if slot is None:
                    continue
                if rule.unit != "concurrent" and ended_us >= rule.from_us:
                    unit = rule.unit
                    spent = tokens if unit == "tokens" else requests if unit == "requests" else pico
                    amount = rule.hold if spent is None else spent
                    before = table.standing(slot).spent
                    if rule.bucket_s:
                        spend_in(table, slot, hold.span.start_s // rule.bucket_s, amount)
                    else:
                        table.spend_by(slot, self._place, amount)
                    _warn(hold, before, before + amount)
                if hold.inode == table.inode:
                    table.hold(slot, self._place, -hold.amount)

    def release(self, holds: tuple[Hold, ...], opened: CallOpened) -> None:
        """Let go of what a call has reserved that was never sent."""
        nothing = CallClosed(opened.call_id, opened.started_at_ns, Status.REJECTED)
        self.settle(holds, opened, nothing)

    def may_open(self, session: CallOpened) -> Refused | None:
        """Say which budget refuses a session; nothing is held for it, its responses hold."""
        admitted = self.admit(session, is_next=True)
        if isinstance(admitted, Refused):
            return None if admitted.wait_s else admitted
        self.release(admitted, session)
        return None

    def charge(self, opened: CallOpened, closed: CallClosed) -> None:
        """Count a call that reserved nothing: a response within a session that nothing held up."""
        now_s = self._now_s()
        concerned = _concerned(self._rules, fields_of(opened))
        holds = (hold_of(rule, owner, 0, 0, now_s) for rule, owner in concerned)
        self.settle(tuple(one for one in holds if one.rule.unit != "concurrent"), opened, closed)

    # while it runs

    def adopt(self, opened: CallOpened, holds: tuple[Hold, ...]) -> tuple[Hold, ...]:
        """Reserve for a running call in rules that have come since, whatever their limits say.

        Returns:
            All that the call holds now; to be settled like what it held before.
        """
        table = self._table
        if table is None or (opened.metering is Metering.FREE and _is_look(opened)):
            return holds
        # A rule that went and came back, or has another limit, goes on with what is held.
        present = {rule.counted: rule for rule in self._rules}
        holds = tuple(one._replace(rule=present.get(one.rule.counted, one.rule)) for one in holds)
        known = {one.rule.counted for one in holds if one.inode == table.inode}
        new = [rule for rule in self._rules if rule.counted not in known]
        if not new:
            return holds
        holds = tuple(one for one in holds if one.inode == table.inode)
        more = self._wanted(opened, new)
        if isinstance(more, Refused):  # of unknown price: it counts when it has ended
            now_s = self._now_s()
            concerned = _concerned(new, fields_of(opened))
            more = tuple(hold_of(rule, owner, 0, 0, now_s) for rule, owner in concerned)
        now_s, held = self._now_s(), list(holds)
        with table.locked():
            for hold in more:
                slot = slot_of(table, hold, now_s)
                if slot is not None:
                    table.hold(slot, self._place, hold.amount)
                    held.append(hold)
        return tuple(held)

    def stopped(self, opened: CallOpened) -> Refused | None:
        """Say which rule stops a running call: one with ``stop_streams`` whose limit is spent."""
        table, now_s = self._table, self._now_s()
        for rule, owner in _concerned(self.stops, fields_of(opened)):
            if rule.budget.mode != "hard":
                continue
            hold = hold_of(rule, owner, 0, 0, now_s)
            limit = rule.limit_of(owner, now_s)
            spent = 0
            if limit:
                if table is None:
                    continue
                with table.locked():
                    slot = slot_of(table, hold, now_s)
                    spent = 0 if slot is None else table.standing(slot).spent
            if spent > limit or not limit:
                return used_up(hold, limit, spent, now_s, hold.span.end_s)
        return None

    def remaining(self, holds: tuple[Hold, ...]) -> Left | None:
        """Return what is left of the dollar budget with the least left."""
        table, now_s = self._table, self._now_s()
        found: list[Left] = []
        if table is None:
            return None
        with table.locked():
            for hold in holds:
                slot = slot_of(table, hold, now_s)
                if hold.rule.unit == "usd" and slot is not None:
                    left = hold.rule.limit_of(hold.owner, now_s) - table.standing(slot).taken
                    budget = hold.rule.budget
                    found.append(Left(budget.name, max(0, left), shown_steps(budget.steps)))
        return min(found, key=lambda one: (one.pico, one.name)) if found else None

    def count(self, rule: Rule) -> None:
        """Count a refusal, for the metrics."""
        name = rule.budget.name
        self.refusals[name] = self.refusals.get(name, 0) + 1


def _concerned(
    rules: Sequence[Rule], fields: Mapping[str, str]
) -> list[tuple[Rule, tuple[str, ...]]]:
    return [(rule, owner) for rule in rules if (owner := rule.owner(fields)) is not None]


def _is_look(opened: CallOpened) -> bool:
    """Whether a free call leads to none that costs: a session is opened with GET too."""
    return opened.method in _LOOKS and opened.operation != _SESSION


def _warn(hold: Hold, before: int, after: int) -> None:
    """Log each share of the limit that this call has crossed; under the lock, so once."""
    budget, limit = hold.rule.budget, hold.rule.limit
    for percent in budget.warn_at_percent:
        mark = limit * percent
        if before * 100 < mark <= after * 100:
            logger.warning(
                "budget %s %s has reached %d %% of its limit for this %s",
                budget.name, "/".join(hold.owner) or "all", percent, budget.window,
            )  # fmt: skip

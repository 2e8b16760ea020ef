"""What a rule would have done to past calls: each is admitted, waits or is refused in its turn.

Owners, windows, limits and steps are those of the gateway's own rules. A call holds from when it
was sent until it ended, then its cost takes the place of what it held; one that is refused holds
and costs nothing, so those behind it find more room than they did in truth.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.budgets.steps import tightened
from tollbook.budgets.window import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tollbook.budgeting.history import PastCall
    from tollbook.budgets.rules import Rule

_US_PER_S: Final = 1_000_000
_NEVER_US: Final = 2**63
_PARTS: Final = BUCKETS + 1
_RATE_PART_S: Final = 1
"""Of the window that a step counts calls a minute in, as the gateway has it."""


class Verdict(StrEnum):
    """What becomes of a call."""

    PASSED = "passed"
    BLOCKED = "blocked"
    SLOWED = "slowed"  # refused because a step lets only so many a minute through
    UNPRICED = "unpriced"  # refused because its price is not known
    WAITS = "waits"


REFUSED: Final = frozenset([Verdict.BLOCKED, Verdict.SLOWED, Verdict.UNPRICED])


class Fate(NamedTuple):
    """A call and what became of it."""

    call: PastCall
    verdict: Verdict
    at_us: int
    """When that was decided."""
    at_percent: int = 0
    """Of the last step that had begun then; 0: none had."""


class _Account:
    """One owner in one window, which rolls where its parts have a length."""

    __slots__ = ("_latest", "_parts", "held", "part_s", "spent")

    def __init__(self, part_s: int) -> None:
        self.spent = self.held = self._latest = 0
        self.part_s = part_s
        self._parts: defaultdict[int, int] = defaultdict(int)

    def move(self, now_s: int) -> None:
        """Let go of what has passed out of a rolling window."""
        if not self.part_s or now_s // self.part_s <= self._latest:
            return
        self._latest = now_s // self.part_s
        for part in [one for one in self._parts if one <= self._latest - _PARTS]:
            self.spent -= self._parts.pop(part)

    def spend(self, amount: int, admitted_s: int) -> None:
        """Count what a call came to, in the part in which it was admitted."""
        if self.part_s:
            part = admitted_s // self.part_s
            if part <= self._latest - _PARTS:
                return
            self._parts[part] += amount
        self.spent += amount


class _Held(NamedTuple):
    call: PastCall
    account: _Account
    rated: _Account | None
    amount: int
    admitted_s: int


class Replay:
    """One rule over past calls.

    Args:
        rule: as the gateway has it.
        wait_us: longest wait for the holds of other calls to settle; None: the rule's.
        extra: what top-ups add to the limit of an owner at a second since the epoch.
    """

    def __init__(
        self, rule: Rule, wait_us: int | None = None,
        extra: Callable[[tuple[str, ...], int], int] = lambda _owner, _at_s: 0,
    ) -> None:  # fmt: skip
        self._rule, self._extra = rule, extra
        self._wait_us = int(rule.budget.wait_s * _US_PER_S) if wait_us is None else wait_us
        self._accounts: dict[tuple[tuple[str, ...], int], _Account] = {}
        self._rated: defaultdict[tuple[str, ...], _Account] = defaultdict(
            lambda: _Account(_RATE_PART_S)
        )
        self._ending: list[tuple[int, int, _Held | PastCall]] = []
        self._waiting: defaultdict[tuple[str, ...], deque[PastCall]] = defaultdict(deque)
        self._number = 0
        self._fates: list[Fate] = []

    def run(self, calls: Iterable[PastCall]) -> list[Fate]:
        """Replay calls, given in the order in which they were sent."""
        for call in calls:
            self._until(call.at_us)
            queue = self._waiting[call.owner]
            fate = self._try(call, call.at_us)
            if fate.verdict is not Verdict.WAITS:
                self._fates.append(fate)
            elif self._wait_us:
                queue.append(call)
                self._later(call.at_us + self._wait_us, call)
            else:
                self._fates.append(fate._replace(verdict=Verdict.BLOCKED))
        self._until(_NEVER_US)
        return self._fates

    def _until(self, at_us: int) -> None:
        """Let everything end that ends up to a moment."""
        while self._ending and self._ending[0][0] <= at_us:
            now_us, _, one = heapq.heappop(self._ending)
            if isinstance(one, _Held):
                self._settle(one)
                self._wake(one.call.owner, now_us)
            elif one in self._waiting[one.owner]:
                self._wake(one.owner, now_us)  # a new window may have begun meanwhile
                if one in self._waiting[one.owner]:
                    self._waiting[one.owner].remove(one)
                    self._fates.append(Fate(one, Verdict.BLOCKED, now_us))
                    self._wake(one.owner, now_us)

    def _settle(self, one: _Held) -> None:
        one.account.held -= one.amount
        if self._rule.unit != "concurrent":
            one.account.spend(self._came_to(one.call), one.admitted_s)
        if one.rated is not None:
            one.rated.held -= 1
            one.rated.spend(1, one.admitted_s)

    def _wake(self, owner: tuple[str, ...], now_us: int) -> None:
        queue = self._waiting[owner]
        while queue:
            fate = self._try(queue[0], now_us, is_next=True)
            if fate.verdict is Verdict.WAITS:
                return
            queue.popleft()
            self._fates.append(fate)

    def _later(self, at_us: int, one: _Held | PastCall) -> None:
        self._number += 1
        heapq.heappush(self._ending, (at_us, self._number, one))

    def _account(self, owner: tuple[str, ...], now_s: int) -> _Account:
        rule = self._rule
        key = (owner, rule.span(now_s).start_s if rule.has_calendar else 0)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(rule.bucket_s)
        account.move(now_s)
        return account

    def _try(self, call: PastCall, now_us: int, *, is_next: bool = False) -> Fate:
        """Admit a call if there is room; behind others that wait it waits too."""
        rule, now_s = self._rule, now_us // _US_PER_S
        amount = self._holds(call)
        if amount is None:
            return Fate(call, Verdict.UNPRICED, now_us)
        account, rated, percent = self._account(call.owner, now_s), None, 0
        if rule.budget.mode == "hard":
            limit = rule.limit + self._extra(call.owner, now_s)
            if account.spent >= limit or account.spent + amount > limit:
                return Fate(call, Verdict.BLOCKED, now_us, self._percent(account.spent, limit))
            step = tightened(rule.budget.steps, account.spent, limit)
            percent = step.at_percent
            if step.is_refused:
                return Fate(call, Verdict.BLOCKED, now_us, percent)
            if step.requests_per_minute is not None:
                rated = self._rated[call.owner]
                rated.move(now_s)
                if rated.spent + rated.held >= step.requests_per_minute:
                    return Fate(call, Verdict.SLOWED, now_us, percent)
            taken = account.spent + account.held
            is_queued = not is_next and bool(self._waiting[call.owner])
            if is_queued or taken + amount > limit or (not amount and taken >= limit):
                return Fate(call, Verdict.WAITS, now_us, percent)
        account.held += amount
        if rated is not None:
            rated.held += 1
        ends_us = now_us + max(0, call.ends_us - call.at_us)
        self._later(ends_us, _Held(call, account, rated, amount, now_s))
        return Fate(call, Verdict.PASSED, now_us, percent)

    def _percent(self, spent: int, limit: int) -> int:
        """Return the last step that had begun when the limit itself refused."""
        return tightened(self._rule.budget.steps, spent, limit).at_percent

    def _holds(self, call: PastCall) -> int | None:
        rule = self._rule
        if rule.unit in {"requests", "concurrent"} or not rule.limit:
            return 1
        if rule.unit == "tokens":
            return call.hold_tokens
        if call.hold_pico is not None:
            return call.hold_pico
        is_refused = rule.budget.mode == "hard" and rule.budget.unknown_price == "refuse"
        return None if is_refused else rule.hold

    def _came_to(self, call: PastCall) -> int:
        if self._rule.unit == "tokens":
            return call.tokens
        if self._rule.unit == "requests":
            return 1
        return self._rule.hold if call.pico is None else call.pico

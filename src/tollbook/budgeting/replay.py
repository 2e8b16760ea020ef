"""What a rule would have done to past calls: each is admitted, waits or is refused in its turn.

The windows, owners and limits are those of the gateway's own rules. A call holds from when it was
sent until it ended, then its cost takes the place of what it held; one that is refused holds and
costs nothing, so those behind it find more room than they did in truth.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.budgets.window import span_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tollbook.budgeting.history import PastCall
    from tollbook.budgets.rules import Rule

_US_PER_S: Final = 1_000_000
_NEVER_US: Final = 2**63


class Verdict(StrEnum):
    """What becomes of a call."""

    PASSED = "passed"
    BLOCKED = "blocked"
    UNPRICED = "unpriced"  # blocked because its price is not known
    WAITS = "waits"


class Fate(NamedTuple):
    """A call and what became of it."""

    call: PastCall
    verdict: Verdict
    at_us: int
    """When that was decided."""


class _Account:
    """One owner in one window."""

    __slots__ = ("held", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self.held = 0


class _Held(NamedTuple):
    call: PastCall
    account: _Account
    amount: int


class Replay:
    """One rule over past calls.

    Args:
        rule: as the gateway has it.
        wait_us: longest wait for the holds of other calls to settle.
        extra: what top-ups add to the limit of an owner at a second since the epoch.
    """

    def __init__(
        self, rule: Rule, wait_us: int = 0,
        extra: Callable[[tuple[str, ...], int], int] = lambda _owner, _at_s: 0,
    ) -> None:  # fmt: skip
        self._rule, self._wait_us, self._extra = rule, wait_us, extra
        self._accounts: defaultdict[tuple[tuple[str, ...], int], _Account] = defaultdict(_Account)
        self._ending: list[tuple[int, int, _Held | PastCall]] = []
        self._waiting: defaultdict[tuple[str, ...], deque[PastCall]] = defaultdict(deque)
        self._number = 0
        self._fates: list[Fate] = []

    def run(self, calls: Iterable[PastCall]) -> list[Fate]:
        """Replay calls, given in the order in which they were sent."""
        for call in calls:
            self._until(call.at_us)
            queue = self._waiting[call.owner]
            verdict = Verdict.WAITS if queue else self._try(call, call.at_us)
            if verdict is not Verdict.WAITS:
                self._fates.append(Fate(call, verdict, call.at_us))
            elif self._wait_us:
                queue.append(call)
                self._later(call.at_us + self._wait_us, call)
            else:
                self._fates.append(Fate(call, Verdict.BLOCKED, call.at_us))
        self._until(_NEVER_US)
        return self._fates

    def _until(self, at_us: int) -> None:
        """Let everything end that ends up to a moment."""
        while self._ending and self._ending[0][0] <= at_us:
            now_us, _, one = heapq.heappop(self._ending)
            if isinstance(one, _Held):
                one.account.held -= one.amount
                one.account.spent += self._came_to(one.call)
                self._wake(one.call.owner, now_us)
            elif one in self._waiting[one.owner]:
                self._wake(one.owner, now_us)  # a new window may have begun meanwhile
                if one in self._waiting[one.owner]:
                    self._waiting[one.owner].remove(one)
                    self._fates.append(Fate(one, Verdict.BLOCKED, now_us))
                    self._wake(one.owner, now_us)

    def _wake(self, owner: tuple[str, ...], now_us: int) -> None:
        queue = self._waiting[owner]
        while queue:
            verdict = self._try(queue[0], now_us)
            if verdict is Verdict.WAITS:
                return
            self._fates.append(Fate(queue.popleft(), verdict, now_us))

    def _later(self, at_us: int, one: _Held | PastCall) -> None:
        self._number += 1
        heapq.heappush(self._ending, (at_us, self._number, one))

    def _try(self, call: PastCall, now_us: int) -> Verdict:
        rule = self._rule
        amount = self._holds(call)
        if amount is None:
            return Verdict.UNPRICED
        now_s = now_us // _US_PER_S
        start_s = span_at(rule.budget.window, rule.budget.timezone, now_s).start_s
        account = self._accounts[call.owner, start_s]
        limit = rule.limit + self._extra(call.owner, now_s)
        if rule.budget.mode == "hard":
            if account.spent >= limit or account.spent + amount > limit:
                return Verdict.BLOCKED
            taken = account.spent + account.held
            if taken >= limit or taken + amount > limit:
                return Verdict.WAITS
        account.held += amount
        self._later(now_us + max(0, call.ends_us - call.at_us), _Held(call, account, amount))
        return Verdict.PASSED

    def _holds(self, call: PastCall) -> int | None:
        rule = self._rule
        if rule.unit == "tokens":
            return call.hold_tokens
        if rule.unit == "requests":
            return 1
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

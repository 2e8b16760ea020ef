"""Calls that wait for room that others have only reserved: first come, first served, by owner.

A call that would fit but for reservations of calls under way waits until they settle. Calls of one
owner go in the order in which they came; owners do not wait for one another. Who waits is tried
again when a call of this worker has settled, and some fifty times a second for what other workers
settle; only the first of each owner is tried, so that waiting costs little.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from tollbook.budgets.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.budgets.guard import Guard
    from tollbook.budgets.hold import Hold
    from tollbook.call import CallOpened

    Then = Callable[[tuple[Hold, ...] | Refused], None]
    CallLater = Callable[[float, Callable[[], None]], object]

_LOOK_S: Final = 0.02
WAITING_MAX: Final = 10_000
"""Calls of one worker that may wait; further ones are refused at once."""


class Waiting:
    """A call that waits."""

    __slots__ = ("deadline_s", "is_over", "opened", "refused", "then")

    def __init__(self, opened: CallOpened, refused: Refused, deadline_s: float, then: Then) -> None:
        self.opened = opened
        self.refused = refused
        self.deadline_s = deadline_s
        self.then = then
        self.is_over = False

    def leave(self) -> None:
        """Wait no longer: nobody wants the answer."""
        self.is_over = True


class WaitingRoom:
    """The waiting calls of one worker.

    Args:
        guard: which is asked again.
        call_later: calls back in so many seconds, as an event loop does.
        now: seconds of a monotonic clock.
    """

    def __init__(self, guard: Guard, call_later: CallLater, now: Callable[[], float]) -> None:
        self._guard = guard
        self._call_later = call_later
        self._now = now
        self._queues: dict[bytes, deque[Waiting]] = {}
        self._is_due = False
        self._is_woken = False
        self.count = 0
        """How many wait."""
        guard.is_waited_for = self._queues.__contains__

    def wait(self, opened: CallOpened, refused: Refused, then: Then) -> Waiting:
        """Have ``then`` called with what the call holds, or with why it is refused after all."""
        waiting = Waiting(opened, refused, self._now() + refused.wait_s, then)
        if self.count >= WAITING_MAX:
            waiting.leave()
            self._end(waiting)
            return waiting
        self.count += 1
        self._queues.setdefault(refused.key, deque()).append(waiting)
        self._look_later()
        return waiting

    def wake(self) -> None:
        """Look soon: a call of this worker has settled."""
        if self._queues and not self._is_woken:
            self._is_woken = True
            self._call_later(0, self.look)

    def look(self) -> None:
        """Try the first of each owner again, and the next where it is let through."""
        self._is_woken = False
        now = self._now()
        for key, queue in list(self._queues.items()):
            self._try(queue, now)
            self._drop_late(queue, now)
            if not queue:
                del self._queues[key]
        if self._queues:
            self._look_later()

    def _try(self, queue: deque[Waiting], now: float) -> None:
        while queue:
            first = queue[0]
            if first.is_over:
                self._take(queue)
                continue
            found = self._guard.admit(first.opened, is_next=True)
            if isinstance(found, Refused) and found.wait_s:
                if now < first.deadline_s:
                    first.refused = found
                    return
                self._take(queue)
                self._end(first)
                continue
            self._take(queue)
            first.then(found)

    def _drop_late(self, queue: deque[Waiting], now: float) -> None:
        """Refuse whoever has waited long enough behind the first."""
        for one in [one for one in queue if now >= one.deadline_s and not one.is_over]:
            queue.remove(one)
            self.count -= 1
            self._end(one)

    def _take(self, queue: deque[Waiting]) -> None:
        queue.popleft()
        self.count -= 1

    def _end(self, waiting: Waiting) -> None:
        refused = waiting.refused
        if refused.rule is not None:
            self._guard.count(refused.rule)
        waiting.then(refused._replace(wait_s=0.0))

    def _look_later(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._call_later(_LOOK_S, self._look_due)

    def _look_due(self) -> None:
        self._is_due = False
        self.look()

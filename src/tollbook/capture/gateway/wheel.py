"""One coarse timer for all timeouts of a worker.

Arming a timeout is one attribute write: ``timed.deadline = wheel.now + seconds``; 0 disarms it.
Members sit in buckets of which each tick looks through one, so each is looked at once a turn of the
wheel (a second by default), and a timeout is late by at most that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

TICK_S = 0.125
BUCKETS = 8


class Timed(Protocol):
    """Something with a deadline."""

    deadline: float
    bucket: int

    def on_deadline(self) -> None:
        """Act: the deadline has passed."""


class Wheel:
    """Looks through its members, a bucket a tick."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, tick_s: float = TICK_S, buckets: int = BUCKETS
    ) -> None:
        self._loop = loop
        self._tick_s = tick_s
        self._buckets: list[set[Timed]] = [set() for _ in range(buckets)]
        self._at = 0
        self._next_bucket = 0
        self._handle: asyncio.TimerHandle | None = None
        self._on_turn: list[Callable[[], None]] = []
        self._on_tick: list[Callable[[float], None]] = []
        self.now = loop.time()
        """Seconds of the loop's clock, of the last tick."""

    def start(self) -> None:
        """Begin ticking."""
        self._handle = self._loop.call_later(self._tick_s, self._tick)

    def stop(self) -> None:
        """Stop ticking."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def each_turn(self, act: Callable[[], None]) -> None:
        """Call ``act`` once a turn of the wheel, for timeouts that no member holds."""
        self._on_turn.append(act)

    def each_tick(self, act: Callable[[float], None]) -> None:
        """Call ``act`` at each tick with the seconds since the last one."""
        self._on_tick.append(act)

    def add(self, timed: Timed) -> None:
        """Watch a member until it is discarded."""
        timed.bucket = self._next_bucket
        self._buckets[timed.bucket].add(timed)
        self._next_bucket = (self._next_bucket + 1) % len(self._buckets)

    def discard(self, timed: Timed) -> None:
        """Stop watching a member."""
        self._buckets[timed.bucket].discard(timed)

    def _tick(self) -> None:
        self._handle = self._loop.call_later(self._tick_s, self._tick)
        before = self.now
        self.now = self._loop.time()
        for act in self._on_tick:
            act(self.now - before)
        # A deadline was reckoned from a time up to a tick old: never fire early.
        due = self.now - self._tick_s
        late = [timed for timed in self._buckets[self._at] if 0 < timed.deadline < due]
        self._at = (self._at + 1) % len(self._buckets)
        for timed in late:
            timed.deadline = 0
            timed.on_deadline()
        if self._at == 0:
            for act_now in self._on_turn:
                act_now()

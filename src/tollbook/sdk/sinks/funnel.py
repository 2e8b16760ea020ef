"""Things handed from any thread to one function at a time, without anybody waiting."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
R = TypeVar("R")


class Funnel(Generic[T]):
    """Calls ``take(waiting)`` for what was put, never from two places at once.

    Whoever puts something takes all that waits, unless someone is at it already, who then takes
    this too. So nobody waits for a lock, and a finalizer or signal handler that puts something
    while its own thread is within ``take`` neither deadlocks nor enters it a second time.
    """

    def __init__(self, take: Callable[[deque[T]], None]) -> None:
        """``take`` empties the deque from the left; it must not raise."""
        self._take = take
        self._waiting: deque[T] = deque()
        self._lock = threading.Lock()

    def put(self, one: T) -> None:
        """Hand something over."""
        self._waiting.append(one)
        self.drain()

    def drain(self) -> None:
        """Have everything taken that waits."""
        # Looked at again after the lock is let go: something may have come in between.
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                self._take(self._waiting)
            finally:
                self._lock.release()

    def exclusively(self, act: Callable[[], R]) -> R:
        """Return ``act()``, done while nobody takes anything; this waits for the moment.

        Only for a thread of the sink's own: never for the application's, nor for a finalizer.
        """
        with self._lock:
            outcome = act()
        self.drain()
        return outcome

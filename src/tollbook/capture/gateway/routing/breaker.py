"""A circuit breaker: a target that keeps failing is left alone, then probed."""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tollbook.config.routes import Breaker


class BreakerState(IntEnum):
    """What a breaker lets through; the numbers are those of the metric."""

    CLOSED = 0  # everything
    HALF_OPEN = 1  # one request, to probe
    OPEN = 2  # nothing


class CircuitBreaker:
    """The breaker of one target; times are seconds of one monotonic clock.

    Every request that is let through is one :meth:`begin`, and later one of :meth:`succeeded`,
    :meth:`failed` and :meth:`abandoned`.
    """

    __slots__ = ("_failures", "_is_probing", "_open_until", "_settings")

    def __init__(self, settings: Breaker) -> None:
        self._settings = settings
        self._failures: deque[float] = deque(maxlen=settings.failures or 1)
        self._open_until: float | None = None
        self._is_probing = False

    def state(self, now: float) -> BreakerState:
        """Return what is let through now."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def allows(self, now: float) -> bool:
        """Return whether a request may be sent now."""
        if self._open_until is None:
            return True
        return now >= self._open_until and not self._is_probing

    def opens_in_s(self, now: float) -> float:
        """Return how long nothing will be let through; 0 where something may."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)

    def begin(self) -> None:
        """Take that a request is sent; while the breaker is half open it is the probe."""
        if self._open_until is not None:
            self._is_probing = True

    def succeeded(self) -> None:
        """Close: the target works."""
        if self._open_until is not None or self._failures:
            self._open_until = None
            self._is_probing = False
            self._failures.clear()

    def failed(self, now: float) -> None:
        """Count a failure; open when there are too many, or when it was the probe."""
        settings = self._settings
        if not settings.failures:
            return
        failures = self._failures
        failures.append(now)
        is_full = len(failures) == settings.failures
        if self._is_probing or (is_full and now - failures[0] <= settings.window_s):
            self._open_until = now + settings.open_s
            self._is_probing = False

    def abandoned(self) -> None:
        """Take that a request ended without telling anything: let another one probe."""
        self._is_probing = False

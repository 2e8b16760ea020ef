"""One key kept fresh: read in a thread, renewed before it expires, kept while renewing fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from tollbook import clock
from tollbook.capture.gateway.credentials.readers import Found, Missing
from tollbook.capture.gateway.notices import notice

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tollbook.capture.gateway.credentials.readers import Reader

T = TypeVar("T")
logger = logging.getLogger(__name__)

_RETRY_S: Final = 5.0
_MAX_RETRY_S: Final = 60.0
_REFUSED_S: Final = 10.0
_MARGIN_S: Final = 60.0
_MARGIN_SHARE: Final = 0.1


class Held(Generic[T]):
    """What a reader says, as of late.

    Args:
        loop: Where the owner lives; reading happens in its executor.
        reader: Where the key comes from.
        changed: Called on the loop after each reading, whether it found a key or not.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, reader: Reader[T], changed: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._reader = reader
        self._changed = changed
        self.description = reader.description
        self.value: T | None = None
        self.problem = ""
        """Why the last reading brought no key; empty after one that did."""
        self.version = 0
        """Counts the keys that were taken up."""
        self.is_reading = False
        self._is_closed = False
        self._is_refused = False
        self._due_s = 0.0
        self._failures = 0
        self._last_read_s = -_MAX_RETRY_S

    def tick(self) -> None:
        """Read if it is due."""
        if not self.is_reading and not self._is_closed and _now_s() >= self._due_s:
            self.is_reading = True
            self._last_read_s = _now_s()
            is_refused, self._is_refused = self._is_refused, False
            future = self._loop.run_in_executor(None, self._read, is_refused)
            future.add_done_callback(self._take)

    def refused(self) -> None:
        """Take that the provider refused the key: a new one may be there already."""
        if self._reader.poll_s != float("inf"):
            self._is_refused = True
            self._due_s = min(self._due_s, max(_now_s(), self._last_read_s + _REFUSED_S))

    def close(self) -> None:
        """Take no further reading."""
        self._is_closed = True

    def _read(self, is_refused: bool) -> Found[T] | Missing | None:  # noqa: FBT001 -- for the executor
        try:
            return self._reader.read(is_refused=is_refused)
        except Exception as error:  # noqa: BLE001 -- libraries of the clouds raise what they like
            # The kind only: such texts may quote what was read.
            return Missing(f"{self.description} failed: {type(error).__name__}")

    def _take(self, future: asyncio.Future[Found[T] | Missing | None]) -> None:
        self.is_reading = False
        if self._is_closed or future.cancelled():
            return
        now_s = _now_s()
        read = future.result()
        if isinstance(read, Missing):
            self._failures += 1
            self.problem = read.problem
            retry_s = min(_RETRY_S * 2.0 ** min(self._failures - 1, 10), _MAX_RETRY_S)
            self._due_s = now_s + min(retry_s, self._reader.poll_s)
            notice(logger, f"key {self.description}", "%s%s", read.problem,
                   "" if self.value is None else "; the former key stays in use")  # fmt: skip
        else:
            self._failures = 0
            self.problem = ""
            self._due_s = now_s + self._reader.poll_s
            if read is not None:
                if read.value != self.value:
                    self.version += 1
                self.value = read.value
                self._due_s = min(self._due_s, now_s + _renew_in_s(read.expires_at_s))
        self._changed()


def _renew_in_s(expires_at_s: float | None) -> float:
    if expires_at_s is None:
        return float("inf")
    left_s = expires_at_s - clock.unix_ns() / clock.NS_PER_S
    return max(_RETRY_S, left_s - max(_MARGIN_S, left_s * _MARGIN_SHARE))


def _now_s() -> float:
    return clock.monotonic_ns() / clock.NS_PER_S

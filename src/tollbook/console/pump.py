"""The thread that keeps reading the spool, and catching up on demand."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.spool.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.ledger.ingest import Ingester, StepResult

log = logging.getLogger(__name__)

_PRUNE_EVERY_NS: Final = 60 * clock.NS_PER_S
_NS_PER_H: Final = 3600 * clock.NS_PER_S


class Pump:
    """Steps an ingester in a thread; any other thread may have it catch up or skip damage.

    Args:
        ingester: used by one thread at a time, under this object's lock.
        poll_interval_s: pause when there was nothing to read.
        retain_h: how long consumed segments are kept.
        on_failure: called from the thread when the store fails; the process cannot go on.
        after_step: told after each step whether everything has been read.
    """

    def __init__(
        self,
        ingester: Ingester,
        *,
        poll_interval_s: float,
        retain_h: float,
        on_failure: threading.Event,
        after_step: Callable[[bool], None] | None = None,
    ) -> None:
        self._after_step = after_step
        self._ingester = ingester
        self._poll_interval_s = poll_interval_s
        self._retain_ns = int(retain_h * _NS_PER_H)
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._pruned_ns = 0
        self._said: tuple[str, ...] = ()
        self._logs = False
        self.failure: Exception | None = None
        """What ended the thread before it was asked to stop."""
        self.problems: tuple[str, ...] = ()
        """What could not be read the last time, in words."""

    def start(self) -> None:
        """Start the thread; from now on problems are logged, those found before included."""
        self._logs = True
        self._tell(self.problems)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop the thread and read what is still there to its end.

        Raises:
            Exception: what the store raised.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self.failure is None:
            self.catch_up(timeout_s)

    def catch_up(self, timeout_s: float) -> bool:
        """Read everything that was in the spool when called; return whether it was in time.

        Raises:
            Exception: what the store raised; nothing of the failed step is booked.
        """
        started_ns = clock.unix_ns()
        deadline_ns = clock.monotonic_ns() + int(timeout_s * clock.NS_PER_S)
        while True:
            result = self.step()
            if result is None:
                return False
            until_ns = result.complete_until_ns
            if result.at_end or (until_ns is not None and until_ns >= started_ns):
                return True
            if clock.monotonic_ns() > deadline_ns:
                return False

    def step(self) -> StepResult | None:
        """Do one step and log new problems; None when the spool itself cannot be read."""
        try:
            with self._lock:
                result = self._ingester.step()
                if self._after_step is not None:
                    self._after_step(result.at_end)
        except SpoolError as error:
            self._tell((str(error),))
            return None
        self._tell(result.problems)
        return result

    def skip_corrupt(self, writer: str) -> int | None:
        """Go on behind a parked writer's damage; see :meth:`Ingester.skip_corrupt`."""
        with self._lock:
            return self._ingester.skip_corrupt(writer)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                result = self.step()
                self._prune()
                if result is None or result.at_end or not result.frames:
                    self._stop.wait(self._poll_interval_s)
        except Exception as error:  # the process ends with it, and its log says why
            log.exception("reading the spool failed")
            self.failure = error
            self._on_failure.set()

    def _prune(self) -> None:
        now_ns = clock.unix_ns()
        if now_ns - self._pruned_ns > _PRUNE_EVERY_NS:
            self._pruned_ns = now_ns
            with self._lock:
                try:
                    self._ingester.prune(self._retain_ns)
                except SpoolError as error:
                    self._tell((str(error),))

    def _tell(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        if not self._logs:
            return  # whoever starts the ledger is told by an error, or by start()
        for problem in problems:
            if problem not in self._said:
                log.error("%s", problem)
        self._said = problems

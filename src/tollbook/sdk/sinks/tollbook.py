"""Calls sent to the receiver of a Tollbook by a thread of their own, in batches.

A call is sent when it has ended, both its frames together, and again until the receiver has said
that it has them: their ids keep it from being booked twice. What waits is bounded in bytes.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.sdk.sinks import lifetime
from tollbook.sdk.sinks.funnel import Funnel
from tollbook.sdk.sinks.outbox import Outbox, Parcel, body_of, parcel_of_call, parcel_of_span
from tollbook.sdk.sinks.post import Outcome, Post

if TYPE_CHECKING:
    from collections import deque

    from tollbook.call import CallClosed, CallOpened, SpanSeen

logger: Final = logging.getLogger("tollbook")

_RETRY_FIRST_S: Final = 0.5
_RETRY_LONGEST_S: Final = 30.0
_BATCH_BYTES: Final = 512 * 1024
_POLL_S: Final = 0.01


class TollbookSink:
    """Sends calls to ``ENDPOINT/v1/frames``.

    Args:
        endpoint: base address of a Tollbook's receiver (``http://127.0.0.1:4318``).
        key: a virtual key, needed by a receiver that is not on this host.
        memory_bytes: what may wait; beyond it the oldest calls are given up and counted.
        linger_s: how long a call may wait for others to be sent with it.
        timeout_s: of each wait for the receiver.
        exit_timeout_s: how long the end of the process may wait for what is not sent yet.

    Raises:
        BadEndpointError: the endpoint is no http(s) address.
    """

    def __init__(
        self,
        endpoint: str,
        key: str | None = None,
        *,
        memory_bytes: int = 16 * 1024 * 1024,
        linger_s: float = 0.2,
        timeout_s: float = 10.0,
        exit_timeout_s: float = 5.0,
    ) -> None:
        self._endpoint, self._key = endpoint, key
        self._memory_bytes = memory_bytes
        self._linger_s, self._timeout_s = linger_s, timeout_s
        self._exit_timeout_s = exit_timeout_s
        self._is_closed = False
        self._born_ns = 0
        self._start()
        lifetime.keep(self)

    def _start(self) -> None:
        self._post = Post(self._endpoint, self._key, self._timeout_s)
        self._outbox = Outbox(self._memory_bytes)
        self._funnel: Funnel[Parcel] = Funnel(self._queue)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._beginning = threading.Lock()  # taken by whoever starts the thread, for good
        self._is_waiting = True  # the sender sleeps until something comes
        self._is_urgent = False  # somebody waits for it
        self._failed = 0  # calls that could not even be queued
        self._told_lost = 0
        self._has_lost = self._has_complained = self._has_refused = False

    takes_ended: Final = True
    """Calls may be told of from another thread, when they have ended."""

    def opened(self, frame: CallOpened) -> None:
        """Do nothing: a call is sent when it has ended."""

    def closed(self, opened: CallOpened, frame: CallClosed) -> None:
        """Queue a call."""
        if opened.started_at_ns < self._born_ns:
            return  # the parent process has begun it, and tells of it
        try:
            self._put(parcel_of_call(opened, frame))
        except Exception:  # noqa: BLE001 -- metering never fails the user's request
            self._failed += 1

    def span(self, frame: SpanSeen) -> None:
        """Queue a span."""
        try:
            self._put(parcel_of_span(frame))
        except Exception:  # noqa: BLE001 -- metering never fails the user's request
            self._failed += 1

    def _put(self, parcel: Parcel) -> None:
        if self._is_closed:
            self._failed += 1
            return
        self._funnel.put(parcel)
        if self._thread is None:
            self._begin()
        if self._is_waiting:
            self._is_waiting = False
            self._wake.put(None)

    def _queue(self, waiting: deque[Parcel]) -> None:
        given_up = 0
        while waiting:
            given_up += self._outbox.add(waiting.popleft())
        if given_up and not self._has_lost:
            self._has_lost = True
            logger.error(
                "%s does not take calls and the memory for them is full: the oldest are given up,"
                " and counted",
                self._endpoint,
            )

    def _begin(self) -> None:
        if not self._beginning.acquire(blocking=False):
            return
        thread = threading.Thread(target=self._run, daemon=True, name="tollbook-sender")
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending
            self._thread = None
            self._beginning.release()
            return
        lifetime.note_use(self)

    def _run(self) -> None:
        while True:
            self._is_waiting = True
            if not self._outbox and not self._is_closed:
                self._sleep(None)
            self._is_waiting = False
            if not (self._is_urgent or self._is_closed):
                self._sleep(self._linger_s)
            while parcels := self._funnel.exclusively(lambda: self._outbox.take(_BATCH_BYTES)):
                try:
                    self._deliver(parcels)
                except Exception:
                    logger.exception("a batch of calls cannot be sent")
                    self._settle(parcels, dropped=True)
            if self._is_closed:
                self._post.close()
                return

    def _sleep(self, longest_s: float | None) -> None:
        try:
            self._wake.get(timeout=longest_s)
            while True:
                self._wake.get_nowait()
        except queue.Empty:
            pass

    def _deliver(self, parcels: list[Parcel]) -> None:
        """Send parcels until they are taken, in parts where something among them is refused."""
        parts = [parcels]
        pause_s = _RETRY_FIRST_S
        while parts:
            part = parts.pop()
            lost = self.dropped - self._told_lost
            posted = self._post.send(body_of(part), lost)
            if posted.outcome is Outcome.TAKEN:
                self._told_lost += lost
                self._settle(part)
                self._recovered()
                if posted.rejected:
                    self._refused(posted.rejected, posted.detail)
                pause_s = _RETRY_FIRST_S
            elif posted.outcome is Outcome.REFUSED:
                if len(part) > 1:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                self._complain(posted.detail)
                self._settle(part, dropped=True)
            elif self._is_closed and not self._is_urgent:
                self._settle([one for rest in (part, *parts) for one in rest], dropped=True)
                return
            else:
                self._complain(posted.detail)
                parts.append(part)
                denied = posted.outcome is Outcome.DENIED
                wait_s = _RETRY_LONGEST_S if denied else posted.retry_after_s
                self._sleep(pause_s * _jitter() if wait_s is None else wait_s)
                pause_s = min(2 * pause_s, _RETRY_LONGEST_S)

    def _settle(self, parcels: list[Parcel], *, dropped: bool = False) -> None:
        self._funnel.exclusively(lambda: self._outbox.settle(parcels, dropped=dropped))

    def _complain(self, detail: str) -> None:
        if not self._has_complained:
            self._has_complained = True
            logger.warning(
                "%s does not take calls (%s); they wait in memory, up to %d bytes",
                self._endpoint, detail, self._memory_bytes,
            )  # fmt: skip

    def _refused(self, frames: int, why: str) -> None:
        """Count what the receiver itself has given up, and knows of."""
        self._failed += frames
        self._told_lost += frames
        if not self._has_refused:
            self._has_refused = True
            logger.error("%s refuses calls for good: %s; further ones are counted",
                         self._endpoint, why)  # fmt: skip

    def _recovered(self) -> None:
        if self._has_complained:
            logger.warning("%s takes calls; %d were given up so far", self._endpoint, self.dropped)
        self._has_complained = self._has_lost = False

    def flush(self, timeout_s: float) -> bool:
        """Send what waits now; True when the receiver has it all."""
        until_ns = clock.monotonic_ns() + int(timeout_s * clock.NS_PER_S)
        lifetime.settle()
        self._funnel.drain()
        pause = threading.Event()
        self._is_urgent = True
        try:
            self._wake.put(None)
            while self._outbox.size_bytes:
                if self._thread is None or clock.monotonic_ns() >= until_ns:
                    return False
                pause.wait(_POLL_S)
        finally:
            self._is_urgent = False
        return True

    def close(self) -> None:
        """Send what can be sent within the time that the end of a process may take, and stop."""
        if not self._is_closed:
            lifetime.settle()
            self._is_closed = True
            self.flush(self._exit_timeout_s)
            self._wake.put(None)

    def at_exit(self) -> None:
        """Send what can be sent."""
        waiting = self._outbox.size_bytes
        if waiting and not self.flush(self._exit_timeout_s):
            logger.error(
                "the process ends and %s has not taken %d bytes of calls: they are lost",
                self._endpoint, self._outbox.size_bytes,
            )  # fmt: skip

    def after_fork(self) -> None:
        """Start with nothing, and a connection and thread of its own, in a child."""
        self._start()
        self._born_ns = clock.unix_ns()

    @property
    def dropped(self) -> int:
        """How many calls and spans were given up since the start."""
        return self._failed + self._outbox.dropped


def _jitter() -> float:
    """Return a factor that keeps many processes from asking again all at once."""
    return random.uniform(0.5, 1.0)  # noqa: S311 -- no secret

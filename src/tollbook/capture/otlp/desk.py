"""How much is in hand: what the queue of a receiver may hold, in requests and in bytes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from tollbook.capture.otlp.outcome import BUSY

if TYPE_CHECKING:
    from tollbook.capture.otlp.outcome import Outcome, Signal
    from tollbook.capture.otlp.receiver import Receiver
    from tollbook.config.receiver import Receiver as Settings
    from tollbook.identity import KeyBinding

_THREADS: Final = 2
"""Reading is the interpreter's work, so more would not read faster; one may wait for the disk."""


class Desk:
    """Passes requests to threads that read them, and turns away what is too much.

    Belongs to one event loop; HTTP and gRPC share one.
    """

    def __init__(self, receiver: Receiver, settings: Settings) -> None:
        self.receiver = receiver
        self._settings = settings
        self._requests = 0
        self._bytes = 0
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="receive")

    def enter(self) -> bool:
        """Count a request in; False when there are too many. :meth:`leave` counts it out."""
        if self._requests >= self._settings.max_waiting:
            return False
        self._requests += 1
        return True

    def hold(self, size_bytes: int) -> bool:
        """Count bytes in; False when there are too many, and then they are not counted."""
        if self._bytes + size_bytes > self._settings.max_waiting_bytes:
            return False
        self._bytes += size_bytes
        return True

    def leave(self, held_bytes: int) -> None:
        """Count a request and its bytes out."""
        self._requests -= 1
        self._bytes -= held_bytes

    def turn_away(self, signal: Signal) -> Outcome:
        """Return the outcome of a request that there is no room for."""
        return self.count(signal, BUSY)

    def count(self, signal: Signal, outcome: Outcome) -> Outcome:
        """Count an outcome that the receiver itself did not come to."""
        self.receiver.tally.count(signal, outcome)
        return outcome

    async def take(
        self,
        signal: Signal,
        encoding: str,
        coding: str,
        body: bytes,
        key: KeyBinding | None,
        lost: int = 0,
    ) -> Outcome:
        """Have a request unpacked and read in a thread; see :meth:`Receiver.take`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, self.receiver.take, signal, encoding, coding, body, key, lost
        )

    def close(self) -> None:
        """Wait for what is being read; afterwards nothing is."""
        self._pool.shutdown()

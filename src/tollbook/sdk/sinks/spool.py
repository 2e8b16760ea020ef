"""Calls written into the spool of a data directory on this host, where its ledger reads them.

A frame that a call begins is on file when its request leaves: whose, where, when. What the request
and its answer say is read and written by a thread some milliseconds after the call has ended, so
the caller does not wait for it (ADR 0025): a process that is killed loses no call, and of the last
few milliseconds what they used. Each process writes a spool of its own; a forked child begins one
when it first has something to say.
"""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tollbook import __version__, clock
from tollbook.errors import TollbookError
from tollbook.sdk.sinks import lifetime
from tollbook.sdk.sinks.funnel import Funnel
from tollbook.spool.writer import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    import os
    from collections import deque

    from tollbook.call import CallClosed, CallOpened, Frame, SpanSeen

logger: Final = logging.getLogger("tollbook")

_RETRY_NS: Final = 5 * clock.NS_PER_S
_APPLICATION: Final = 900
"""Stands where gateways have the number of their worker."""


class SpoolSettings(Struct, frozen=True, kw_only=True):
    """Sizes of an application's spool: smaller than a gateway's."""

    segment_max_bytes: int = 16 * 1024 * 1024
    memory_ring_bytes: int = 8 * 1024 * 1024


class SpoolSink:
    """Writes calls into ``DIRECTORY/spool``.

    Args:
        directory: the data directory of a Tollbook on this host; made where it is missing.
        sync_interval_s: how often what was written is forced to disk; a power cut can lose as much.
        reads_at_once: have the caller read and write all of it before its request leaves and before
            it has its answer; a killed process then loses nothing, for 0.1 ms a call.
        settings: sizes of segments, and of what waits in memory while the disk takes nothing.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        sync_interval_s: float = 1.0,
        reads_at_once: bool = False,
        settings: SpoolSettings | None = None,
    ) -> None:
        self._root = Path(directory) / "spool"
        self._settings = settings or SpoolSettings()
        self._sync_interval_s = sync_interval_s
        self.takes_ended: Final = not reads_at_once
        self.begins: Final = None if reads_at_once else self._put
        """Takes what is known of a call before its request was read."""
        self._start()
        lifetime.keep(self)

    def _start(self) -> None:
        self._funnel: Funnel[Frame | None] = Funnel(self._write)
        self._writer: SpoolWriter | None = None
        self._retry_at_ns = 0
        self._given_up = 0
        self._is_closed = False
        self._born_ns = 0
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._is_syncing = False
        self._thread: threading.Thread | None = None

    def opened(self, frame: CallOpened) -> None:
        """Write that a call begins."""
        if frame.started_at_ns >= self._born_ns:  # else the parent process has begun it
            self._put(frame)

    def closed(self, opened: CallOpened, frame: CallClosed) -> None:
        """Write how a call ended."""
        if opened.started_at_ns >= self._born_ns:  # as above
            self._put(frame)

    def span(self, frame: SpanSeen) -> None:
        """Write a span."""
        self._put(frame)

    def _put(self, frame: Frame) -> None:
        try:
            self._funnel.put(frame)
        except Exception:  # noqa: BLE001 -- metering never fails the user's request
            self._given_up += 1

    def _write(self, waiting: deque[Frame | None]) -> None:
        """Write what waits with one system call; None writes only what the disk had refused."""
        writer = self._ready()
        while waiting:
            frame = waiting.popleft()
            if frame is None:
                continue
            if writer is None:
                self._given_up += 1
            else:
                writer.append(frame)
        if writer is None:
            return
        writer.flush()
        if self._is_closed:
            self._writer = None
            writer.close()
            self._given_up += writer.health.frames_lost
        elif not self._is_syncing:
            self._is_syncing = True
            self._wake.put(True)

    def _ready(self) -> SpoolWriter | None:
        if self._writer is not None or self._is_closed or clock.monotonic_ns() < self._retry_at_ns:
            return self._writer
        try:
            self._writer = SpoolWriter(
                self._root, new_writer_name(_APPLICATION), self._settings, version=__version__
            )
            self._thread = threading.Thread(
                target=self._keep_synced, args=(self._writer, self._wake), daemon=True,
                name="tollbook-spool",
            )  # fmt: skip
            self._thread.start()
            lifetime.note_use(self)
        except (TollbookError, OSError, RuntimeError) as error:
            if self._writer is None:
                self._retry_at_ns = clock.monotonic_ns() + _RETRY_NS
                logger.error("calls cannot be written to the spool: %s", error)  # noqa: TRY400 -- one line
        return self._writer

    def _keep_synced(self, writer: SpoolWriter, wake: queue.SimpleQueue[bool]) -> None:
        """Force to disk what was written, and try again what the disk refused."""
        pause = threading.Event()
        while wake.get():
            pause.wait(self._sync_interval_s)
            self._is_syncing = False
            try:
                writer.sync()
                if writer.health.ring_bytes:
                    self._funnel.put(None)
            except Exception:
                logger.debug("spool sync failed", exc_info=True)

    def flush(self, timeout_s: float) -> bool:
        """Force everything to disk; True when it is there."""
        del timeout_s
        try:
            self._funnel.drain()
            writer = self._writer
            if writer is None:
                return not self._given_up
            self._funnel.put(None)
            return writer.sync() and not writer.health.ring_bytes
        except Exception:  # noqa: BLE001 -- never fails the user's request
            return False

    def close(self) -> None:
        """Force everything to disk and give up the spool; what comes later is given up."""
        if self._is_closed:
            return
        self._is_closed = True
        self._wake.put(False)
        try:
            self._funnel.put(None)
        except Exception:
            logger.debug("spool could not be closed", exc_info=True)

    def at_exit(self) -> None:
        """Force everything to disk; calls that end still later are written all the same."""
        self.flush(0)

    def after_fork(self) -> None:
        """Begin a spool of its own in a child, once it has something to write."""
        is_closed = self._is_closed
        self._start()
        self._is_closed = is_closed
        self._born_ns = clock.unix_ns()

    @property
    def dropped(self) -> int:
        """How many frames were given up since the start; a call has two."""
        writer = self._writer
        return self._given_up + (0 if writer is None else writer.health.frames_lost)

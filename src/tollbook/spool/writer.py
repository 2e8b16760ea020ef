"""Write frames to a spool: one system call for all that one loop turn queued, never in the way.

A killed process loses nothing that ``flush`` has written. A power cut can lose what the last
``sync`` has not reached: at most ``[spool] sync_interval_s`` of frames. While the disk refuses
writes, frames wait in memory (see :mod:`tollbook.spool.backlog`).
"""

from __future__ import annotations

import logging
import os
import re
import socket
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from tollbook import clock
from tollbook.call import Frame, FramesLost, encode_frame
from tollbook.spool import frame as framing
from tollbook.spool.backlog import Backlog
from tollbook.spool.errors import ForeignProcessError
from tollbook.spool.files import WriterFiles

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_RETRY_FIRST_NS: Final = 50_000_000
_RETRY_LONGEST_NS: Final = 2_000_000_000
_WRITE_BYTES: Final = 4 * 1024 * 1024
"""Most that one write takes while a backlog is worked off."""


class WriterSettings(Protocol):
    """The sizes that ``[spool]`` of the configuration has, and an application's own settings."""

    @property
    def segment_max_bytes(self) -> int:
        """Size at which a new segment file is begun."""

    @property
    def memory_ring_bytes(self) -> int:
        """What is kept in memory while the disk refuses writes."""


class SpoolHealth(Struct, frozen=True):
    """How a writer is doing."""

    ok: bool  # everything flushed is on file, and the last sync worked
    error: str | None  # what the system said, when not ok
    ring_bytes: int  # waiting in memory because the disk refuses writes
    frames_lost: int  # since the writer began
    bytes_written: int  # since the writer began


def new_writer_name(worker: int) -> str:
    """Return a name for a new writer: host, worker, start time, process.

    Names of one host and worker sort by the time they began.
    """
    host = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")[:63] or "host"
    seconds, nanoseconds = divmod(clock.unix_ns(), clock.NS_PER_S)
    began = datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y%m%dT%H%M%S")
    return f"{host}-w{worker:03d}-{began}.{nanoseconds:09d}Z-{os.getpid()}"


class SpoolWriter:
    """The one writer of ``root/name``, for the life of a process.

    ``append``, ``flush``, ``health`` and ``close`` belong to one thread; ``sync`` may run in
    another. No trouble with the disk raises; a fork of the process may not use the writer.

    Raises:
        SpoolError: the directory cannot be created, or exists (a name is used once only).
    """

    def __init__(self, root: Path, name: str, settings: WriterSettings, *, version: str) -> None:
        self.name = name
        self._seed = framing.seed_of(name)
        self._segment_max_bytes = settings.segment_max_bytes
        self._ring_bytes = settings.memory_ring_bytes
        self._header = framing.SegmentHeader(
            name, 0, socket.gethostname(), version, clock.unix_ns()
        )
        self._queue: list[bytes] = []
        self._backlog = Backlog(settings.memory_ring_bytes, self._lost_notice)
        self._is_plain = False  # False: a flush must take the long way
        self._is_closed = False
        self._error: str | None = None
        self._is_overflowing = False
        self._failing_since_ns = 0
        self._retry_at_ns = 0
        self._retry_after_ns = _RETRY_FIRST_NS
        self._bytes_written = 0
        self._frames_lost = 0
        self._files = WriterFiles(root, name)
        self.flush()

    def append(self, frame: Frame) -> None:
        """Queue a frame for the next flush.

        A frame that cannot be encoded or is too large is counted as lost; nothing is raised for it.

        Raises:
            ForeignProcessError: called in a forked child.
        """
        if self._files.is_foreign:
            raise ForeignProcessError(self.name)
        try:
            payload = encode_frame(frame)
        except Exception as error:  # noqa: BLE001 -- metering never fails the user's request
            self._give_up(1, f"a frame cannot be encoded ({type(error).__name__})")
            return
        size = len(payload)
        if size > framing.MAX_FRAME_BYTES:
            self._give_up(1, f"a frame of {size} bytes is larger than {framing.MAX_FRAME_BYTES}")
            return
        self._queue.append(framing.PREFIX.pack(size, zlib.crc32(payload, self._seed)) + payload)

    def flush(self) -> bool:
        """Write everything queued with one system call; True when all of it is on file.

        Raises:
            ForeignProcessError: called in a forked child.
        """
        files = self._files
        if files.is_foreign:
            raise ForeignProcessError(self.name)
        if not self._is_plain:
            return self._flush_backlog(is_last=False)
        queue = self._queue
        if not queue:
            return True
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        if files.size_bytes + len(data) > self._segment_max_bytes:
            return self._flush_backlog(is_last=False)
        try:
            written = files.write(data)
        except OSError as error:
            self._backlog.add(queue)
            queue.clear()
            self._failed(error)
            return False
        self._bytes_written += written
        if written == len(data):
            queue.clear()
            return True
        self._backlog.add(queue)
        queue.clear()
        self._backlog.peek(len(data))
        self._backlog.wrote(written)
        return self._flush_backlog(is_last=False)

    def sync(self) -> bool:
        """Force written frames to disk; True when they are. May be called from any thread.

        Raises:
            ForeignProcessError: called in a forked child.
        """
        if self._files.is_foreign:
            raise ForeignProcessError(self.name)
        return self._files.sync()

    @property
    def health(self) -> SpoolHealth:
        """How the writer is doing right now."""
        error = self._error or self._files.sync_error
        return SpoolHealth(
            ok=error is None,
            error=error,
            ring_bytes=self._backlog.size_bytes + len(self._backlog.carry),
            frames_lost=self._frames_lost,
            bytes_written=self._bytes_written,
        )

    def close(self) -> None:
        """Write and sync what is left and give up the lock. Does nothing the second time."""
        if self._is_closed or self._files.is_foreign:
            return
        if not self._flush_backlog(is_last=True):
            self._give_up(len(self._backlog), "the process ends while the spool cannot be written")
        self._is_closed, self._is_plain = True, False
        self._files.close()

    def _flush_backlog(self, *, is_last: bool) -> bool:
        """Write with rotation, back-off and loss notices."""
        backlog = self._backlog
        if self._is_closed:
            self._give_up(len(self._queue), "a frame came after the writer was closed")
            self._queue.clear()
            return False
        backlog.add(self._queue)
        self._queue.clear()
        if self._error is not None and not is_last and clock.monotonic_ns() < self._retry_at_ns:
            self._trim()
            return False
        try:
            while self._make_room() or not backlog.is_empty:
                room = self._segment_max_bytes - self._files.size_bytes
                written = self._files.write(backlog.peek(min(room, _WRITE_BYTES)))
                backlog.wrote(written)
                self._bytes_written += written
        except OSError as error:
            self._failed(error)
            return False
        self._recovered()
        return True

    def _make_room(self) -> bool:
        """Begin a new segment when there is none, or the next frame does not fit this one."""
        files, backlog = self._files, self._backlog
        if backlog.carry:
            return False
        if files.segment:
            next_bytes = backlog.next_bytes
            fits = files.size_bytes + next_bytes <= self._segment_max_bytes
            if fits or not next_bytes or not files.has_frames:
                return False
        files.rotate()
        backlog.carry = framing.encode_header(replace(self._header, segment=files.segment))
        files.header_bytes = len(backlog.carry)
        return True

    def _failed(self, error: OSError) -> None:
        now_ns = clock.monotonic_ns()
        if self._error is None:
            self._failing_since_ns = clock.unix_ns()
            self._retry_after_ns = _RETRY_FIRST_NS
            logger.error(
                "spool %s cannot be written (%s): calls are metered in memory, up to %d bytes",
                self.name,
                error.strerror,
                self._ring_bytes,
            )
        else:
            self._retry_after_ns = min(2 * self._retry_after_ns, _RETRY_LONGEST_NS)
        self._retry_at_ns = now_ns + self._retry_after_ns
        self._error = error.strerror or str(error)
        self._is_plain = False
        self._trim()

    def _trim(self) -> None:
        dropped = self._backlog.trim(self._failing_since_ns)
        self._frames_lost += dropped
        if dropped and not self._is_overflowing:
            self._is_overflowing = True
            logger.error(
                "spool %s: memory for unwritten frames is full, the oldest are being lost",
                self.name,
            )

    def _recovered(self) -> None:
        if self._error is not None:
            logger.warning(
                "spool %s is written again; %d frames were lost so far",
                self.name,
                self._frames_lost,
            )
        self._error = None
        self._is_plain, self._is_overflowing = True, False

    def _give_up(self, frames: int, why: str) -> None:
        if frames:
            self._backlog.lose(frames, clock.unix_ns())
            self._frames_lost += frames
            self._is_plain = False
            logger.error("spool %s: %d frames lost: %s", self.name, frames, why)

    def _lost_notice(self, frames: int, first_lost_at_ns: int) -> bytes:
        notice = FramesLost(clock.unix_ns(), frames, first_lost_at_ns)
        return framing.seal(encode_frame(notice), self._seed)

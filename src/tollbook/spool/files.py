"""A writer's directory, lock and segment files: the system calls, without any policy."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

from tollbook.spool.errors import SpoolError
from tollbook.spool.layout import HIDDEN_PREFIX, LOCK_NAME, WRITER_NAME, segment_path

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_UNSYNCED_SEGMENTS_MAX: Final = 4
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_MODE: Final = 0o600

_open: weakref.WeakSet[WriterFiles] = weakref.WeakSet()


def _disown_in_child() -> None:
    # A lock taken with flock is shared with forked children: one that lives on would make the
    # writer look alive for ever. Closing the child's copies leaves the parent's lock in place.
    for files in list(_open):
        files.disown()


os.register_at_fork(after_in_child=_disown_in_child)


class WriterFiles:
    """Creates and locks ``root/writer`` and writes its segments one after the other.

    One thread writes and rotates; ``sync`` may run in another. A file that is full stays open
    until a sync has reached it, so that rotating does not wait for the disk.

    Raises:
        SpoolError: the directory cannot be created, or the name is taken.
    """

    def __init__(self, root: Path, writer: str) -> None:
        self.segment = 0  # number of the segment being written; 0 before the first
        self.size_bytes = 0  # of that segment
        self.header_bytes = 0  # of its header
        self.is_foreign = False  # this process is a fork of the one that owns the writer
        self.sync_error: str | None = None
        self._root, self._writer = root, writer
        self._descriptor = -1
        self._full: deque[int] = deque()
        self._is_new_name = False
        self._sync_lock = threading.Lock()
        if not WRITER_NAME.fullmatch(writer):
            raise SpoolError(root / writer, "not a writer name", "use letters, digits and . _ -")
        self._lock = self._create_locked()
        _open.add(self)

    def _create_locked(self) -> int:
        """Create the directory under a hidden name, lock it, then give it its name."""
        path, hidden = self._root / self._writer, self._root / (HIDDEN_PREFIX + self._writer)
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists():
                raise FileExistsError(errno.EEXIST, "already there; a writer's name is used once")
            hidden.mkdir(mode=0o700)
            descriptor = os.open(hidden / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                hidden.rename(path)
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise SpoolError.of(path, "created", error) from error
        return descriptor

    @property
    def has_frames(self) -> bool:
        """Whether anything stands behind the header of this segment."""
        return self.size_bytes > self.header_bytes

    def write(self, data: bytes) -> int:
        """Append to the segment and return how many bytes were taken.

        Raises:
            OSError: nothing was written.
        """
        written = os.write(self._descriptor, data)
        if not written and data:
            raise OSError(errno.EIO, "the file takes no bytes")
        self.size_bytes += written
        return written

    def rotate(self) -> None:
        """Begin the next segment.

        Raises:
            OSError: it cannot be created; the present one stays as it is.
        """
        path = segment_path(self._root, self._writer, self.segment + 1)
        descriptor = os.open(path, _CREATE, _MODE)
        if self._descriptor >= 0:
            self._full.append(self._descriptor)
        self._descriptor = descriptor
        self.segment += 1
        self.size_bytes = 0
        self._is_new_name = True
        if len(self._full) > _UNSYNCED_SEGMENTS_MAX and self._sync_lock.acquire(blocking=False):
            try:
                self._sync_full()
            finally:
                self._sync_lock.release()

    def sync(self) -> bool:
        """Force everything written to disk; True when it is."""
        with self._sync_lock:
            if self._lock < 0:
                return True
            try:
                self._sync_full()
                if self._descriptor >= 0:
                    # Rotation may replace this descriptor meanwhile, but only this lock's holder
                    # closes descriptors.
                    os.fdatasync(self._descriptor)
                if self._is_new_name:
                    self._is_new_name = False
                    self._sync_directory()
            except OSError as error:
                self._is_new_name = True
                if self.sync_error is None:
                    logger.error(  # noqa: TRY400 -- one line for the operator, no stack
                        "spool %s cannot be forced to disk (%s)", self._writer, error.strerror
                    )
                self.sync_error = error.strerror or str(error)
                return False
            if self.sync_error is not None:
                logger.warning("spool %s reaches the disk again", self._writer)
                self.sync_error = None
            return True

    def _sync_full(self) -> None:
        while self._full:
            descriptor = self._full.popleft()
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _sync_directory(self) -> None:
        for path in (self._root / self._writer, self._root):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Sync, close and unlock."""
        self.sync()
        with self._sync_lock:
            self._close_all()

    def disown(self) -> None:
        """Close this process's copies of the descriptors, in a forked child."""
        self.is_foreign = True
        self._close_all()

    def _close_all(self) -> None:
        _open.discard(self)
        for descriptor in (*self._full, self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._full.clear()
        self._descriptor = self._lock = -1

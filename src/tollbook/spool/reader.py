"""Read the frames of every writer, from a position on, and tell an end from damage.

What makes reading exact while writers write and die:

1. whether the writer lives is asked first,
2. then the segments are listed,
3. then a segment is read up to the size it has by then.

So a writer found dead has written everything that step 3 sees (a frame written just before its
death is not missed), and a segment that has a successor in step 2 was complete before step 3.
An incomplete frame at the end of the last segment means "not yet" while the writer lives, and a
torn tail when it is dead; anywhere else it is damage.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from tollbook.spool import layout
from tollbook.spool.errors import CorruptSegmentError, SpoolError
from tollbook.spool.segment import SegmentFile

if TYPE_CHECKING:
    from tollbook.spool.frame import Framed, SegmentHeader
    from tollbook.spool.segment import Got

DEFAULT_READ_BYTES: Final = 1024 * 1024


class Position(NamedTuple):
    """Where reading of one writer goes on; ``Position(name)`` is its beginning."""

    writer: str
    segment: int = 0  # segments count from 1; 0 is before the first that is kept
    offset: int = 0  # of the next frame, in bytes; 0 is before the segment's header


class TornTail(Struct, frozen=True):
    """What a dead writer left behind its last whole frame."""

    path: Path
    writer: str
    segment: int
    offset: int
    size_bytes: int


class WriterState(Struct, frozen=True):
    """One writer, dead or alive. What the header says is None where no header could be read."""

    name: str
    is_alive: bool
    host: str | None
    version: str | None
    started_at_ns: int | None
    first_segment: int  # 0 when there is none yet
    last_segment: int


class Chunk(NamedTuple):
    """Consecutive frames of one writer."""

    frames: list[Framed]
    """``(frame, segment, offset)``, in the order of writing."""
    next: Position
    """Commit this together with what was made of the frames, and read on from it."""
    at_end: bool
    """Nothing more was there to read."""
    is_finished: bool
    """At the end, and the writer is dead: nothing will ever follow."""
    torn: TornTail | None = None
    """Only when finished; ``next`` stands before it."""


class SpoolReader:
    """Reads ``root``, a directory of writers. Keeps no position; any number may read at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._dead: set[str] = set()
        self._headers: dict[str, SegmentHeader] = {}

    def writers(self) -> list[WriterState]:
        """Return every writer, by name; none while the spool does not exist.

        Raises:
            SpoolError: a directory cannot be read.
        """
        names = layout.writer_names(self.root)
        self._dead.intersection_update(names)
        self._headers = {name: self._headers[name] for name in names if name in self._headers}
        return [self._state(name) for name in names]

    def read(self, position: Position, max_bytes: int = DEFAULT_READ_BYTES) -> Chunk:
        """Return the frames from a position on, about ``max_bytes`` of them (at least one frame).

        Frames before damage are returned first; the next read, which begins at it, raises.

        Raises:
            CorruptSegmentError: the segment at the position is missing or damaged there.
            SpoolError: a file cannot be read.
        """
        name = position.writer
        is_alive = self._is_alive(name)
        segments = layout.segment_numbers(self.root, name)
        if position.segment == 0:
            first = layout.first_kept(self.root, name)
            if not segments and first == layout.FIRST_SEGMENT:
                return Chunk([], position, at_end=True, is_finished=not is_alive)
            position = Position(name, first, 0)
        frames: list[Framed] = []
        while position.segment in segments:
            is_last = position.segment == segments[-1]
            with SegmentFile(self.root, name, position.segment) as file:
                got = file.read(position.offset, max_bytes, frames)
                max_bytes -= got.end - position.offset
                position = position._replace(offset=got.end)
                if got.problem is not None:
                    if is_last and _is_tail(file, got, is_alive=is_alive):
                        return _end_at(frames, position, file, is_alive=is_alive)
                    return _stop_at(frames, position, file.path, got.problem)
            if is_last and got.end == file.size_bytes:
                return Chunk(frames, position, at_end=True, is_finished=not is_alive)
            if got.end == file.size_bytes:
                position = Position(name, position.segment + 1, 0)
            if max_bytes <= 0:
                return Chunk(frames, position, at_end=False, is_finished=False)
        path = layout.segment_path(self.root, name, position.segment)
        return _stop_at(frames, position, path, "the segment is missing")

    def resync(self, position: Position) -> tuple[Position, int]:
        """Return where the next whole frame after damage begins, and how many bytes are skipped.

        For a position at which :meth:`read` raised CorruptSegmentError, when the operator decides
        to go on without what cannot be read. The bytes of a missing segment are not known and
        count as 0.

        Raises:
            SpoolError: a file cannot be read.
        """
        name, segment, offset = position
        segments = layout.segment_numbers(self.root, name)
        later = [number for number in segments if number > segment]
        if segment not in segments:
            if later:
                return Position(name, later[0], 0), 0
            if not segments:
                raise SpoolError(self.root / name, "holds no segments", "remove the directory")
            with SegmentFile(self.root, name, segments[-1]) as file:
                return Position(name, segments[-1], file.size_bytes), 0
        with SegmentFile(self.root, name, segment) as file:
            found = file.find_frame(offset + 1)
            if found is not None:
                return Position(name, segment, found), found - offset
            skipped_bytes = max(0, file.size_bytes - offset)
            if later:
                return Position(name, segment + 1, 0), skipped_bytes
            return Position(name, segment, file.size_bytes), skipped_bytes

    def cut_torn_tail(self, torn: TornTail) -> None:
        """Cut a torn tail off its file. Call it after committing that it was seen.

        Does nothing the second time.

        Raises:
            SpoolError: the file is not as it was reported, or cannot be cut.
        """
        if self._is_alive(torn.writer):
            raise SpoolError(torn.path, "its writer is alive", "cut only what a dead writer left")
        try:
            descriptor = os.open(torn.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                size_bytes = os.fstat(descriptor).st_size
                if size_bytes == torn.offset:
                    return
                if size_bytes != torn.offset + torn.size_bytes:
                    raise SpoolError(torn.path, "changed since its end was read", "read it again")
                os.ftruncate(descriptor, torn.offset)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SpoolError.of(torn.path, "cut", error) from error

    def _is_alive(self, name: str) -> bool:
        if name in self._dead:
            return False  # a name is used once only
        if layout.is_alive(self.root, name):
            return True
        self._dead.add(name)
        return False

    def _state(self, name: str) -> WriterState:
        is_alive = self._is_alive(name)
        segments = layout.segment_numbers(self.root, name)
        header = self._headers.get(name)
        for segment in segments if header is None else ():
            with SegmentFile(self.root, name, segment) as file:
                read = file.header()
            if isinstance(read, tuple):
                header = self._headers[name] = read[0]
                break
        return WriterState(
            name=name,
            is_alive=is_alive,
            host=header.host if header else None,
            version=header.version if header else None,
            started_at_ns=header.started_at_ns if header else None,
            first_segment=segments[0] if segments else 0,
            last_segment=segments[-1] if segments else 0,
        )


def _is_tail(file: SegmentFile, got: Got, *, is_alive: bool) -> bool:
    """Whether what is no frame, in the last segment, is the end of a write and not damage."""
    if not got.may_be_tail:
        return False
    if got.end > file.size_bytes:
        # Frames that were read are gone again: a power cut took them from a writer that died with
        # it (nothing is lost, they were consumed), but nothing explains it while the writer lives.
        return not is_alive
    return file.find_frame(got.end + 1) is None


def _end_at(
    frames: list[Framed], position: Position, file: SegmentFile, *, is_alive: bool
) -> Chunk:
    size_bytes = file.size_bytes - position.offset
    torn = None
    if size_bytes > 0 and not is_alive:
        torn = TornTail(file.path, position.writer, position.segment, position.offset, size_bytes)
    return Chunk(frames, position, at_end=True, is_finished=not is_alive, torn=torn)


def _stop_at(frames: list[Framed], position: Position, path: Path, problem: str) -> Chunk:
    """Hand over the frames before the damage; raise when it comes first."""
    if frames:
        return Chunk(frames, position, at_end=False, is_finished=False)
    raise CorruptSegmentError(path, position.offset, problem)

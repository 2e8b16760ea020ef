"""Read one segment file, up to the size it had when it was opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from tollbook.spool import frame as framing
from tollbook.spool.errors import SpoolError
from tollbook.spool.frame import SegmentHeader, Stop
from tollbook.spool.layout import segment_path

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.spool.frame import Framed

_WINDOW_BYTES: Final = 4 * 1024 * 1024


class Got(NamedTuple):
    """How far a read came."""

    end: int
    """Offset in the file of what comes next."""
    problem: str | None = None
    """What stands at ``end`` that is no frame; None at the end of the file or of the budget."""
    may_be_tail: bool = True
    """The problem is one that a broken-off write explains."""


class SegmentFile:
    """One segment, open for reading; a context manager.

    Raises:
        SpoolError: the file cannot be opened or read.
    """

    def __init__(self, root: Path, writer: str, segment: int) -> None:
        self.path = segment_path(root, writer, segment)
        self.writer, self.segment = writer, segment
        self._seed = framing.seed_of(writer)
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SpoolError.of(self.path, "opened", error) from error
        self.size_bytes = os.fstat(self._descriptor).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _bytes_at(self, offset: int, count: int) -> bytes:
        try:
            return os.pread(self._descriptor, min(count, self.size_bytes - offset), offset)
        except OSError as error:
            raise SpoolError.of(self.path, "read", error) from error

    def header(self) -> tuple[SegmentHeader, int] | Stop | str:
        """Return the header and its size, INCOMPLETE, or what is wrong with it in words."""
        data = self._bytes_at(0, framing.HEADER_READ_BYTES)
        return framing.decode_header(data, self.writer, self.segment)

    def read(self, offset: int, max_bytes: int, out: list[Framed]) -> Got:
        """Append the frames from ``offset`` on to ``out``: ``max_bytes`` of them, at least one."""
        if offset == 0:
            header = self.header()
            if isinstance(header, Stop):
                return Got(0, "the header is incomplete")
            if isinstance(header, str):
                return Got(0, header)
            offset = header[1]
        if offset > self.size_bytes:
            return Got(offset, f"the file ends before it, at byte {self.size_bytes}")
        count = max(max_bytes, framing.PREFIX_BYTES)
        while True:
            data = self._bytes_at(offset, count)
            decoded = framing.decode_frames(data, self.segment, offset, self._seed, out)
            end = offset + decoded.end
            is_whole = len(data) < count or offset + len(data) >= self.size_bytes
            if decoded.stop is None:
                return Got(end)
            if decoded.stop is not Stop.INCOMPLETE or is_whole:
                return Got(end, decoded.stop.value, decoded.stop is not Stop.UNKNOWN)
            if decoded.end:
                return Got(end)  # the budget ended within a frame
            count = decoded.needed_bytes

    def find_frame(self, start: int) -> int | None:
        """Return the offset of the first whole frame at or after ``start``, byte by byte."""
        while start < self.size_bytes:
            overlap = framing.PREFIX_BYTES + framing.MAX_FRAME_BYTES
            found = framing.find_frame(self._bytes_at(start, _WINDOW_BYTES + overlap), self._seed)
            if found is not None:
                return start + found
            start += _WINDOW_BYTES
        return None

"""What waits to be written: whole frames, bounded in bytes, in the order they came.

Plain bookkeeping without files or clocks, so that its invariant can be tested by itself: the bytes
taken, in order, are whole frames and nothing else, whatever the sizes of the writes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Backlog:
    """A queue of encoded frames that drops the oldest when it is too large.

    ``carry`` is what must be written next and is never dropped: the rest of a frame that is partly
    on file, or the header of a new segment. ``lost`` counts dropped frames that no FramesLost
    frame on file has told of yet; that frame is made when it is written, in the place of the
    frames that are missing.
    """

    def __init__(self, limit_bytes: int, tell_lost: Callable[[int, int], bytes]) -> None:
        """``tell_lost(frames, first_lost_at_ns)`` returns an encoded FramesLost frame."""
        self.carry = b""
        self.size_bytes = 0  # of the frames, without the carry
        self.lost = 0
        self.first_lost_at_ns = 0
        self._limit_bytes = limit_bytes
        self._tell_lost = tell_lost
        self._frames: deque[bytes] = deque()
        self._notice = b""

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all waits to be written."""
        return not (self._frames or self.carry or self.lost)

    def add(self, frames: Sequence[bytes]) -> None:
        """Queue whole frames."""
        self._frames.extend(frames)
        self.size_bytes += sum(map(len, frames))

    def lose(self, frames: int, first_lost_at_ns: int) -> None:
        """Count frames that will never be written."""
        if frames and not self.lost:
            self.first_lost_at_ns = first_lost_at_ns
        self.lost += frames

    def trim(self, first_lost_at_ns: int) -> int:
        """Drop the oldest frames beyond the limit and return how many."""
        dropped = 0
        while self.size_bytes > self._limit_bytes:
            self.size_bytes -= len(self._frames.popleft())
            dropped += 1
        self.lose(dropped, first_lost_at_ns)
        return dropped

    @property
    def next_bytes(self) -> int:
        """Size of the next frame, 0 when there is none."""
        if self.lost:
            self._notice = self._tell_lost(self.lost, self.first_lost_at_ns)
            return len(self._notice)
        return len(self._frames[0]) if self._frames else 0

    def peek(self, room_bytes: int) -> bytes:
        """Return what to write next: the carry and then whole frames up to ``room_bytes``.

        One frame is returned even when it is larger than the room, so that writing goes on.
        """
        parts, size = [self.carry], len(self.carry)
        self._notice = self._tell_lost(self.lost, self.first_lost_at_ns) if self.lost else b""
        if self._notice:
            if size and size + len(self._notice) > room_bytes:
                return self.carry
            parts.append(self._notice)
            size += len(self._notice)
        for frame in self._frames:
            if size and size + len(frame) > room_bytes:
                break
            parts.append(frame)
            size += len(frame)
        return b"".join(parts)

    def wrote(self, written: int) -> None:
        """Take away what the last :meth:`peek` returned, up to ``written`` bytes."""
        if written < len(self.carry):
            self.carry = self.carry[written:]
            return
        written -= len(self.carry)
        self.carry = b""
        if self._notice and written:
            self.lost, self.first_lost_at_ns = 0, 0
            if written < len(self._notice):
                self.carry = self._notice[written:]
                return
            written -= len(self._notice)
        while written:
            frame = self._frames.popleft()
            self.size_bytes -= len(frame)
            if written < len(frame):
                self.carry = frame[written:]
                return
            written -= len(frame)

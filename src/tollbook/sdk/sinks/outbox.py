"""What waits to be sent: whole calls as encoded frames, bounded in bytes, oldest given up first."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final, NamedTuple

from tollbook.call import CallClosed, CallOpened, SpanSeen, encode_frame

_ARRAY_32: Final = 0xDD
"""MessagePack's array with a length of 32 bits."""


class Parcel(NamedTuple):
    """Frames that are sent together: both of a call, or a span."""

    frames: bytes
    frame_count: int


def parcel_of_call(opened: CallOpened, closed: CallClosed) -> Parcel:
    """Encode a call."""
    return Parcel(encode_frame(opened) + encode_frame(closed), 2)


def parcel_of_span(span: SpanSeen) -> Parcel:
    """Encode a span."""
    return Parcel(encode_frame(span), 1)


def body_of(parcels: list[Parcel]) -> bytes:
    """Return the MessagePack array of all frames."""
    count = sum(one.frame_count for one in parcels)
    head = struct.pack(">BI", _ARRAY_32, count)
    return b"".join([head, *[one.frames for one in parcels]])


class Outbox:
    """A queue of parcels. Not safe for threads by itself.

    What is in delivery stays counted until it is settled, so that memory is bounded also while a
    receiver does not answer.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.dropped = 0  # parcels given up since the start
        self.size_bytes = 0  # of what waits and what is in delivery
        self._limit_bytes = limit_bytes
        self._parcels: deque[Parcel] = deque()

    def __len__(self) -> int:
        return len(self._parcels)

    def add(self, parcel: Parcel) -> int:
        """Queue a parcel and return how many were given up for it, the oldest first."""
        self._parcels.append(parcel)
        self.size_bytes += len(parcel.frames)
        given_up = 0
        while self.size_bytes > self._limit_bytes and self._parcels:
            self.size_bytes -= len(self._parcels.popleft().frames)
            given_up += 1
        self.dropped += given_up
        return given_up

    def take(self, batch_bytes: int) -> list[Parcel]:
        """Take the oldest parcels for delivery: at least one, then up to so many bytes."""
        taken: list[Parcel] = []
        size = 0
        while self._parcels and (not taken or size + len(self._parcels[0].frames) <= batch_bytes):
            one = self._parcels.popleft()
            taken.append(one)
            size += len(one.frames)
        return taken

    def settle(self, parcels: list[Parcel], *, dropped: bool = False) -> None:
        """Let go of parcels that were in delivery."""
        self.size_bytes -= sum(len(one.frames) for one in parcels)
        if dropped:
            self.dropped += len(parcels)

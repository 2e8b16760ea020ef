"""The bytes of a segment: a header, then frames of ``length:u32le crc32:u32le payload``.

The checksum is zlib's CRC-32 of the payload, started from the CRC-32 of the writer's name instead
of zero: bytes of another writer (a stale disk block, a file in the wrong directory, text that a
caller crafted to look like a frame) never pass for a frame of this one. A payload is never empty,
so a run of zeros, which is what a file system may leave after a power cut, is no frame either.
"""

from __future__ import annotations

import re
import struct
import zlib
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from tollbook.call import decode_frame

if TYPE_CHECKING:
    from tollbook.call import Frame

Framed = tuple["Frame", int, int]
"""A frame, the segment it stands in, and its byte offset there."""

MAGIC: Final = b"TOLLSEG\x01"
PREFIX: Final = struct.Struct("<II")
PREFIX_BYTES: Final = PREFIX.size
MAX_FRAME_BYTES: Final = 1024 * 1024
"""Largest payload. Frames are hundreds of bytes; a length beyond this is damage."""
HEADER_READ_BYTES: Final = len(MAGIC) + PREFIX_BYTES + 4096

_pack_prefix = PREFIX.pack
_unpack_prefix = PREFIX.unpack_from

# A payload is a MessagePack array (fixarray or array16) whose first element is the frame's tag, a
# small positive integer: that and a possible length make a place worth a checksum.
_CANDIDATE: Final = re.compile(
    rb"(?=..[\x00-\x10]\x00....(?:\xdc..|[\x91-\x9f])[\x01-\x7f])", re.DOTALL
)


class SegmentHeader(Struct, frozen=True, array_like=True):
    """Who wrote a segment; first in every segment. Fields may be appended, with a default."""

    writer: str
    segment: int
    host: str
    version: str  # of the program that wrote it
    started_at_ns: int  # when the writer began, since the epoch, UTC


class Stop(Enum):
    """Why decoding ended before the end of the bytes."""

    INCOMPLETE = "the last frame is incomplete"
    BAD_LENGTH = "no frame has this length"
    BAD_CHECKSUM = "the checksum does not match"
    UNKNOWN = "the frame is of a kind this version does not know; upgrade tollbook"


class Decoded(NamedTuple):
    """Where decoding ended, and why if not at the end of the bytes."""

    end: int
    stop: Stop | None
    needed_bytes: int = 0
    """For INCOMPLETE: how many bytes from ``end`` the frame takes (a prefix, when unknown)."""


def seed_of(writer: str) -> int:
    """Return the start value of the checksums of a writer's frames."""
    return zlib.crc32(writer.encode())


def seal(payload: bytes, seed: int) -> bytes:
    """Return a frame around a payload (1 to MAX_FRAME_BYTES bytes)."""
    return _pack_prefix(len(payload), zlib.crc32(payload, seed)) + payload


def encode_header(header: SegmentHeader) -> bytes:
    """Return the bytes a segment begins with."""
    return MAGIC + seal(msgspec.msgpack.encode(header), seed_of(header.writer))


def decode_header(  # noqa: PLR0911 -- one check after the other, each with its own answer
    data: bytes, writer: str, segment: int
) -> tuple[SegmentHeader, int] | Stop | str:
    """Read a segment's header.

    Args:
        data: the first HEADER_READ_BYTES of the file, or all of it when it is shorter.
        writer: the writer whose directory the file is in.
        segment: the number in the file's name.

    Returns:
        The header and its size in bytes; INCOMPLETE when the file ends within it; or what is
        wrong, in words.
    """
    start = len(MAGIC) + PREFIX_BYTES
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        return "not a spool segment (wrong first bytes)"
    if len(data) < start:
        return Stop.INCOMPLETE
    length, checksum = _unpack_prefix(data, len(MAGIC))
    end = start + length
    if not start < end <= HEADER_READ_BYTES:
        return "the header is damaged (impossible length)"
    if len(data) < end:
        return Stop.INCOMPLETE
    payload = data[start:end]
    if zlib.crc32(payload, seed_of(writer)) != checksum:
        return "the header is damaged, or the file belongs to another writer (checksum)"
    header = _header_in(payload)
    if header is None:
        return "the header cannot be read; written by a newer version? upgrade tollbook"
    if header.segment != segment:
        return f"the header says segment {header.segment}; the file was renamed"
    return header, end


def _header_in(payload: bytes) -> SegmentHeader | None:
    try:
        return msgspec.msgpack.decode(payload, type=SegmentHeader)
    except msgspec.MsgspecError:
        return None


def decode_frames(
    data: bytes, segment: int, base: int, seed: int, out: list[Framed], *, start: int = 0
) -> Decoded:
    """Append the whole frames in ``data`` from ``start`` to ``out``.

    Args:
        data: bytes of one segment.
        segment: number that goes with each frame.
        base: offset in the file of ``data[0]``.
        seed: see :func:`seed_of`.
        out: receives ``(frame, segment, offset in the file)``.
        start: where in ``data`` the first frame begins.
    """
    # The innermost loop of the ledger: locals instead of globals, tuples instead of objects.
    unpack, crc32, decode, append = _unpack_prefix, zlib.crc32, decode_frame, out.append
    end, at = len(data), start
    last_prefix = end - PREFIX_BYTES
    while at <= last_prefix:
        length, checksum = unpack(data, at)
        if not 0 < length <= MAX_FRAME_BYTES:
            return Decoded(at, Stop.BAD_LENGTH)
        begin = at + PREFIX_BYTES
        stop = begin + length
        if stop > end:
            return Decoded(at, Stop.INCOMPLETE, stop - at)
        payload = data[begin:stop]
        if crc32(payload, seed) != checksum:
            return Decoded(at, Stop.BAD_CHECKSUM)
        try:
            append((decode(payload), segment, base + at))
        except msgspec.MsgspecError:
            return Decoded(at, Stop.UNKNOWN)
        at = stop
    return Decoded(at, Stop.INCOMPLETE if at < end else None, PREFIX_BYTES)


def find_frame(data: bytes, seed: int) -> int | None:
    """Return where in ``data`` the first whole frame begins, looking at every byte."""
    end = len(data)
    for match in _CANDIDATE.finditer(data):
        at = match.start()
        length, checksum = _unpack_prefix(data, at)
        stop = at + PREFIX_BYTES + length
        if length > MAX_FRAME_BYTES or stop > end:
            continue
        if zlib.crc32(data[at + PREFIX_BYTES : stop], seed) == checksum:
            return at
    return None

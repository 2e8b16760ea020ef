"""The length of audio in RIFF WAVE files (IBM and Microsoft, Multimedia Programming Interface)."""

from __future__ import annotations

from typing import Final

_MAX_CHUNKS: Final = 32
_MAX_BYTES_A_SECOND: Final = 10**8


def wave_ms(body: bytes, start: int, end: int) -> int | None:
    """Return the milliseconds of a WAVE file within a body, None for any other file."""
    if end - start < 12 or body[start : start + 4] != b"RIFF":  # noqa: PLR2004 -- RIFF, size, WAVE
        return None
    if body[start + 8 : start + 12] != b"WAVE":
        return None
    at, rate = start + 12, 0
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return None
        name, size = body[at : at + 4], _u32(body, at + 4)
        if name == b"fmt " and at + 20 <= end:
            rate = _u32(body, at + 16)
        elif name == b"data":
            if not 0 < rate <= _MAX_BYTES_A_SECOND:
                return None
            sound_bytes = min(size, end - at - 8)  # a stream gives no true size
            return (2000 * sound_bytes + rate) // (2 * rate)
        at += 8 + size + size % 2
    return None


def _u32(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 4], "little")

"""Identifiers: UUID version 7 (RFC 9562 section 5.7), time-ordered, made without locks."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = 512
_PART_BYTES = 10
_pool: Iterator[bytes] = iter(())
_pool_pid = 0


def _random_10() -> bytes:
    """Take 10 random bytes from a pool, so that one system call serves hundreds of ids.

    ``next`` on an iterator hands each part to one thread only; the process id guards forks.
    """
    global _pool, _pool_pid
    if _pool_pid == os.getpid():
        for part in _pool:
            return part
    fresh = os.urandom(_PARTS * _PART_BYTES)
    parts = [fresh[at : at + _PART_BYTES] for at in range(0, len(fresh), _PART_BYTES)]
    _pool, _pool_pid = iter(parts[1:]), os.getpid()
    return parts[0]


def new_id(unix_ns: int | None = None) -> bytes:
    """Return a UUIDv7 as 16 bytes; 48 bits of milliseconds, then 74 random bits."""
    milliseconds = (clock.unix_ns() if unix_ns is None else unix_ns) // 1_000_000
    random = int.from_bytes(_random_10(), "big")
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80
    value |= 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | (random & 0x3FFFFFFFFFFFFFFF)
    return value.to_bytes(16, "big")


def to_text(raw: bytes) -> str:
    """Return the usual 36-character form."""
    return str(uuid.UUID(bytes=raw))


def from_text(text: str) -> bytes:
    """Return the 16 bytes of a textual id.

    Raises:
        ValueError: the text is not a UUID.
    """
    return uuid.UUID(text).bytes

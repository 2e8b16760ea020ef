"""Keeping the usage objects of one response, in little memory."""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_USAGE_OBJECTS_EACH_END: Final = 8
MAX_USAGE_BYTES: Final = 32_768
"""All that is kept has to fit a frame of the spool (1 MiB)."""


class UsageLog:
    """The usage objects of one response, byte for byte: the first eight and the last eight.

    Some servers send a growing usage with every chunk; what matters is at the ends.
    """

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        self._first: list[bytes] = []
        self._last: deque[bytes] | None = None

    def add(self, raw: bytes) -> None:
        """Keep one object; an absurdly large one is left out."""
        if len(raw) > MAX_USAGE_BYTES:
            return
        if len(self._first) < MAX_USAGE_OBJECTS_EACH_END:
            self._first.append(raw)
            return
        if self._last is None:
            self._last = deque(maxlen=MAX_USAGE_OBJECTS_EACH_END)
        self._last.append(raw)

    def __bool__(self) -> bool:
        return bool(self._first)

    def all(self) -> tuple[bytes, ...]:
        """Return what was kept, in order."""
        return (*self._first, *(self._last or ()))

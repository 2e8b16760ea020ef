"""Split a byte stream into the JSON objects in it, at any chunking.

``streamGenerateContent`` without ``alt=sse`` answers one JSON array whose elements come one by one,
printed over many lines.
"""

from __future__ import annotations

import re
from typing import Final

from tollbook.dialects.sse import EventSplitter, Fragment

_QUOTE: Final = b'"'
_OPEN: Final = b"{"
_next_outside = re.compile(rb'["{}]').search
_next_inside = re.compile(rb'["\\]').search
_MAX_DEPTH: Final = 1024


class ObjectSplitter(EventSplitter):
    """Takes chunks, gives whole objects; what stands between them is let go."""

    __slots__ = ("_at", "_depth", "_in_text", "_is_too_long")

    def __init__(self, max_object_bytes: int) -> None:
        super().__init__(max_object_bytes)
        self._at = 0  # how far the tail has been read
        self._depth = 0
        self._in_text = False
        self._is_too_long = False

    def push(self, chunk: bytes) -> list[bytes]:
        """Return the objects that end in this chunk; one that is too long as a Fragment."""
        tail = self._tail
        tail += chunk
        found: list[bytes] = []
        at = self._at
        while True:
            if self._in_text:
                match = _next_inside(tail, at)
                if match is None:
                    at = len(tail)
                    break
                if match[0] == _QUOTE:
                    self._in_text = False
                    at = match.end()
                elif match.end() == len(tail):
                    at = match.start()  # the escaped character is still to come
                    break
                else:
                    at = match.end() + 1
                continue
            match = _next_outside(tail, at)
            if match is None:
                at = len(tail)
                break
            at = self._step(match, found)
        self._at = at
        self._let_go()
        return found

    def rest(self) -> bytes:
        """Return the unfinished object, at the end of the stream, and forget it."""
        rest = b"" if self._is_too_long or not self._depth else bytes(self._tail)
        self._tail.clear()
        self._at = self._depth = 0
        self._in_text = self._is_too_long = False
        return rest

    def _step(self, match: re.Match[bytes], found: list[bytes]) -> int:
        """Take one mark outside of a text; return where to read on."""
        mark, at = match[0], match.end()
        if mark == _QUOTE:
            self._in_text = self._depth > 0  # a quote between objects opens nothing
        elif mark == _OPEN:
            if self._depth == 0:
                del self._tail[: match.start()]
                at = 1
            self._depth = min(self._depth + 1, _MAX_DEPTH)
        elif self._depth:
            self._depth -= 1
            if self._depth == 0:
                whole = bytes(self._tail[:at])
                del self._tail[:at]
                found.append(Fragment(whole) if self._is_too_long else whole)
                self._is_too_long = False
                at = 0
        return at

    def _let_go(self) -> None:
        """Forget what is between objects, and all but the depth of one that is too long."""
        if self._depth == 0 or self._is_too_long or len(self._tail) > self._max_event_bytes:
            self._is_too_long = self._depth > 0 and (
                self._is_too_long or len(self._tail) > self._max_event_bytes
            )
            del self._tail[: self._at]
            self._at = 0

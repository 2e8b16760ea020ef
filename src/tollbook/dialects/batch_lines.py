"""Cut a stream of bytes into lines or JSON elements, in bounded memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
"""Of a longer one only the beginning is kept: images travel inside lines, as base64."""
KEPT_BYTES: Final = 64 * 1024


class Piece(NamedTuple):
    """A line or element."""

    data: bytes
    is_whole: bool


class LineSplitter:
    """Lines of JSONL (jsonlines.org): ended by a line feed; the last may lack it."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_too_long = False

    def feed(self, data: bytes) -> list[Piece]:
        """Return the lines that these bytes complete, without their ends; empty ones left out."""
        *whole, rest = data.split(b"\n")
        pieces = []
        for part in whole:
            self._add(part)
            piece = self._take()
            if piece is not None:
                pieces.append(piece)
        if rest:
            self._add(rest)
        return pieces

    def finish(self) -> list[Piece]:
        """Return the last line, if it did not end with a line feed."""
        piece = self._take()
        return [] if piece is None else [piece]

    def _add(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._is_too_long:
            return
        self._parts.append(part)
        if self._size_bytes > self._max_bytes:
            self._parts = [b"".join(self._parts)[:KEPT_BYTES]]
            self._is_too_long = True

    def _take(self) -> Piece | None:
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        piece = Piece(data.strip(), not self._is_too_long)
        self._parts, self._size_bytes, self._is_too_long = [], 0, False
        return piece if piece.data else None


_STRUCTURE: Final = re.compile(rb'["{}\[\]]')
_IN_TEXT: Final = re.compile(rb'["\\]')
_MAX_KEY_BYTES: Final = 64
_QUOTE, _BACKSLASH, _BRACKET = b'"\\['


class ElementSplitter:
    """The objects of one array inside a JSON document (RFC 8259), cut out while it passes.

    The array is the value of the first member of one of the given names, at any depth, that is an
    array. What is not valid JSON yields wrong pieces or none, and never raises.
    """

    def __init__(self, names: frozenset[bytes], max_bytes: int = MAX_LINE_BYTES) -> None:
        self._names, self._max_bytes = names, max_bytes
        self._depth = 0
        self._array_depth = 0  # depth of the array's elements; 0 before it has begun
        self._is_done = False
        self._in_text = self._is_escaped = False
        self._key = b""  # the last text outside of the array, which may be a name
        self._key_from = -1
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_too_long = False
        self._from = -1  # where in the present bytes the present element begins; -1: not within one
        self._out: list[Piece] = []

    def feed(self, data: bytes) -> list[Piece]:
        """Return the elements that these bytes complete."""
        if self._is_done:
            return []
        if self._parts or self._is_too_long:
            self._from = 0
        at, end = 0, len(data)
        if self._is_escaped and end:
            self._is_escaped, at = False, 1
        while 0 <= at < end and not self._is_done:
            at = self._text(data, at) if self._in_text else self._structure(data, at)
        if self._from >= 0:
            self._keep(data[self._from :])
            self._from = -1
        elif self._key_from >= 0:
            self._key = (self._key + data[self._key_from :])[: _MAX_KEY_BYTES + 1]
            self._key_from = 0
        out, self._out = self._out, []
        return out

    def _text(self, data: bytes, at: int) -> int:
        match = _IN_TEXT.search(data, at)
        if match is None:
            return -1
        at = match.start()
        if data[at] == _BACKSLASH:
            self._is_escaped = at + 2 > len(data)
            return at + 2
        self._in_text = False
        if self._key_from >= 0:
            self._key = (self._key + data[self._key_from : at])[: _MAX_KEY_BYTES + 1]
            self._key_from = -1
        return at + 1

    def _structure(self, data: bytes, at: int) -> int:
        match = _STRUCTURE.search(data, at)
        if match is None:
            return -1
        at = match.start()
        mark = data[at]
        if mark == _QUOTE:
            self._in_text = True
            if not self._array_depth:
                self._key, self._key_from = b"", at + 1
        elif mark in b"{[":
            self._begin(at, is_array=mark == _BRACKET)
        else:
            self._end(data, at)
        return at + 1

    def _begin(self, at: int, *, is_array: bool) -> None:
        self._depth += 1
        if not self._array_depth:
            if is_array and self._key in self._names:
                self._array_depth = self._depth + 1
            self._key = b""
        elif self._depth == self._array_depth and self._from < 0:
            self._from = at

    def _end(self, data: bytes, at: int) -> None:
        if self._array_depth and self._depth == self._array_depth and self._from >= 0:
            self._keep(data[self._from : at + 1])
            self._out.append(Piece(b"".join(self._parts), not self._is_too_long))
            self._parts, self._size_bytes, self._is_too_long, self._from = [], 0, False, -1
        self._depth -= 1
        if self._array_depth and self._depth < self._array_depth - 1:
            self._is_done = True

    def _keep(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._is_too_long:
            return
        self._parts.append(part)
        if self._size_bytes > self._max_bytes:
            self._parts = [b"".join(self._parts)[:KEPT_BYTES]]
            self._is_too_long = True

    def finish(self) -> list[Piece]:
        """Return nothing: an element that does not end is none."""
        return []


_custom_id = re.compile(rb'"(?:custom_id|key)"\s*:\s*"([^"\\]{1,512})"').search


def custom_id_in(data: bytes, decode: Callable[[bytes], str] = bytes.decode) -> str | None:
    """Return the custom id from the beginning of a line that cannot be read as a whole."""
    match = _custom_id(data)
    try:
        return None if match is None else decode(match[1])
    except UnicodeDecodeError:
        return None

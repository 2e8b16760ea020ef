"""Split a byte stream into server-sent events (WHATWG HTML, section 9.2), at any chunking.

An event is kept as the very bytes received, its closing blank line included, so that joining the
events gives the stream back. Line ends may be LF, CRLF or CR, also mixed.
"""

from __future__ import annotations

import re
from typing import Final

from tollbook.dialects.answer_json import BYTE_ORDER_MARK

_LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
_find_blank_line = re.compile(_LINE_END + _LINE_END).search
_split_lines = re.compile(rb"\r\n|\n|\r").split
_keep_lines = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|$)").findall
_LONGEST_BLANK_LINE: Final = 4


class Fragment(bytes):
    """A piece of an event that is longer than the limit: passed on, never read."""

    __slots__ = ()


class EventSplitter:
    """Takes chunks, gives whole events; holds no more than one event of ``max_event_bytes``."""

    __slots__ = ("_has_cr", "_in_long_event", "_max_event_bytes", "_tail")

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._tail = bytearray()
        self._has_cr = False
        self._in_long_event = False

    def push(self, chunk: bytes) -> list[bytes]:
        """Return the events that end in this chunk, as bytes; pieces of a long one as Fragment."""
        if not self._has_cr and b"\r" in chunk:
            self._has_cr = True
        tail = self._tail
        if not tail:
            if not self._has_cr and chunk.find(b"\n\n") == len(chunk) - 2 > 0:
                return [chunk]  # one whole event, as most chunks are
            return self._split(chunk, 0)
        # Only the end of the old tail can be the beginning of a blank line: no byte is read twice.
        scan_from = max(0, len(tail) - _LONGEST_BLANK_LINE + 1)
        tail += chunk
        if self._event_end(tail, scan_from) < 0:
            return self._long_event() if len(tail) > self._max_event_bytes else []
        data = bytes(tail)
        tail.clear()
        return self._split(data, scan_from)

    @property
    def unfinished(self) -> bytes:
        """The beginning of an event whose end has not come."""
        return bytes(self._tail)

    def rest(self) -> bytes:
        """Return the unfinished event, at the end of the stream, and forget it."""
        rest = bytes(self._tail)
        self._tail.clear()
        return rest

    def _event_end(self, data: bytes | bytearray, scan_from: int) -> int:
        if not self._has_cr:
            at = data.find(b"\n\n", scan_from)
            return at + 2 if at >= 0 else -1
        # A CR at the very end may be half of a CRLF: wait for the next byte.
        scan_to = len(data) - 1 if data.endswith(b"\r") else len(data)
        match = _find_blank_line(data, scan_from, scan_to)
        return match.end() if match else -1

    def _split(self, data: bytes, scan_from: int) -> list[bytes]:
        events: list[bytes] = []
        start = 0
        end = self._event_end(data, scan_from)
        while end >= 0:
            event = data[start:end]
            if self._in_long_event:
                event = Fragment(event)
                self._in_long_event = False
            events.append(event)
            start = end
            end = self._event_end(data, start)
        if start < len(data):
            self._tail += data[start:] if start else data
            if len(self._tail) > self._max_event_bytes:
                events += self._long_event()
        return events

    def _long_event(self) -> list[bytes]:
        """Let go of an event that is too long, but for bytes that may begin its blank line."""
        self._in_long_event = True
        piece = Fragment(self._tail[: -_LONGEST_BLANK_LINE + 1])
        del self._tail[: -_LONGEST_BLANK_LINE + 1]
        return [piece]


def event_data(event: bytes) -> bytes:
    """Return the data of one event: its ``data`` lines joined with LF; empty if it has none."""
    lines = []
    # A mark at the beginning of the stream belongs to no field.
    for line in _split_lines(event.removeprefix(BYTE_ORDER_MARK)):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines)


def comment_lines(event: bytes) -> bytes:
    """Return the comment lines of one event, their line ends included."""
    return b"".join(line for line in _keep_lines(event) if line.startswith(b":"))

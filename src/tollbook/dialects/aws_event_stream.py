"""Read ``application/vnd.amazon.eventstream`` while it passes, at any chunking.

A message is (AWS, "Event stream encoding", as Amazon Transcribe and Smithy document it)::

    total length   u32  big endian, of the whole message
    header length  u32
    prelude CRC    u32  CRC-32 of the eight bytes before it
    headers             name length u8, name, type u8, value by type; repeated
    payload             what is left
    message CRC    u32  CRC-32 of everything before it

Reading never raises and changes nothing: the bytes go to the client as they came. A prelude that
does not check out ends the reading, since nothing says where the next message begins; a payload
that does not is skipped.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

MAX_MESSAGE_BYTES: Final = 24 * 1024 * 1024
"""As AWS limits a payload; a longer message passes unread."""
MAX_HEADERS_BYTES: Final = 128 * 1024
_PRELUDE_BYTES: Final = 12
_CRC_BYTES: Final = 4
_KNOWN_MAX: Final = 32
_KNOWN_BYTES_MAX: Final = 512
_unpack_prelude = Struct(">III").unpack_from
_STRING: Final = 7
_BYTES: Final = 6
_FIXED_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header value by its type: true, false, byte, short, int, long, timestamp, UUID."""


class AwsEvent(NamedTuple):
    """One message of an event stream."""

    kind: str
    """``:message-type``: event, exception or error."""
    name: str
    """``:event-type`` (chunk, metadata), ``:exception-type`` or ``:error-code``."""
    payload: bytes


class EventStreamReader:
    """Takes chunks, gives whole messages; holds no more than one of ``max_message_bytes``."""

    __slots__ = ("_known", "_max_message_bytes", "_need", "_skip", "_tail", "damaged", "is_lost")

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._known: dict[bytes, tuple[str, str]] = {}
        self._tail = bytearray()
        self._need = _PRELUDE_BYTES
        """How long the tail must be before it is worth looking at."""
        self._skip = 0
        self.damaged = 0
        """Messages that were not read: a wrong checksum, or too long."""
        self.is_lost = False
        """A prelude was wrong: nothing that follows can be read."""

    def push(self, chunk: bytes) -> list[AwsEvent]:
        """Return the messages that end in this chunk."""
        if self.is_lost:
            return []
        chunk = self._with_tail(chunk)
        events: list[AwsEvent] = []
        at, size = 0, len(chunk)
        while size - at >= _PRELUDE_BYTES:
            header_bytes, total = _prelude(chunk, at)
            if not total:
                self.is_lost = True
                return events
            if at + total > size and total <= self._max_message_bytes:
                self._need = total
                break
            at += self._take(chunk, at, total, header_bytes, events)
        self._tail += chunk[at:]
        return events

    def _with_tail(self, chunk: bytes) -> bytes:
        """Return what is to be read now: nothing until a message that has begun is whole."""
        if self._skip:
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            chunk = chunk[skipped:]
        tail = self._tail
        if not tail:
            return chunk
        tail += chunk
        if len(tail) < self._need:
            return b""
        chunk = bytes(tail)
        tail.clear()
        self._need = _PRELUDE_BYTES
        return chunk

    def _take(
        self, chunk: bytes, at: int, total: int, header_bytes: int, events: list[AwsEvent]
    ) -> int:
        """Read one message and return how much of the chunk it takes up."""
        if total > self._max_message_bytes:
            self.damaged += 1
            left = len(chunk) - at
            self._skip = max(0, total - left)
            return min(total, left)
        end = at + total - _CRC_BYTES
        if crc32(chunk[at:end]) == int.from_bytes(chunk[end : end + _CRC_BYTES]):
            start = at + _PRELUDE_BYTES
            headers = chunk[start : start + header_bytes]
            known = self._known.get(headers) or self._learn(headers)
            events.append(AwsEvent(known[0], known[1], chunk[start + header_bytes : end]))
        else:
            self.damaged += 1
        return total

    def _learn(self, raw: bytes) -> tuple[str, str]:
        """Return kind and name; a stream has few different headers, each on many messages."""
        headers = read_headers(raw)
        name = (
            headers.get(":event-type")
            or headers.get(":exception-type")
            or headers.get(":error-code")
            or ""
        )
        found = headers.get(":message-type", "event"), name
        if len(self._known) < _KNOWN_MAX and len(raw) <= _KNOWN_BYTES_MAX:
            self._known[raw] = found
        return found


def _prelude(chunk: bytes, at: int) -> tuple[int, int]:
    """Return the length of the headers and of the message; zeros for a wrong prelude."""
    total, header_bytes, checksum = _unpack_prelude(chunk, at)
    if (
        header_bytes > MAX_HEADERS_BYTES
        or total < _PRELUDE_BYTES + header_bytes + _CRC_BYTES
        or crc32(chunk[at : at + 8]) != checksum
    ):
        return 0, 0
    return header_bytes, total


def read_headers(raw: bytes) -> dict[str, str]:
    """Return the text headers of a message; what is malformed ends the reading."""
    found: dict[str, str] = {}
    at, size = 0, len(raw)
    while at < size:
        name_end = at + 1 + raw[at]
        if name_end >= size:
            break
        name, kind = raw[at + 1 : name_end], raw[name_end]
        at = name_end + 1
        if kind in {_STRING, _BYTES}:
            length = int.from_bytes(raw[at : at + 2])
            at += 2
            if at + length > size:
                break
            if kind == _STRING:
                text = raw[at : at + length].decode("utf-8", "replace")
                found[name.decode("utf-8", "replace")] = text
            at += length
        elif kind in _FIXED_SIZES:
            at += _FIXED_SIZES[kind]
        else:
            break
    return found

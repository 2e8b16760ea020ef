"""Read the frames of one direction of a WebSocket while they pass (RFC 6455 section 5).

The bytes go on unchanged; this is a copy's reading. It never raises: what is no WebSocket, or uses
an extension, ends the reading and not the connection, and a message over the limit is left out.
"""

from __future__ import annotations

from typing import Final

_CONTINUATION: Final = 0x0
_CLOSE: Final = 0x8  # and above: control frames
_OPCODES: Final = frozenset({_CONTINUATION, 0x1, 0x2, _CLOSE, 0x9, 0xA})
_LENGTH_BYTES: Final = {126: 2, 127: 8}
_MAX_CONTROL_BYTES: Final = 125
_MAX_LENGTH: Final = 1 << 63
CLOSE_GOING_AWAY: Final = 1001
CLOSE_POLICY: Final = 1008


class FrameReader:
    """Gives the whole messages of one direction.

    Args:
        is_masked: whether this side has to mask (the client does, the provider must not).
        max_message_bytes: a longer message is counted and left out.
    """

    __slots__ = (
        "_begun", "_buffer", "_has_message", "_is_final", "_is_masked", "_is_too_large", "_left",
        "_mask", "_max", "_opcode", "_payload", "_size", "has_closed", "is_readable", "too_large",
    )  # fmt: skip

    def __init__(self, *, is_masked: bool, max_message_bytes: int) -> None:
        self._is_masked = is_masked
        self._max = max_message_bytes
        self._buffer = b""  # of a frame's head that is not whole
        self._left = -1  # bytes of the present frame's payload to come; -1 between frames
        self._opcode = 0
        self._is_final = False
        self._mask = b""
        self._payload: list[bytes] = []  # of the present frame
        self._begun = bytearray()  # of the present message: its earlier frames, unmasked
        self._size = 0
        self._has_message = False
        self._is_too_large = False
        self.too_large = 0
        """Messages left out on account of their size."""
        self.is_readable = True
        """False once bytes came that are no frame of a WebSocket without extensions."""
        self.has_closed = False
        """Whether this side sent its Close frame."""

    @property
    def is_between_frames(self) -> bool:
        """Whether a frame of one's own could be written here."""
        return self.is_readable and self._left < 0 and not self._buffer and not self.has_closed

    def feed(self, data: bytes) -> list[bytes]:
        """Return the text and binary messages that these bytes complete."""
        messages: list[bytes] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        at, size = 0, len(data)
        while at < size and self.is_readable:
            if self._left < 0:
                head = self._read_head(data, at)
                if head == 0:
                    self._buffer = data[at:]
                    break
                at += head
            taken = min(self._left, size - at)
            if taken and self._keeps:
                self._payload.append(data[at : at + taken])
            at += taken
            self._left -= taken
            if self._left == 0:
                self._left = -1
                message = self._end_frame()
                if message is not None:
                    messages.append(message)
        return messages

    @property
    def _keeps(self) -> bool:
        return self._opcode < _CLOSE and not self._is_too_large

    def _read_head(self, data: bytes, at: int) -> int:
        """Take up a frame's head; return its size, 0 if it is not whole yet."""
        size = len(data) - at
        if size < 2:  # noqa: PLR2004 -- flags and length
            return 0
        flags, length = data[at], data[at + 1] & 0x7F
        head = 2 + _LENGTH_BYTES.get(length, 0) + 4 * self._is_masked
        if not self._is_frame(flags, data[at + 1]):
            self._stop_reading()
            return 0
        if size < head:
            return 0
        extended = _LENGTH_BYTES.get(length, 0)
        if extended:
            length = int.from_bytes(data[at + 2 : at + 2 + extended])
            if length >= _MAX_LENGTH:
                self._stop_reading()
                return 0
        self._mask = data[at + head - 4 : at + head] if self._is_masked else b""
        self._opcode, self._is_final, self._left = flags & 0x0F, bool(flags & 0x80), length
        if self._opcode < _CLOSE:
            self._has_message = True
            self._size += length
            if self._size > self._max:
                self._is_too_large = True
                self._begun.clear()
        return head

    def _is_frame(self, flags: int, masked_length: int) -> bool:
        """Whether a frame may begin with these two bytes (sections 5.2, 5.4 and 5.5)."""
        opcode = flags & 0x0F
        if flags & 0x70 or opcode not in _OPCODES:
            return False
        if bool(masked_length & 0x80) is not self._is_masked:
            return False
        if opcode >= _CLOSE:
            return bool(flags & 0x80) and masked_length & 0x7F <= _MAX_CONTROL_BYTES
        return (opcode == _CONTINUATION) is self._has_message

    def _stop_reading(self) -> None:
        self.is_readable = False
        self._begun.clear()
        self._payload.clear()

    def _end_frame(self) -> bytes | None:
        """Take the end of a frame; return the message if it was its last."""
        if self._opcode >= _CLOSE:
            self.has_closed = self.has_closed or self._opcode == _CLOSE
            return None
        payload = self._payload
        frame = payload[0] if len(payload) == 1 else b"".join(payload)
        payload.clear()
        if frame and self._mask:
            frame = unmasked(frame, self._mask)
        if not self._is_final:
            if not self._is_too_large:
                self._begun += frame
            return None
        begun, self._begun = self._begun, bytearray()
        self._size, self._has_message = 0, False
        if self._is_too_large:
            self._is_too_large = False
            self.too_large += 1
            return None
        return bytes(begun + frame) if begun else frame


def unmasked(data: bytes, mask: bytes) -> bytes:
    """Return data with the mask taken off, or put on (RFC 6455 section 5.3)."""
    size = len(data)
    long_mask = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data) ^ int.from_bytes(long_mask)).to_bytes(size)


def close_frame(code: int, reason: str, *, is_masked: bool) -> bytes:
    """Return a Close frame (RFC 6455 section 5.5.1); ``reason`` is short.

    A client's frame is masked, here with zeros: the mask protects old intermediaries from chosen
    bytes, and these are not chosen by anybody.
    """
    payload = code.to_bytes(2) + reason.encode()
    if is_masked:
        return bytes((0x88, 0x80 | len(payload))) + bytes(4) + payload
    return bytes((0x88, len(payload))) + payload

"""Frames of ``application/vnd.amazon.eventstream``, as Bedrock sends them.

Written apart from the reader that they test: prelude with its CRC-32, headers, payload, CRC-32.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from tollbook.simulator.provider.checks import Json

MEDIA_TYPE: Final = b"application/vnd.amazon.eventstream"
_encode = msgspec.json.Encoder().encode
_TEXT: Final = 7
_PADDING: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def event_frame(name: str, payload: Json) -> bytes:
    """Return an event; like AWS, with a padding ``p`` that hides how long its text is."""
    padding = _PADDING[: 1 + zlib.crc32(_encode(payload)) % len(_PADDING)]
    return _frame(":event-type", name, "event", _encode({**payload, "p": padding}))


def exception_frame(name: str, message: str) -> bytes:
    """Return an exception, the last message of a stream that fails."""
    return _frame(":exception-type", name, "exception", _encode({"message": message}))


def _frame(name_header: str, name: str, kind: str, payload: bytes) -> bytes:
    headers = b"".join(
        (
            _header(name_header, name),
            _header(":content-type", "application/json"),
            _header(":message-type", kind),
        )
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    checked = prelude + struct.pack("!I", zlib.crc32(prelude))
    message = checked + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return (
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _TEXT, len(text)) + text
    )

"""Frames of AWS event streams, made by hand for tests."""

from __future__ import annotations

import struct
from zlib import crc32


def text_header(name: str, value: str) -> bytes:
    raw = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(raw)) + raw


def message(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return head + struct.pack(">I", crc32(head))


def event(name: str, payload: bytes) -> bytes:
    headers = text_header(":event-type", name) + text_header(":message-type", "event")
    return message(headers + text_header(":content-type", "application/json"), payload)


def exception(name: str, payload: bytes = b'{"message":"m"}') -> bytes:
    return message(
        text_header(":exception-type", name) + text_header(":message-type", "exception"), payload
    )

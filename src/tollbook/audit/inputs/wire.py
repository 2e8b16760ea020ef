"""The wire format of Protocol Buffers, without a library: fields of a message, one after the other.

See https://protobuf.dev/programming-guides/encoding/. The base install has no Protobuf library,
and the messages of OTLP need four kinds of fields.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5
_VARINT_MAX_BYTES: Final = 10
_fixed64: Final = struct.Struct("<Q").unpack_from
_fixed32: Final = struct.Struct("<I").unpack_from
_double: Final = struct.Struct("<d").unpack


class WireError(ValueError):
    """Bytes are no Protobuf message."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends.

    Raises:
        WireError: it is cut off or longer than 64 bits.
    """
    value = shift = 0
    for end in range(at, min(at + _VARINT_MAX_BYTES, len(data))):
        byte = data[end]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 -- the highest bit: more follows
            return value & 0xFFFF_FFFF_FFFF_FFFF, end + 1
        shift += 7
    raise WireError("a number is cut off")


def fields(data: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    """Yield the number, the wire type and the value of each field.

    Raises:
        WireError: it is no message, from some field on.
    """
    at, size = 0, len(data)
    while at < size:
        tag = data[at]
        at += 1
        if tag > 0x7F:  # noqa: PLR2004 -- fields from 16 on have a longer tag
            tag, at = varint(data, at - 1)
        kind = tag & 7
        value: bytes | int
        if kind == LENGTH:
            length, at = (data[at], at + 1) if at < size and data[at] < 0x80 else varint(data, at)  # noqa: PLR2004 -- as above
            value = data[at : at + length]
            at += length
            if at > size:
                raise WireError("a field is cut off")
        elif kind == VARINT:
            value, at = varint(data, at)
        else:
            value, at = _fixed(data, at, kind)
        if not tag >> 3:
            raise WireError("a field has the number 0")
        yield tag >> 3, kind, value


def _fixed(data: bytes, at: int, kind: int) -> tuple[int, int]:
    try:
        if kind == FIXED64:
            return _fixed64(data, at)[0], at + 8
        if kind == FIXED32:
            return _fixed32(data, at)[0], at + 4
    except struct.error:
        raise WireError("a field is cut off") from None
    raise WireError("a field is of no known type")


def signed(value: int) -> int:
    """Return an int64 for its bits."""
    return value - (1 << 64) if value >> 63 else value


def double(value: int) -> float:
    """Return a double for its bits."""
    number: float = _double(value.to_bytes(8, "little"))[0]
    return number

"""Decompression within a limit (RFC 9110 section 8.4): gzip, and deflate in its zlib form."""

from __future__ import annotations

import zlib
from typing import Final

CODINGS: Final = ("gzip", "x-gzip", "deflate")
_EITHER: Final = zlib.MAX_WBITS | 32
"""A gzip or a zlib header."""


class UnpackError(Exception):
    """The bytes are not what the content coding says."""


class TooLargeError(Exception):
    """More comes out than is allowed."""


def unpack(body: bytes, limit_bytes: int) -> bytes:
    """Return what was compressed; several gzip members count as one (RFC 1952 section 2.2).

    Raises:
        UnpackError: damaged or cut off.
        TooLargeError: larger than the limit; no more than the limit was ever in memory.
    """
    out = bytearray()
    rest = body
    while rest:
        member = zlib.decompressobj(_EITHER)
        try:
            out += member.decompress(rest, limit_bytes - len(out) + 1)
        except zlib.error as error:
            raise UnpackError(
                "the body is not gzip or deflate as its content-encoding says"
            ) from error
        if len(out) > limit_bytes:
            raise TooLargeError
        if not member.eof:
            raise UnpackError("the compressed body is cut off")
        rest = member.unused_data
    return bytes(out)

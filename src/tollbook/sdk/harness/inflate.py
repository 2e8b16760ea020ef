"""Plain bytes of a compressed answer, for the meter; bounded."""

from __future__ import annotations

import zlib
from typing import Final

_MAX_STEP_BYTES: Final = 4 * 1024 * 1024
ENCODINGS: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})


class Inflating:
    """Decompresses a copy; gives up silently on what it cannot read."""

    __slots__ = ("_inflate", "_left")

    def __init__(self, max_bytes: int) -> None:
        # 32 + 15: zlib or gzip, by its header (RFC 9110 section 8.4.1).
        self._inflate = zlib.decompressobj(32 + zlib.MAX_WBITS)
        self._left = max_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Return what these bytes complete."""
        plain: list[bytes] = []
        while data and self._left > 0:
            try:
                part = self._inflate.decompress(data, min(_MAX_STEP_BYTES, self._left))
            except zlib.error:
                self._left = 0
                break
            self._left -= len(part)
            if part:
                plain.append(part)
            data = self._inflate.unconsumed_tail
        return plain

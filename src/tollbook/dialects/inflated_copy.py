"""The plain bytes of a compressed answer, for the meter that looks on; bounded."""

from __future__ import annotations

import zlib
from typing import Final

ENCODINGS: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""Content codings that can be read (RFC 9110 section 8.4.1)."""

_MAX_RATIO_STEP: Final = 4 * 1024 * 1024
"""Most that one read may inflate to at once; more is read in steps."""


class InflatedCopy:
    """Decompresses a copy for the meter, bounded; gives up silently on what it cannot read."""

    __slots__ = ("_inflate", "_left")

    def __init__(self, max_bytes: int) -> None:
        # 32 + 15: zlib or gzip by its header (RFC 9110 section 8.4.1).
        self._inflate = zlib.decompressobj(32 + zlib.MAX_WBITS)
        self._left = max_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Return the plain bytes that these compressed bytes complete."""
        plain: list[bytes] = []
        while data and self._left > 0:
            try:
                part = self._inflate.decompress(data, min(_MAX_RATIO_STEP, self._left))
            except zlib.error:
                self._left = 0
                break
            self._left -= len(part)
            if part:
                plain.append(part)
            data = self._inflate.unconsumed_tail
            if self._inflate.eof and self._inflate.unused_data:
                # RFC 1952 section 2.2: a gzip file may have several members.
                data = self._inflate.unused_data
                self._inflate = zlib.decompressobj(32 + zlib.MAX_WBITS)
        return plain

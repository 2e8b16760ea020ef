"""Bytes of a source, decompressed as they are needed; damage ends them, it raises nothing."""

from __future__ import annotations

import bz2
import codecs
import lzma
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from tollbook.audit.inputs.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 256 * 1024
_XZ_MEMORY_BYTES: Final = 256 * 1024 * 1024
_ZSTD_FEED_BYTES: Final = 1024
"""A kilobyte of zstd can expand to some 30 MB: a repeated block of 128 KiB takes four bytes."""
_ZSTD_WINDOW_BYTES: Final = 1 << 27  # the most that the zstd command takes without being asked
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_UTF16: Final = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


class _Expander(Protocol):
    """One compressed stream."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes:
        """Return what some bytes expand to."""


class Stream:
    """Reads a file on, expanded.

    Args:
        raw: the file; it is not closed here.
        expanded_max_bytes: what is beyond it is not read.

    Attributes:
        compression: ``gzip``, ``zstd``, ``bzip2``, ``xz``; empty for none.
        raw_bytes: so much of the file was read, as it lies on the disk.
        problem: why the bytes ended before the file did, in words; empty if they did not.
    """

    def __init__(self, raw: BinaryIO, expanded_max_bytes: int) -> None:
        self._raw = raw
        self._left_bytes = expanded_max_bytes
        self.raw_bytes = 0
        self.problem = ""
        self._waiting = self._take()
        self.compression = next((n for magic, n in _MAGIC if self._waiting.startswith(magic)), "")
        self._expander: _Expander | None = None
        self._tail = b""
        self._recode: Callable[[bytes], bytes] | None = None
        if self.compression:
            self._new_expander = _expander_of(self.compression)
            self._expander = self._new_expander()
        self._head = self._expanded()
        self._head_is_new = True
        while len(self._head) < HEAD_BYTES:
            more = self._expanded()
            if not more:
                break
            self._head += more
        self._look_at_text()

    @property
    def head(self) -> bytes:
        """How it begins; reading begins with it all the same."""
        return self._head[:HEAD_BYTES]

    def read(self) -> bytes:
        """Return some bytes, none at the end."""
        if self._head_is_new:
            self._head_is_new = False
            return self._head
        data = self._expanded()
        if self._recode is not None and data:
            data = self._recode(data) or self.read()
        return data

    def _look_at_text(self) -> None:
        """Read UTF-16 (PowerShell writes it) as UTF-8, and leave out a byte order mark."""
        if self._head.startswith(codecs.BOM_UTF8):
            self._head = self._head[len(codecs.BOM_UTF8) :]
            return
        encoding = _UTF16.get(self._head[:2])
        if encoding is None:
            return
        decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode
        self._recode = lambda data: decode(data).encode(errors="replace")
        self._head = self._recode(self._head[2:])

    def _take(self) -> bytes:
        try:
            data = self._raw.read(_CHUNK_BYTES)
        except (OSError, ValueError, EOFError, zlib.error, RuntimeError) as error:
            # Besides the disk's own: a member of an archive that is damaged
            self.problem = f"cannot be read on: {_words(error)}"
            return b""
        self.raw_bytes += len(data)
        return data

    def _expanded(self) -> bytes:
        data = self._next()
        if len(data) > self._left_bytes:
            data = data[: self._left_bytes]
            self.problem = "is larger than what is read of one input"
        self._left_bytes -= len(data)
        return data

    def _next(self) -> bytes:
        if self._expander is None:
            data, self._waiting = self._waiting or self._take(), b""
            return data
        data = b""
        while not data and not self.problem:
            self._waiting = self._waiting or self._take()
            if self._expander.eof:
                if not self._begin_again():
                    break
            elif self._waiting or not getattr(self._expander, "needs_input", True):
                data = self._expand()
            else:
                # zlib holds some back when it was told how much to return
                data = self._expand() if self.compression == "gzip" else b""
                if not data and not self._is_over() and not self.problem:
                    self.problem = f"the {self.compression} data is cut off"
        return data

    def _is_over(self) -> bool:
        return self._expander is None or self._expander.eof

    def _expand(self) -> bytes:
        try:
            return self._zstd() if self.compression == "zstd" else self._other()
        except Exception as error:  # noqa: BLE001 -- each library has its own, of no common base
            self.problem = f"the {self.compression} data is damaged: {_words(error)}"
            return b""

    def _zstd(self) -> bytes:
        expander: Any = self._expander
        part, self._waiting = self._waiting[:_ZSTD_FEED_BYTES], self._waiting[_ZSTD_FEED_BYTES:]
        data: bytes = expander.decompress(part)
        if expander.eof:
            self._waiting = expander.unused_data + self._waiting
        return data

    def _other(self) -> bytes:
        expander: Any = self._expander
        data: bytes = expander.decompress(self._waiting, _CHUNK_BYTES * 4)
        # zlib hands back what it did not take; the others keep it
        self._waiting = getattr(expander, "unconsumed_tail", b"")
        if expander.eof:
            self._waiting = expander.unused_data
        return data

    def _begin_again(self) -> bool:
        """Go on with the next member; padding with zeros is no member."""
        while self._waiting and not self._waiting.strip(b"\0"):
            self._waiting = self._take()
        self._waiting = self._waiting.lstrip(b"\0")
        if not self._waiting:
            return False
        while len(self._waiting) < 8 and (more := self._take()):  # noqa: PLR2004 -- longest magic
            self._waiting += more
        magic = next(magic for magic, name in _MAGIC if name == self.compression)
        if not self._waiting.startswith(magic):
            self.problem = f"other data follows the {self.compression} data"
            return False
        self._expander = self._new_expander()
        return True


def _expander_of(compression: str) -> Callable[[], Any]:
    if compression == "gzip":
        return lambda: zlib.decompressobj(wbits=31)
    if compression == "bzip2":
        return bz2.BZ2Decompressor
    if compression == "xz":
        return lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
    try:
        import zstandard  # noqa: PLC0415 -- of an extra
    except ImportError:
        raise MissingExtraError("zstd") from None
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()[:120]

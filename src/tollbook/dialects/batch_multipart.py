"""The file inside a ``multipart/form-data`` upload (RFC 7578), while it passes."""

from __future__ import annotations

import re
from typing import Final

_MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_VALUE_BYTES: Final = 256
_boundary = re.compile(rb';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE).search
_name = re.compile(rb'(?:^|[;\s])name="([^"]{0,64})"', re.IGNORECASE).search


def boundary_of(content_type: bytes) -> bytes | None:
    """Return the boundary of a multipart media type, None for any other type."""
    if not content_type[:20].lower().startswith(b"multipart/form-data"):
        return None
    match = _boundary(content_type)
    return None if match is None else match[1] or match[2]


class FilePart:
    """Hands out the bytes of the part named ``file``, and keeps the value of ``purpose``.

    Never raises: what is no multipart body has no file.
    """

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"\r\n--" + boundary
        self._held = b"\r\n"  # so that the first boundary is found like the others
        self._part: bytes | None = None
        """Name of the part whose content comes now; None between parts."""
        self._head: bytes | None = None
        self._value = b""
        self.purpose: str | None = None
        self.is_done = False
        """The file's part, or the body, has ended."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bytes of the file among these."""
        out: list[bytes] = []
        data = self._held + data
        self._held = b""
        while data and not self.is_done:
            data = self._in_head(data) if self._head is not None else self._in_part(data, out)
        return out

    def _in_head(self, data: bytes) -> bytes:
        """Read the header fields of a part, which an empty line ends."""
        assert self._head is not None
        head = self._head + data
        end = head.find(b"\r\n\r\n")
        if head[:2] == b"--" or (end < 0 and len(head) > _MAX_HEAD_BYTES):
            self.is_done = True
            return b""
        if end < 0:
            self._head = head
            return b""
        match = _name(head[:end])
        self._part, self._head, self._value = (match[1] if match else b""), None, b""
        return head[end + 4 :]

    def _in_part(self, data: bytes, out: list[bytes]) -> bytes:
        at = data.find(self._mark)
        if at < 0:
            safe = max(0, len(data) - len(self._mark) + 1)
            self._content(data[:safe], out)
            self._held = data[safe:]
            return b""
        self._content(data[:at], out)
        if self._part == b"purpose":
            self.purpose = self._value.decode("latin-1").strip()
        self.is_done = self._part == b"file" and self.purpose is not None
        self._part, self._head = None, b""
        return data[at + len(self._mark) :]

    def _content(self, data: bytes, out: list[bytes]) -> None:
        if self._part == b"file" and data:
            out.append(data)
        elif self._part == b"purpose" and len(self._value) < _MAX_VALUE_BYTES:
            self._value += data

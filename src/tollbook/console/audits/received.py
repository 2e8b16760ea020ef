"""The body of a request into files of a directory, as it comes: never whole in memory.

A body is one file, or a form with several (``multipart/form-data``, RFC 7578). What files are
called is chosen by strangers: they get plain names, and none is written outside of the directory.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from multipart import (  # type: ignore[import-untyped] # it has no types
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from tollbook.console.audits.errors import UploadError, UploadTooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from io import BufferedWriter
    from pathlib import Path

    from tollbook.console.audits.limits import Limits

_FIELDS_MAX: Final = 64
_FIELD_MAX_BYTES: Final = 4096
_NAME_MAX_CHARS: Final = 96
_MULTIPART: Final = "multipart/form-data"
_ODD: Final = re.compile(r"[^A-Za-z0-9._+=@ -]+")
NAMELESS: Final = "upload"


class Received(NamedTuple):
    """What came."""

    files: list[str]
    """Names of the files in the directory."""
    fields: list[tuple[str, str]]
    """Of the form, without the files."""
    size_bytes: int


def plain_name(given: str, taken: list[str]) -> str:
    """Return a name that is only a name, is like the given one, and is not taken."""
    last = unicodedata.normalize("NFKC", given).replace("\\", "/").rpartition("/")[2]
    plain = _ODD.sub("_", last).lstrip(".- ").rstrip(". ")[-_NAME_MAX_CHARS:].lstrip(".- ")
    plain = plain or NAMELESS
    found, number = plain, 1
    while found in taken:
        number += 1
        found = f"{number}-{plain}"
    return found


async def receive(
    chunks: AsyncIterator[bytes], content_type: tuple[str, dict[str, str]], into: Path,
    limits: Limits,
) -> Received:  # fmt: skip
    """Write a body to files and return what came; whatever is too much ends it at once.

    Args:
        chunks: of the body.
        content_type: of the body, with its parameters.
        into: an empty directory of ours.
        limits: how much is taken.

    Raises:
        UploadTooLargeError: more bytes than are taken.
        UploadError: no file, too many, or a form that is damaged.
    """
    kind, parameters = content_type
    taken = _Taken(into, limits)
    try:
        if kind == _MULTIPART:
            await _form(chunks, parameters.get("boundary", ""), taken)
        else:
            taken.begin(NAMELESS)
            async for chunk in chunks:
                taken.write(chunk)
            taken.end()
    finally:
        taken.close()
    if not taken.files or not taken.size_bytes:
        raise UploadError("no file came, or an empty one; send traces or logs of calls")
    return Received(taken.files, taken.fields, taken.size_bytes)


async def _form(chunks: AsyncIterator[bytes], boundary: str, taken: _Taken) -> None:
    try:
        parser = PushMultipartParser(
            boundary, max_segment_count=taken.limits.files_max + _FIELDS_MAX
        )
        async for chunk in chunks:
            if chunk:
                for event in parser.parse(chunk):
                    taken.take(event)
        parser.close()
    except MultipartError as error:
        raise UploadError(f"the form is damaged ({error}); send it again") from error


class _Taken:
    """What was taken so far."""

    def __init__(self, into: Path, limits: Limits) -> None:
        self.into, self.limits = into, limits
        self.files: list[str] = []
        self.fields: list[tuple[str, str]] = []
        self.size_bytes = 0
        self._file: BufferedWriter | None = None
        self._field: tuple[str, bytearray] | None = None

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        """Take an event of the parser: a part begins, goes on, or ends."""
        if isinstance(event, MultipartSegment):
            if event.filename is not None:
                if event.filename:  # a browser sends an empty one where no file was chosen
                    self.begin(event.filename)
            else:
                self._field = (event.name or "", bytearray())
        elif event is None:
            self.end()
        elif self._field is not None:
            self._field[1].extend(event)
            if len(self._field[1]) > _FIELD_MAX_BYTES:
                raise UploadError(f"a field of the form has more than {_FIELD_MAX_BYTES} bytes")
        else:
            self.write(event)

    def begin(self, name: str) -> None:
        """Begin a file."""
        if len(self.files) >= self.limits.files_max:
            raise UploadError(f"more than {self.limits.files_max} files at once are not taken")
        plain = plain_name(name, self.files)
        self._file = (self.into / plain).open("xb")
        self.files.append(plain)

    def write(self, chunk: bytes | bytearray) -> None:
        """Go on with the file."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self.limits.upload_max_bytes:
            raise UploadTooLargeError(self.limits.upload_max_bytes)
        if self._file is not None:
            self._file.write(chunk)

    def end(self) -> None:
        """End the file or the field."""
        self.close()
        if self._field is not None:
            name, value = self._field
            self.fields.append((name, value.decode(errors="replace")))
            self._field = None

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

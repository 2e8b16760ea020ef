"""Forms of ``multipart/form-data`` (RFC 7578): their short fields, and where files lie in them.

The boundary is read from the body itself, which begins with it (RFC 2046 section 5.1.1); a body
with a preamble is none that any client sends.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_PARTS: Final = 256
_MAX_BOUNDARY_BYTES: Final = 74
_MAX_HEAD_BYTES: Final = 4096
_MAX_FIELD_BYTES: Final = 64 * 1024
_find_name = re.compile(rb'\bname="([^"\r\n]{1,128})"').search
_find_file = re.compile(rb"\bfilename\*?=").search


class FormFile(NamedTuple):
    """A file within a form: name of its field, where its bytes begin and end in the body."""

    field: str
    start: int
    end: int


class Form(NamedTuple):
    """What a form holds."""

    fields: dict[str, str]
    """Short fields by name, the last of each; longer ones are left out."""
    files: tuple[FormFile, ...]


def is_form(body: bytes) -> bool:
    """Whether a body begins as a form does."""
    return body[:2] == b"--"


def read_form(body: bytes) -> Form | None:
    """Return the parts of a form, None for what is none. Never raises."""
    first = body.find(b"\r\n", 0, _MAX_BOUNDARY_BYTES)
    if not is_form(body) or first < 0:
        return None
    delimiter = b"\r\n" + body[:first].rstrip(b" \t")
    fields: dict[str, str] = {}
    files: list[FormFile] = []
    start = first + 2
    for _ in range(MAX_PARTS):
        head_end = body.find(b"\r\n\r\n", start, start + _MAX_HEAD_BYTES)
        end = body.find(delimiter, head_end + 2) if head_end >= 0 else -1
        if end < 0:
            break
        _take(body, (start, head_end, end), fields, files)
        start = body.find(b"\r\n", end + len(delimiter))
        if start < 0 or body.startswith(b"--", end + len(delimiter)):
            break
        start += 2
    return Form(fields, tuple(files))


def _take(
    body: bytes, at: tuple[int, int, int], fields: dict[str, str], files: list[FormFile]
) -> None:
    head_start, head_end, end = at
    start = min(head_end + 4, end)
    head = body[head_start:head_end]
    named = _find_name(head)
    if named is None:
        return
    name = named[1].decode("utf-8", "replace").removesuffix("[]")
    if _find_file(head) is not None:
        files.append(FormFile(name, start, end))
    elif end - start <= _MAX_FIELD_BYTES:
        fields[name] = body[start:end].decode("utf-8", "replace")

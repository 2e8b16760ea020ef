"""What an input is, by how it begins; names of files are not looked at."""

from __future__ import annotations

import re
from typing import Final

from tollbook.audit.inputs.messages import is_bare, is_framed
from tollbook.audit.inputs.rows import PARQUET, delimiter_of

ZIP: Final = b"PK\x03\x04"
_is_json: Final = re.compile(rb"[ \t\r\n\0\x1e]*[\[{]").match
_has_json_line: Final = re.compile(rb'\n[ \t]?[\[{][ \t]*["{\r\n]').search
_is_binary: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_STRAY_MAX: Final = 4
"""Bytes in a text that are none."""
_TAR_AT: Final = 257
_UNREADABLE: Final = (
    (b"\x04\x22\x4d\x18", "is compressed by lz4: expand it first"),
    (ZIP, "is a zip archive within another input: unpack it first"),
    (b"%PDF", "is a PDF, not an export"),
    (b"\x89PNG", "is a picture, not an export"),
    (b"SQLite format 3\0", "is a SQLite database: export its table as CSV"),
    (b"Obj\x01", "is an Avro file: export it as JSON or CSV"),
)


def shape_of(head: bytes, size_bytes: int | None) -> str:
    """Return ``json``, ``csv``, ``parquet``, ``protobuf``, ``protobuf-bare``, or nothing.

    Args:
        head: how it begins, decompressed.
        size_bytes: of the whole of it, where that is known.
    """
    if is_framed(head):
        return "protobuf"
    if _is_json(head):
        return "json"
    if head.startswith(PARQUET):
        return "parquet"
    binary = _is_binary.search(head) is not None
    if binary and is_bare(head, size_bytes):
        return "protobuf-bare"
    if delimiter_of(head) is not None and (not binary or _is_nearly_text(head)):
        return "csv"
    # A first line that is damaged, or of a program that says hello before it prints spans
    return "json" if _has_json_line(head) else ""


def _is_nearly_text(head: bytes) -> bool:
    """Whether a few cells hold bytes that are no text, below a line of names that is."""
    found = len(_is_binary.findall(head))
    return found <= max(_STRAY_MAX, len(head) // 100)


def words_for(head: bytes) -> str:
    """Say what something is that is of no known format."""
    if not head:
        return "is empty"
    if not head.strip(b" \t\r\n\0"):
        return "holds nothing but space"
    for magic, words in _UNREADABLE:
        if head.startswith(magic):
            return words
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "is a tar archive: unpack it and name the folder"
    if _is_binary.search(head) is not None:
        return "is binary data of no known format"
    return "is text of no known format: JSON, JSON lines or CSV with a line of names is read"

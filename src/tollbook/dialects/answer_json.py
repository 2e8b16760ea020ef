"""Small readings of JSON in answers: is it there, is it an id, how long is the text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from msgspec import Raw

MAX_TEXT_CHARS: Final = 256
MAX_SEARCHED_BYTES: Final = 1024 * 1024
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
has_output_count = re.compile(rb'"(?:completion|output)_tokens"\s*:\s*\d{1,12}\s*[,}]').search
"""Whether a usage object counts output: if not, the length of the text is needed."""

_find_texts = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|refusal|arguments|thinking)"'
    rb'\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)',
    re.DOTALL,
).finditer


def text_chars(body: bytes) -> int:
    """Return the length of the generated texts in a body, whole or cut off, as UTF-8 bytes.

    Of a body over a megabyte the beginning stands for the rest: it is for an estimate.
    """
    seen = body[:MAX_SEARCHED_BYTES]
    chars = sum(match.end(1) - match.start(1) for match in _find_texts(seen))
    return chars if len(seen) == len(body) else chars * len(body) // len(seen)


def short_text(value: object) -> str | None:
    """Return an id or name of sane length that is safe to print, or None."""
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARS and value.isprintable():
        return value
    return None


def json_text(body: bytes) -> bytes:
    """Return a document without a byte order mark (RFC 8259 section 8.1 lets readers ignore it)."""
    return body.removeprefix(BYTE_ORDER_MARK)


def is_given(raw: Raw) -> bool:
    """Whether a raw JSON value is there and not null."""
    return bool(raw) and bytes(raw) != b"null"

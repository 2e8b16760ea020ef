"""What dialects read in heads of requests and responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ATTEMPT: Final = 1000
MAX_ID_CHARS: Final = 256


def plain_path(path: str) -> str:
    """Return a path as its server reads it, so that no spelling of it goes unmetered.

    Percent-encoded letters mean the same as plain ones (RFC 3986 section 6.2.2.2).
    """
    return (unquote(path) if "%" in path else path).rstrip("/")


def text_header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return the first value of a header as text, None if it is missing, empty or not printable."""
    for have, value in headers:
        if have == name:
            text = value.strip().decode("latin-1")
            return text if text and text.isprintable() else None
    return None


def bearer_token(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the token of ``Authorization: Bearer`` (RFC 6750; the scheme in any case)."""
    value = text_header(headers, b"authorization")
    if value is None or value[:7].lower() != "bearer ":
        return None
    return value[7:].strip() or None


def attempt_of(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Return 1 + ``x-stainless-retry-count``, the retry counter of the official SDKs."""
    for name, value in headers:
        if name == b"x-stainless-retry-count":
            return min(int(value) + 1, MAX_ATTEMPT) if value.isdigit() and len(value) < 5 else 1  # noqa: PLR2004 -- no number of retries has five digits
    return 1


def is_event_stream(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a response is ``text/event-stream``."""
    return headers.get(b"content-type", b"")[:17].lower() == b"text/event-stream"


def response_header(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    """Return an id from a response head, at most 256 characters."""
    value = headers.get(name)
    if value is None:
        return None
    text = value.decode("latin-1").strip()[:MAX_ID_CHARS]
    return text if text and text.isprintable() else None

"""Judge a request head: framing, version, target. Whatever two readers could read differently goes.

The parser (llhttp in its strict mode) already refuses bad tokens, bare CR or LF, folded lines,
spaces before colons, and two framings at once; what it lets pass is refused here. Rules are of
RFC 9112 sections 3 (request line), 6 (framing) and 11.2 (smuggling).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.dialects.base import Header

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_LENGTH_DIGITS: Final = 15
_not_visible = re.compile(rb"[^\x21-\x7e]|#").search
_dot_segment = re.compile(rb"/(?:\.|%2e){1,2}(?:/|\\|\?|%2f|%5c|$)", re.IGNORECASE).search
_absolute = re.compile(rb"https?://[^/?]*", re.IGNORECASE).match


class HeadError(NamedTuple):
    """Why a request is refused before it is a call."""

    status: int
    message: str


class Framing(NamedTuple):
    """What the head says about connection and body."""

    content_length: int | None
    is_chunked: bool
    expects_continue: bool
    connection: frozenset[bytes] | None
    """Header names that ``Connection`` lists."""
    upgrade: bytes | None = None
    """The protocol that is asked for instead of HTTP, in lower case."""


_FRAMING_NAMES: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)


def clean_target(target: bytes) -> bytes | HeadError:
    """Return the origin form of a request target, byte for byte, or why it is refused."""
    if not target.startswith(b"/"):
        absolute = _absolute(target)
        if absolute is None:
            return HeadError(400, "the request target must be a path")
        target = target[absolute.end() :]
        if not target.startswith(b"/"):
            target = b"/" + target
    if _not_visible(target):
        return HeadError(400, "the request target holds a character that URLs may not have")
    if (b"/." in target or b"%2" in target) and _dot_segment(target.partition(b"?")[0]):
        return HeadError(400, "the request target holds a '.' or '..' segment")
    return target


def read_framing(headers: Sequence[Header], *, is_http_10: bool) -> Framing | HeadError:  # noqa: C901, PLR0911, PLR0912 -- one flat table of rules
    """Return the framing of a request, or why it is refused."""
    length: int | None = None
    is_chunked = expects_continue = False
    upgrade: bytes | None = None
    connection: frozenset[bytes] | None = None
    hosts = 0
    for name, value in headers:
        if name not in _FRAMING_NAMES:
            continue
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            if length is not None:
                return HeadError(400, "two Content-Length headers")
            if not value.isdigit() or len(value) > MAX_LENGTH_DIGITS:
                return HeadError(400, "Content-Length is not a number")
            length = int(value)
        elif name == b"transfer-encoding":
            if is_chunked or value.lower() != b"chunked":
                return HeadError(400, "Transfer-Encoding must be exactly 'chunked'")
            is_chunked = True
        elif name == b"connection":
            parts = frozenset(part.strip().lower() for part in value.split(b","))
            connection = parts if connection is None else connection | parts
        elif name == b"expect":
            if value.lower() != b"100-continue":
                return HeadError(417, "only 'Expect: 100-continue' can be met")
            expects_continue = True
        else:
            upgrade = value.lower() if upgrade is None else b""  # two are none that is known
    if is_chunked and (length is not None or is_http_10):
        return HeadError(400, "Transfer-Encoding with Content-Length or HTTP/1.0")
    if hosts > 1 or (hosts == 0 and not is_http_10):
        return HeadError(400, "exactly one Host header is required")
    if upgrade is not None and (connection is None or b"upgrade" not in connection):
        upgrade = None
    return Framing(length, is_chunked, expects_continue and not is_http_10, connection, upgrade)

"""Which headers pass, and heads built anew: nothing of a received head is copied raw.

Hop-by-hop fields are those of RFC 9110 section 7.6.1 and those that ``Connection`` names.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.dialects.base import Header

CALL_ID: Final = b"x-tollbook-call-id"
CACHE: Final = b"x-tollbook-cache"
"""With which a client asks for the response cache, and is told what came of it."""
_WISHES: Final = frozenset({CACHE, b"x-tollbook-report"})
"""Meant for the gateway itself; no identity."""
ATTEMPTS: Final = b"x-tollbook-attempts"
BUDGET_MODEL: Final = b"x-tollbook-budget-model"

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_UPSTREAM: Final = _HOP_BY_HOP | {b"host", b"content-length", b"expect", b"forwarded", CALL_ID}
_NOT_DOWNSTREAM: Final = _HOP_BY_HOP | {
    b"content-length",
    b"alt-svc",  # would lead clients past the gateway
    CALL_ID,
    ATTEMPTS,
    BUDGET_MODEL,
}
_MAX_CACHED_NAMES: Final = 2048

# How a request header is treated.
FORWARD: Final = 0
DROP: Final = 1
CREDENTIAL: Final = 2
IDENTITY: Final = 3
ENCODING: Final = 4


class RequestHeaderRules:
    """What happens to a request header on its way to one provider, by name, remembered."""

    __slots__ = ("_is_credential", "_reaches_provider", "known")

    def __init__(
        self, is_credential: Callable[[bytes], bool], reaches_provider: Callable[[bytes], bool]
    ) -> None:
        self._is_credential = is_credential
        self._reaches_provider = reaches_provider
        self.known: dict[bytes, int] = {}

    def of(self, name: bytes) -> int:
        """Return the treatment of a header (name in lower case)."""
        if name in _NOT_UPSTREAM or name in _WISHES or name.startswith(b"x-forwarded-"):
            rule = DROP
        elif self._is_credential(name):
            rule = CREDENTIAL
        elif not self._reaches_provider(name):
            rule = IDENTITY
        elif name == b"accept-encoding":
            rule = ENCODING
        else:
            rule = FORWARD
        if len(self.known) < _MAX_CACHED_NAMES:
            self.known[name] = rule
        return rule


def named_by_connection(value: bytes) -> frozenset[bytes]:
    """Return the header names that a ``Connection`` value lists."""
    return frozenset(part.strip().lower() for part in value.split(b","))


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())


STATUS_LINES: Final = tuple(_status_line(status) for status in range(1000))


def response_fields(headers: Sequence[Header], named: frozenset[bytes]) -> list[bytes]:
    """Return the end-to-end header lines of a response, as pieces to be joined."""
    pieces: list[bytes] = []
    dropped = _NOT_DOWNSTREAM | named if named else _NOT_DOWNSTREAM
    for name, value in headers:
        if name not in dropped:
            pieces += (name, b": ", value, b"\r\n")
    return pieces


def own_response(
    status: int,
    body: bytes,
    *,
    call_id: bytes | None = None,
    content_type: bytes = b"application/json",
    extra: Sequence[Header] = (),
    lines: bytes = b"",
    keep_alive: bool,
    is_head: bool = False,
) -> bytes:
    """Return a whole response that the gateway itself gives."""
    pieces = [
        STATUS_LINES[status],
        b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body)),
    ]
    if call_id is not None:
        pieces += (CALL_ID, b": ", call_id, b"\r\n")
    for name, value in extra:
        pieces += (name, b": ", value, b"\r\n")
    pieces += (lines, b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    if not is_head:
        pieces.append(body)
    return b"".join(pieces)

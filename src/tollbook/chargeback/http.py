"""What is the same whoever is asked outside: a provider's API, or a billing system.

The connection, the bounds of an answer, and what of it people are shown. When a request is sent
again is each client's own: a question may be asked as often as time allows, an event must not be
booked twice.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

BAD_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is no JSON, or is nested beyond all reason."""


class End(Enum):
    """How the reading of an answer ended."""

    WHOLE = "whole"
    TOO_LARGE = "too large"
    TOO_LATE = "too late"


def new_client(timeout: float | httpx2.Timeout, **more: Any) -> httpx2.Client:
    """Return a client that sends a key only where it was configured to.

    Redirects are not followed, proxies and certificates are not taken from the environment, and
    certificates are checked.

    Args:
        timeout: of connecting and of each wait for the other side, seconds.
        more: arguments of ``httpx2.Client``.
    """
    return httpx2.Client(timeout=timeout, follow_redirects=False, trust_env=False, **more)


def read_bounded(response: httpx2.Response, max_bytes: int, until_ns: int) -> tuple[bytes, End]:
    """Read an answer, at most so much of it and for so long.

    Args:
        response: of a stream; it is not closed.
        max_bytes: most that is kept, after decompression.
        until_ns: of the monotonic clock; a timeout of each wait alone lets an answer trickle on.

    Returns:
        What was read, cut at the bound, and how it ended.

    Raises:
        httpx2.HTTPError: the connection broke, or it cannot be decompressed.
    """
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > max_bytes:
            return bytes(body[:max_bytes]), End.TOO_LARGE
        if clock.monotonic_ns() > until_ns:
            return bytes(body), End.TOO_LATE
    return bytes(body), End.WHOLE


def shown(text: str, secrets: Iterable[str]) -> str:
    """Return what a system says, on one line and without keys: some name them in a complaint."""
    line = " ".join(text.split())
    for secret in secrets:
        if secret:
            line = line.replace(secret, "***")
    return line

"""Request heads seen before, so that a client that repeats itself is not judged anew each time.

A client library sends the same head with every call but for the length of the body. A whole
request that comes in one read, and whose head differs from an admitted one in the digits of
``Content-Length`` only, means what that one meant: the strict parser and every rule have passed
those very bytes. The caller's key is looked up each time all the same, for it may be revoked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.capture.gateway.framing import Framing

if TYPE_CHECKING:
    from tollbook.capture.gateway.admission import Admission, Admitted
    from tollbook.dialects.base import Header

MAX_HEADS: Final = 4096
MAX_HEAD_BYTES: Final = 4096
_length_in = re.compile(rb"\r\ncontent-length: (\d{1,15})\r\n", re.IGNORECASE).search


class KnownHead(NamedTuple):
    """What the parser and the rules made of a head."""

    method: str
    headers: list[Header]
    admitted: Admitted
    connection: frozenset[bytes] | None
    max_body_bytes: int


class Repeated(NamedTuple):
    """A whole request with a known head."""

    known: KnownHead
    framing: Framing
    body: bytes


class HeadMemo:
    """The heads of the calls that this worker has admitted last."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._known: dict[bytes, KnownHead] = {}

    def find(self, data: bytes) -> Repeated | None:
        """Return the request in ``data``, if that is exactly one request with a known head."""
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES) + 4
        if end < 4:  # noqa: PLR2004 -- the blank line's own length
            return None
        match = _length_in(data, 0, end)
        if match is None:
            return None
        start, stop = match.span(1)
        known = self._known.get(data[:start] + data[stop:end])
        if known is None:
            return None
        length = int(match[1])
        if len(data) != end + length or length > known.max_body_bytes:
            return None
        if not self._admission.still_admits(known.admitted):
            return None
        return Repeated(known, Framing(length, False, False, known.connection), data[end:])

    def learn(
        self,
        data: bytes,
        method: str,
        headers: list[Header],
        admitted: Admitted,
        framing: Framing,
    ) -> None:
        """Remember the head of ``data``, which was parsed as one whole, keep-alive request."""
        if admitted.refusal is not None or admitted.is_one_of_a_kind or framing.expects_continue:
            return
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES) + 4
        match = _length_in(data, 0, end) if end >= 4 else None  # noqa: PLR2004 -- as above
        if match is None or len(data) != end + int(match[1]):
            return
        start, stop = match.span(1)
        if len(self._known) >= MAX_HEADS:
            self._known.clear()
        self._known[data[:start] + data[stop:end]] = KnownHead(
            method,
            headers,
            admitted,
            framing.connection,
            self._admission.max_body_bytes(admitted.route),
        )

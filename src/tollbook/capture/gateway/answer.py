"""The response of one exchange on its way to the client, with the meter looking on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.capture.gateway.headers import (
    CALL_ID,
    STATUS_LINES,
    named_by_connection,
    response_fields,
)
from tollbook.dialects.base import Metered
from tollbook.dialects.inflated_copy import InflatedCopy

if TYPE_CHECKING:
    from tollbook.dialects.base import Header, ResponseMeter

NOTHING_METERED: Final = Metered()
_NO_NAMES: Final[frozenset[bytes]] = frozenset()


class Answer:
    """Head and body of one response: framed anew for the client, fed to the meter."""

    __slots__ = (
        "_body", "_copy", "_head", "_is_chunked", "_left_to_meter", "bytes_in", "closes",
        "has_content", "is_event_stream", "meter", "status", "table",
    )  # fmt: skip

    is_wished = False
    """Whether it is a :class:`tollbook.capture.gateway.wished_answer.WishedAnswer`."""

    def __init__(
        self,
        status: int,
        headers: list[Header],
        *,
        call_id: bytes,
        is_head: bool,
        is_http_10: bool,
        keep_alive: bool,
        hides_usage: bool,
        stream_types: tuple[bytes, ...],
        lines: bytes = b"",
    ) -> None:
        self.status = status
        self.table = dict(headers)
        """The provider's header fields by name (lower case); of several the last."""
        self.meter: ResponseMeter | None = None
        self.bytes_in = 0
        self.has_content = False
        self._body: list[bytes] = []
        self._copy: InflatedCopy | None = None
        self._left_to_meter = 0
        table = self.table
        length, content_type = table.get(b"content-length"), table.get(b"content-type")
        named = _NO_NAMES
        if b"connection" in table:
            for name, value in headers:
                if name == b"connection":
                    named |= named_by_connection(value)
        self.is_event_stream = content_type is not None and content_type.lower().startswith(
            stream_types
        )
        """Whether it comes in events, by the media types that the dialect has for that."""
        pieces = [STATUS_LINES[status], CALL_ID, b": ", call_id, b"\r\n", lines]
        pieces += response_fields(headers, named)
        has_body = not is_head and status not in {204, 304}
        self._is_chunked = False
        self.closes = not keep_alive
        if not has_body:
            if length is not None and status != 204:  # noqa: PLR2004 -- RFC 9110 section 8.6
                pieces += (b"content-length: ", length, b"\r\n")
        elif length is not None and not hides_usage:
            pieces += (b"content-length: ", length, b"\r\n")
        elif is_http_10:
            self.closes = True
        else:
            self._is_chunked = True
            pieces.append(b"transfer-encoding: chunked\r\n")
        if self.closes:
            pieces.append(b"connection: close\r\n")
        elif is_http_10:
            pieces.append(b"connection: keep-alive\r\n")
        pieces.append(b"\r\n")
        self._head: bytes | None = b"".join(pieces)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the client can see the end of the body only by the connection's."""
        return self.closes and not self._is_chunked

    def look_on(self, meter: ResponseMeter, *, encoding: bytes | None, max_bytes: int) -> None:
        """Let a meter see the body; a compressed body only as a copy."""
        self.meter = meter
        self._left_to_meter = max_bytes
        if encoding is not None:
            self._copy = InflatedCopy(max_bytes)

    def feed(self, data: bytes) -> None:
        """Take body bytes of the provider."""
        self.bytes_in += len(data)
        meter = self.meter
        if meter is None:
            self._body.append(data)
            return
        if not self.is_event_stream:
            self._left_to_meter -= len(data)
            if self._left_to_meter < 0:
                self.meter = None  # too large to be read: it passes, and is estimated
                self._body.append(data)
                return
        if self._copy is not None:
            for plain in self._copy.feed(data):
                meter.feed(plain)
            self._body.append(data)
        else:
            shown = meter.feed(data)
            if shown:
                self._body.append(shown)

    def flush_meter(self) -> None:
        """Give the client what the meter still holds back."""
        if self.meter is not None:
            rest = self.meter.flush()
            if rest and self._copy is None:
                self._body.append(rest)

    def take(self, *, is_complete: bool) -> bytes:
        """Return what is to be written now, framed; empty when there is nothing."""
        body = self._body
        if body:
            data = body[0] if len(body) == 1 else b"".join(body)
            body.clear()
            if self._is_chunked:
                end = b"\r\n0\r\n\r\n" if is_complete else b"\r\n"
                data = b"%x\r\n%b%b" % (len(data), data, end)
        else:
            data = b"0\r\n\r\n" if self._is_chunked and is_complete else b""
        head = self._head
        if head is not None:
            self._head = None
            return head + data
        return data

    def metered(self) -> Metered:
        """Return what the meter has seen."""
        return NOTHING_METERED if self.meter is None else self.meter.result()

"""Protobuf files to messages: each after its length, as the Collector's file exporter writes them.

The exporter sets four bytes before each message, its length, the highest byte first
(opentelemetry-collector-contrib, ``exporter/fileexporter``, ``format: proto``). A file may also be
one message: then its elements are read one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.audit.inputs.otlp_protobuf import resources_of, told_by
from tollbook.audit.inputs.pieces import Damage
from tollbook.audit.inputs.wire import WireError, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.audit.inputs.limits import Limits
    from tollbook.audit.inputs.otlp_protobuf import Told

FIRST: Final = 0x0A
"""Field 1, with a length: how every request of OTLP begins."""
_LENGTH_BYTES: Final = 4
_SEARCHED_MAX_BYTES: Final = 4 * 1024 * 1024
"""Of a message that is looked for after damage."""


class Message(NamedTuple):
    """What one message tells, and where it begins."""

    told: Told
    offset: int


class _Buffer:
    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self.data = b""
        self.offset = 0

    def need(self, size: int) -> bool:
        """Have so many bytes at hand; False if there are fewer."""
        parts, held = [self.data], len(self.data)
        while held < size and (more := self._read()):
            parts.append(more)
            held += len(more)
        self.data = b"".join(parts) if len(parts) > 1 else self.data
        return held >= size

    def drop(self, size: int) -> None:
        """Take so many bytes as read."""
        self.data = self.data[size:]
        self.offset += size


def is_framed(head: bytes) -> bool:
    """Whether a file begins with a message after its length."""
    if len(head) <= _LENGTH_BYTES or head[_LENGTH_BYTES] != FIRST or head[0] >= 4:  # noqa: PLR2004 -- 64 MiB
        return False
    return _fits(head, int.from_bytes(head[:_LENGTH_BYTES], "big"), _LENGTH_BYTES)


def is_bare(head: bytes, size_bytes: int | None) -> bool:
    """Whether a file begins with a message: a list's element that holds a resource or scopes."""
    if len(head) < 3 or head[0] != FIRST:  # noqa: PLR2004 -- tag, length, a tag within
        return False
    try:
        length, at = varint(head, 1)
    except WireError:
        return False
    if size_bytes is not None and at + length > size_bytes:
        return False
    # resource, scope_spans, schema_url: text that begins with a line feed seldom goes on so
    return length > 1 and head[at : at + 1] in {b"\x0a", b"\x12"}


def framed(read: Callable[[], bytes], limits: Limits) -> Iterator[Message | Damage]:
    """Yield the messages of the Collector's file exporter."""
    buffer = _Buffer(read)
    while buffer.need(_LENGTH_BYTES) or buffer.data:
        size = int.from_bytes(buffer.data[:_LENGTH_BYTES], "big")
        words = ""
        if size > limits.message_max_bytes:
            words = "a message is longer than any exporter writes"
        elif not buffer.need(_LENGTH_BYTES + size):
            words = "the last message is cut off"
        else:
            try:
                body = buffer.data[_LENGTH_BYTES : _LENGTH_BYTES + size]
                yield Message(told_by(resources_of(body)), buffer.offset)
            except WireError as error:
                words = f"a message is no OTLP: {error}"
            else:
                buffer.drop(_LENGTH_BYTES + size)
                continue
        yield Damage(words, 0, buffer.offset)
        _find_next(buffer)


def bare(read: Callable[[], bytes], limits: Limits) -> Iterator[Message | Damage]:
    """Yield the elements of one message, which may be larger than memory."""
    buffer = _Buffer(read)
    while buffer.need(1) or buffer.data:
        buffer.need(11)
        offset = buffer.offset
        try:
            at, size = _element(buffer, limits)
            told = told_by([buffer.data[at : at + size]])
        except WireError as error:
            yield Damage(f"is no OTLP message from here on: {error}", 0, offset)
            return
        buffer.drop(at + size)
        yield Message(told, offset)


def _element(buffer: _Buffer, limits: Limits) -> tuple[int, int]:
    """Return where the element at hand begins in the buffer, and its size."""
    if buffer.data[0] != FIRST:
        raise WireError("a field is of no request")
    size, at = varint(buffer.data, 1)
    if size > limits.message_max_bytes:
        raise WireError("an element is longer than any exporter writes")
    if not buffer.need(at + size):
        raise WireError("the last element is cut off")
    return at, size


def _find_next(buffer: _Buffer) -> None:
    """Go to where a message that can be read begins; to the end where there is none."""
    at = _LENGTH_BYTES + 1
    while True:
        at = buffer.data.find(b"\x0a", at)
        if at < 0:
            buffer.drop(max(0, len(buffer.data) - _LENGTH_BYTES))
            if not buffer.need(len(buffer.data) + 1):
                buffer.drop(len(buffer.data))
                return
            at = _LENGTH_BYTES
            continue
        size = int.from_bytes(buffer.data[at - _LENGTH_BYTES : at], "big")
        if size <= _SEARCHED_MAX_BYTES and buffer.need(at + size):
            body = buffer.data[at : at + size]
            if _fits(body, size, 0) and _is_message(body):
                buffer.drop(at - _LENGTH_BYTES)
                return
        at += 1


def _fits(data: bytes, size: int, at: int) -> bool:
    """Whether the first element of a message is no longer than the message."""
    try:
        length, begins = varint(data, at + 1)
    except WireError:
        return False
    return 1 < length <= size - (begins - at)


def _is_message(body: bytes) -> bool:
    try:
        told = told_by(resources_of(body))
    except WireError:
        return False
    return bool(told.spans or told.calls or told.usage_points)

"""Meters of answers that are not event streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.answer_json import json_text
from tollbook.dialects.base import Metered

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.dialects.base import ResponseMeter

MAX_PLAIN_BYTES: Final = 64 * 1024 * 1024
_EVENT_STARTS: Final = (b"d", b"e", b"i", b"r", b":")
"""First bytes of the lines of server-sent events: data, event, id, retry, comment."""


class SilentMeter:
    """For responses that are not metered: everything passes, nothing is kept."""

    __slots__ = ("has_content",)

    def __init__(self) -> None:
        self.has_content = False

    def feed(self, chunk: bytes) -> bytes:
        """Pass the chunk."""
        self.has_content = self.has_content or bool(chunk)
        return chunk

    def flush(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""

    def result(self) -> Metered:
        """Return that nothing is known."""
        return Metered()


class PlainMeter:
    """Collects a body that is one JSON document; it is read when asked for."""

    __slots__ = ("_chunks", "_is_error", "_read", "_result", "_size_bytes")

    def __init__(self, read: Callable[[bytes], Metered], *, is_error: bool) -> None:
        self._read = read
        self._is_error = is_error
        self._chunks: list[bytes] = []
        self._size_bytes = 0
        self._result: Metered | None = None

    @property
    def has_content(self) -> bool:
        """Whether the body of a successful answer has begun."""
        return self._size_bytes > 0 and not self._is_error

    def feed(self, chunk: bytes) -> bytes:
        """Keep and pass the chunk; beyond 64 MiB only pass it."""
        self._size_bytes += len(chunk)
        self._result = None
        if self._size_bytes <= MAX_PLAIN_BYTES:
            self._chunks.append(chunk)
        return chunk

    def flush(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""

    def result(self) -> Metered:
        """Return what the body says so far."""
        if self._result is None:
            self._result = self._read(b"".join(self._chunks))
        return self._result


class UndeclaredMeter:
    """For the answer to a request for a stream whose head does not say that it is one.

    Some servers send events as ``application/json`` or without a type; the first byte tells.
    """

    __slots__ = ("_meter", "_plain", "_stream")

    def __init__(self, plain: ResponseMeter, stream: ResponseMeter) -> None:
        self._plain = plain
        self._stream = stream
        self._meter: ResponseMeter | None = None

    @property
    def has_content(self) -> bool:
        """Whether generated output has been seen."""
        return self._meter is not None and self._meter.has_content

    def feed(self, chunk: bytes) -> bytes:
        """Pass the chunk to the meter that fits."""
        if self._meter is None:
            start = json_text(chunk).lstrip()[:1]
            if not start:
                return chunk
            self._meter = self._stream if start in _EVENT_STARTS else self._plain
        return self._meter.feed(chunk)

    def flush(self) -> bytes:
        """Return what is still held back."""
        return b"" if self._meter is None else self._meter.flush()

    def result(self) -> Metered:
        """Return what was seen so far."""
        return (self._meter or self._plain).result()

"""Meters of answers that are not event streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.base import Metered

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PLAIN_BYTES: Final = 64 * 1024 * 1024


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

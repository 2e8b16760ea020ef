"""What the meters of all dialects share: keeping usage, plain bodies, event streams."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.dialects.base import Metered
from tollbook.dialects.sse import EventSplitter, Fragment, comment_lines, event_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw

MAX_USAGE_OBJECTS_EACH_END: Final = 8
MAX_USAGE_BYTES: Final = 65_536
MAX_PLAIN_BYTES: Final = 64 * 1024 * 1024
MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
"""``response.completed`` repeats the whole answer, images as base64 included."""
MAX_TEXT_CHARS: Final = 256
MAX_SEARCHED_BYTES: Final = 1024 * 1024


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
    """Return an id or name of sane length, or None."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARS else None


def is_given(raw: Raw) -> bool:
    """Whether a raw JSON value is there and not null."""
    return bool(raw) and bytes(raw) != b"null"


class UsageLog:
    """The usage objects of one response, byte for byte: the first eight and the last eight.

    Some servers send a growing usage with every chunk; what matters is at the ends.
    """

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        self._first: list[bytes] = []
        self._last: deque[bytes] | None = None

    def add(self, raw: bytes) -> None:
        """Keep one object; an absurdly large one is left out."""
        if len(raw) > MAX_USAGE_BYTES:
            return
        if len(self._first) < MAX_USAGE_OBJECTS_EACH_END:
            self._first.append(raw)
            return
        if self._last is None:
            self._last = deque(maxlen=MAX_USAGE_OBJECTS_EACH_END)
        self._last.append(raw)

    def __bool__(self) -> bool:
        return bool(self._first)

    def all(self) -> tuple[bytes, ...]:
        """Return what was kept, in order."""
        return (*self._first, *(self._last or ()))


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


class StreamMeter(ABC):
    """Reads events while they pass; a dialect says what an event means."""

    __slots__ = (
        "_hides_usage",
        "_splitter",
        "error_type",
        "has_content",
        "model",
        "output_chars",
        "output_events",
        "response_id",
        "service_tier",
        "stream_ended",
        "usage",
        "usage_complete",
    )

    def __init__(self, *, hides_usage: bool = False) -> None:
        self._hides_usage = hides_usage
        self._splitter = EventSplitter(MAX_EVENT_BYTES)
        self.usage = UsageLog()
        self.usage_complete = False
        self.response_id: str | None = None
        self.model: str | None = None
        self.service_tier: str | None = None
        self.error_type: str | None = None
        self.output_chars = 0
        self.output_events = 0
        self.has_content = False
        self.stream_ended = False

    @abstractmethod
    def read(self, data: bytes) -> bool:
        """Read the data of one event; return whether it is a usage-only chunk.

        Raises:
            msgspec.DecodeError: the data is not a JSON document.
        """

    def feed(self, chunk: bytes) -> bytes:
        """Take the next body bytes and return what the client gets now."""
        if not self._hides_usage:
            for event in self._splitter.push(chunk):
                self._see(event)
            return chunk
        events = self._splitter.push(chunk)
        shown = [comment_lines(event) if self._see(event) else event for event in events]
        return shown[0] if len(shown) == 1 else b"".join(shown)

    def flush(self) -> bytes:
        """Read the unfinished last event; return it if it was held back and is not to be hidden."""
        rest = self._splitter.rest()
        hidden = self._see(rest) if rest else False
        return rest if self._hides_usage and not hidden else b""

    def result(self) -> Metered:
        """Return what was seen so far."""
        return Metered(
            usage=self.usage.all(),
            usage_complete=self.usage_complete,
            provider_response_id=self.response_id,
            model_actual=self.model,
            service_tier=self.service_tier,
            error_type=self.error_type,
            output_chars=self.output_chars,
            output_events=self.output_events,
            stream_ended=self.stream_ended,
        )

    def add_content(self, chars: int) -> None:
        """Count one event that carries generated output."""
        if chars:
            self.output_chars += chars
            self.output_events += 1
            self.has_content = True

    def done(self) -> None:
        """Note the ``[DONE]`` that ends a stream."""
        self.stream_ended = True

    def _see(self, event: bytes) -> bool:
        if type(event) is Fragment:
            return False
        # The two shapes that providers send are cut out directly; all others go the general way.
        if event.startswith(b"data:"):
            data = event[5:]
        else:
            at = event.find(b"\ndata:")
            data = event[at + 6 :] if at > 0 else event_data(event)
        try:
            return self.read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            data = event_data(event)
        if data.strip() == b"[DONE]":
            self.done()
            return False
        try:
            return bool(data) and self.read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False  # not ours to judge: the client sees the same bytes

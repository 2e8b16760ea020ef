"""What the meters of all event streams share: splitting, hiding, counting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

import msgspec

from tollbook.dialects.answer_json import json_text
from tollbook.dialects.base import Metered
from tollbook.dialects.same_event import SameEvent, learn
from tollbook.dialects.sse import EventSplitter, Fragment, comment_lines, event_data
from tollbook.dialects.surrogates import without_lone_surrogates
from tollbook.dialects.usage_log import UsageLog

MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
"""``response.completed`` repeats the whole answer, images as base64 included."""

_LESSONS_MAX: Final = 8
"""A stream whose events are never alike (random padding) is read event by event."""


class StreamMeter(ABC):
    """Reads events while they pass; a dialect says what an event means."""

    __slots__ = (
        "_hides_usage",
        "_lessons",
        "_same",
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
        self._same: SameEvent | None = None
        self._lessons = 0
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

    text_mark: ClassVar[bytes] = b'"content":"'
    """What stands directly before the text of an event that carries text."""

    @property
    def held(self) -> bytes:
        """What has been taken and not yet shown, since its event is not whole."""
        return self._splitter.unfinished if self._hides_usage else b""

    @property
    def is_finished(self) -> bool:
        """Whether the text has come to its end, though the stream has not."""
        return False

    @abstractmethod
    def read(self, data: bytes) -> bool:
        """Read the data of one event; return whether it is a usage-only chunk.

        Raises:
            msgspec.DecodeError: the data is not a JSON document.
        """

    @abstractmethod
    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is one JSON document though its head announced a stream."""

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
        if json_text(rest).lstrip()[:1] == b"{" and not self.usage:
            seen = self.read_document(rest)
            self.take(seen)
            self.output_chars += seen.output_chars
            self.stream_ended = self.stream_ended or bool(seen.usage or seen.error_type)
            return rest if self._hides_usage else b""
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

    def take(self, seen: Metered) -> None:
        """Take what a whole response object says."""
        self.response_id = seen.provider_response_id or self.response_id
        self.model = seen.model_actual or self.model
        self.service_tier = seen.service_tier or self.service_tier
        self.error_type = seen.error_type or self.error_type
        for usage in seen.usage:
            self.usage.add(usage)
        self.usage_complete = self.usage_complete or seen.usage_complete

    def _see(self, event: bytes) -> bool:
        if self._same is not None:
            chars = self._same.text_length(event)
            if chars:
                self.output_chars += chars
                self.output_events += 1
                return False
        if self._lessons >= _LESSONS_MAX:
            return self._read_event(event)
        before = self.output_chars, self._state()
        is_usage_only = self._read_event(event)
        if self.has_content and self._state() == before[1]:
            self._lessons += 1
            self._same = learn(event, self.text_mark, self.output_chars - before[0])
        return is_usage_only

    def _state(self) -> tuple[object, ...]:
        """Return all that an event can change, but for the count of text."""
        return (
            self.model, self.response_id, self.service_tier, self.error_type, self.stream_ended,
            self.usage_complete, len(self.usage.all()), self.has_content, self.is_finished,
        )  # fmt: skip

    def _read_event(self, event: bytes) -> bool:
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
            return self._see_mended(data)

    def _see_mended(self, data: bytes) -> bool:
        mended = without_lone_surrogates(data)
        try:
            return mended is not None and self.read(mended)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False  # not ours to judge: the client sees the same bytes

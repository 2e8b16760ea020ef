"""Streams of JSON documents, one a line (https://github.com/ndjson/ndjson-spec)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.dialects.answer_json import json_text
from tollbook.dialects.sse import EventSplitter, Fragment, event_data
from tollbook.dialects.stream_meter import MAX_EVENT_BYTES, StreamMeter

if TYPE_CHECKING:
    from collections.abc import Mapping

NDJSON_TYPES = (b"application/x-ndjson", b"application/stream+json", b"application/jsonl")


def is_ndjson(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a response says that it is a document a line."""
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return media_type in NDJSON_TYPES


class LineSplitter(EventSplitter):
    """Takes chunks, gives whole lines, their ends included; no line over the limit is kept."""

    __slots__ = ()

    def push(self, chunk: bytes) -> list[bytes]:
        """Return the lines that end in this chunk, as bytes; pieces of a long one as Fragment."""
        tail = self._tail
        if not tail and not self._in_long_event and chunk.find(b"\n") == len(chunk) - 1 >= 0:
            return [chunk]  # one whole line, as most chunks are
        lines: list[bytes] = []
        start = 0
        end = chunk.find(b"\n") + 1
        while end > 0:
            line = chunk[start:end]
            if tail:
                line = bytes(tail) + line
                tail.clear()
            lines.append(Fragment(line) if self._in_long_event else line)
            self._in_long_event = False
            start = end
            end = chunk.find(b"\n", start) + 1
        tail += chunk[start:]
        if self._in_long_event or len(tail) > self._max_event_bytes:
            self._in_long_event = True
            lines.append(Fragment(tail))
            tail.clear()
        return lines


class LineMeter(StreamMeter):
    """A meter whose events are lines; put before the meter that says what a document means."""

    __slots__ = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._splitter = LineSplitter(MAX_EVENT_BYTES)

    def flush(self) -> bytes:
        """Read the last line, whose end need not come."""
        rest = self._splitter.rest()
        if rest:
            self._see(rest)
        return b""

    def _read_event(self, event: bytes) -> bool:
        if type(event) is Fragment:
            return False
        data = json_text(event).strip()
        if not data.startswith(b"{"):
            data = event_data(data)  # a server that sends events all the same
        if not data:
            return False
        try:
            return self.read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._see_mended(data)

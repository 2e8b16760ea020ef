"""The meter of Cohere's streams, of version 2 (events) and version 1 (lines or events).

Version 2: https://docs.cohere.com/docs/streaming, ``message-end`` has the usage. Version 1:
``stream-end`` has the whole response with its ``meta``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import short_text, text_chars
from tollbook.dialects.cohere_plain import billed_in, read_cohere_answer
from tollbook.dialects.ndjson import LineMeter
from tollbook.dialects.request_body import any_of
from tollbook.dialects.stream_meter import StreamMeter

if TYPE_CHECKING:
    from tollbook.dialects.base import Metered


class _End(Struct, gc=False):
    usage: Raw = Raw()
    finish_reason: Any = None
    error: Any = None


class _Event(Struct, gc=False):
    type: str | None = None
    id: Any = None
    delta: Raw = Raw()
    event_type: str | None = None
    text: Any = None
    generation_id: Any = None
    finish_reason: Any = None
    response: Raw = Raw()
    message: Any = None


_decode = msgspec.json.Decoder(_Event).decode
_decode_end = msgspec.json.Decoder(_End).decode
_FAILED: Final = frozenset({"ERROR", "ERROR_TOXIC", "TIMEOUT"})
_DELTAS: Final = frozenset(
    {"content-delta", "tool-plan-delta", "tool-call-delta", "tool-call-start", "content-start"}
)


class CohereStreamMeter(StreamMeter):
    """Reads the events of version 2, and those of version 1 where they are sent as events."""

    __slots__ = ()
    text_mark = b'"text":"'

    def read(self, data: bytes) -> bool:
        """Read one event; usage is never alone in one."""
        event = _decode(data)
        kind = event.type or event.event_type
        if kind in _DELTAS:
            self.add_content(text_chars(bytes(event.delta)) or _plan_chars(event.delta))
        elif kind in {"text-generation", "tool-calls-chunk"}:
            self.add_content(len(event.text) if isinstance(event.text, str) else 1)
        elif kind in {"message-start", "stream-start"}:
            self.response_id = short_text(event.id) or short_text(event.generation_id)
        elif kind == "message-end":
            self._take_end(bytes(event.delta))
        elif kind == "stream-end":
            self._take_response(event)
        elif kind is None and isinstance(event.message, str):
            self.error_type = "error"
        return False

    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is no stream."""
        return read_cohere_answer(body)

    def _take_end(self, delta: bytes) -> None:
        end = _decode_end(delta) if delta.startswith(b"{") else _End()
        self.stream_ended = True
        self._take_usage(billed_in(end.usage, Raw()))
        if isinstance(end.error, str) or end.finish_reason in _FAILED:
            self.error_type = short_text(end.finish_reason) or "error"

    def _take_response(self, event: _Event) -> None:
        self.stream_ended = True
        seen = read_cohere_answer(bytes(event.response))
        self.response_id = self.response_id or seen.provider_response_id
        for usage in seen.usage:
            self._take_usage(usage)
        if event.finish_reason in _FAILED:
            self.error_type = short_text(event.finish_reason)

    def _take_usage(self, usage: bytes | None) -> None:
        if usage is not None:
            self.usage.add(usage)
            self.usage_complete = True


class CohereLineMeter(LineMeter, CohereStreamMeter):
    """Reads the same from lines: version 1 answers ``application/stream+json``."""

    __slots__ = ()


def _plan_chars(delta: Raw) -> int:
    """Return the length of a piece of a plan, which has a name of its own."""
    read = any_of(delta)
    message = read.get("message") if isinstance(read, dict) else None
    plan = message.get("tool_plan") if isinstance(message, dict) else None
    return len(plan) if isinstance(plan, str) else 0

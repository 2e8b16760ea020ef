"""The meter of Anthropic streams: usage in ``message_start`` and again in ``message_delta``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import short_text, text_chars
from tollbook.dialects.anthropic_plain import (
    container_of,
    read_anthropic_answer,
    service_tier_of,
)
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.stream_meter import StreamMeter

if TYPE_CHECKING:
    from tollbook.dialects.base import Metered


class _Delta(Struct, gc=False):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    container: Raw = Raw()  # in message_delta, where code ran


class _Message(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    usage: Raw = Raw()


class _Block(Struct, gc=False):
    text: str | None = None
    name: str | None = None


class _Event(Struct, gc=False):
    type: str | None = None
    delta: _Delta | None = None
    message: _Message | None = None
    content_block: _Block | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


class _LooseEvent(Struct, gc=False):
    """The same without types, for servers that send other ones."""

    type: str | None = None
    delta: Raw = Raw()
    message: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()


_decode = msgspec.json.Decoder(_Event).decode
_decode_loose = msgspec.json.Decoder(_LooseEvent).decode
_USAGE_EVENTS: Final = ("message_start", "message_delta")


class MessageStreamMeter(StreamMeter):
    """Reads the events of the Messages API."""

    __slots__ = ()
    text_mark = b'"text":"'

    def read(self, data: bytes) -> bool:
        """Read one event; usage is never alone in one."""
        try:
            event = _decode(data)
        except msgspec.ValidationError:
            self._read_loose(_decode_loose(data))
            return False
        kind = event.type
        if kind == "content_block_delta":
            delta = event.delta
            if delta is not None:
                text = delta.text or delta.partial_json or delta.thinking
                if text:
                    self.add_content(len(text))
        elif kind == "message_start":
            if event.message is not None:
                self._start(event.message)
        elif kind == "content_block_start":
            if event.content_block is not None:
                self.add_content(len(event.content_block.text or event.content_block.name or ""))
        elif kind == "error":
            self.error_type = error_type_of(event.error) or "error"
        else:
            self._end(event)
        return False

    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is no stream."""
        return read_anthropic_answer(body)

    def _start(self, message: _Message) -> None:
        self.response_id = short_text(message.id)
        self.model = short_text(message.model)
        self._take("message_start", message.usage)

    def _end(self, event: _Event) -> None:
        self._take(event.type, event.usage)
        if event.delta is not None and event.delta.container:
            for kept in container_of(event.delta.container):
                self.usage.add(kept)

    def _read_loose(self, event: _LooseEvent) -> None:
        if event.type == "message_start":
            seen = read_anthropic_answer(bytes(event.message))
            self.response_id, self.model = seen.provider_response_id, seen.model_actual
            for usage in seen.usage:
                self._take(event.type, Raw(usage))
        elif event.type == "error":
            self.error_type = error_type_of(event.error) or "error"
        else:
            self.add_content(text_chars(bytes(event.delta)))
            self._take(event.type, event.usage)

    def _take(self, kind: str | None, usage: Raw) -> None:
        if kind == "message_stop":
            self.stream_ended = True
        elif kind in _USAGE_EVENTS:
            raw = bytes(usage)
            if raw.startswith(b"{"):
                self.usage.add(raw)
                self.usage_complete = self.usage_complete or kind == "message_delta"
                self.service_tier = service_tier_of(raw) or self.service_tier

"""The meter of Responses API streams."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.errors import error_type_of
from tollbook.dialects.openai_plain import usage_of_response
from tollbook.dialects.stream_meter import StreamMeter


class _Event(Struct, gc=False):
    type: str | None = None
    delta: Any = None
    response: Raw = Raw()
    code: str | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_FINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_NOT_TEXT: Final = ("response.audio.delta", "response.output_audio.delta")


class ResponsesStreamMeter(StreamMeter):
    """Reads the events of the Responses API; usage comes in the last one."""

    __slots__ = ()

    def read(self, data: bytes) -> bool:
        """Read one event; usage is never alone in one."""
        event = _decode_event(data)
        kind = event.type
        if isinstance(event.delta, str):
            if kind not in _NOT_TEXT:
                self.add_content(len(event.delta))
            else:
                self.has_content = True
        elif kind in _FINAL:
            self._take_response(event.response)
            self.stream_ended = True
        elif kind == "response.created":
            self._take_response(event.response)
        elif kind == "error":
            self.error_type = error_type_of(data) or "error"
        return False

    def _take_response(self, raw: Raw) -> None:
        seen = usage_of_response(bytes(raw))
        self.response_id = seen.provider_response_id or self.response_id
        self.model = seen.model_actual or self.model
        self.service_tier = seen.service_tier or self.service_tier
        self.error_type = seen.error_type or self.error_type
        for usage in seen.usage:
            self.usage.add(usage)
        self.usage_complete = self.usage_complete or seen.usage_complete

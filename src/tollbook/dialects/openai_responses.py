"""The meter of Responses API streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.errors import error_type_of
from tollbook.dialects.openai_plain import read_openai_answer, usage_of_response
from tollbook.dialects.openai_tools import TOLLBOOK_SEEN, Item, is_tool_call, seen_of
from tollbook.dialects.stream_meter import StreamMeter

if TYPE_CHECKING:
    from tollbook.dialects.base import Metered


class _Event(Struct, gc=False):
    type: str | None = None
    delta: Any = None
    response: Raw = Raw()
    item: Item | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_FINAL: Final = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
        "response.done",  # of some other servers
    }
)
_MAX_ITEMS: Final = 10_000
_NOT_TEXT: Final = ("response.audio.delta", "response.output_audio.delta")


class ResponsesStreamMeter(StreamMeter):
    """Reads the events of the Responses API; usage comes in the last one."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        super().__init__()
        self._items: list[Item] = []

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
        elif kind == "response.output_item.done" and event.item is not None:
            self._take_item(event.item)
        elif kind == "response.created":
            self._take_response(event.response)
        elif kind == "error":
            self.error_type = error_type_of(data) or "error"
        return False

    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is no stream."""
        return read_openai_answer(body)

    def result(self) -> Metered:
        """Return what was seen so far; calls of tools from single items where no list came."""
        seen = super().result()
        if not self._items or any(TOLLBOOK_SEEN in usage for usage in seen.usage):
            return seen
        return msgspec.structs.replace(seen, usage=(*seen.usage, *seen_of(self._items)))

    def _take_item(self, item: Item) -> None:
        if is_tool_call(item) and len(self._items) < _MAX_ITEMS:
            self._items.append(item)

    def _take_response(self, raw: Raw) -> None:
        self.take(usage_of_response(bytes(raw)))

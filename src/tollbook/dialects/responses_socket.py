"""The meter of the Responses API over a WebSocket: every ``response.create`` is a call.

The events from the provider are those of the event stream, one a message; the responses of a
socket come one after the other (OpenAI guide "WebSocket mode").
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from tollbook.call import Status
from tollbook.dialects.answer_json import short_text, text_chars
from tollbook.dialects.base import SocketTurn
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.openai_responses import ResponsesStreamMeter
from tollbook.dialects.surrogates import without_lone_surrogates

OPERATION: Final = "responses"
MAX_OPEN: Final = 64
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Message(Struct, gc=False):
    type: Any = None
    model: Any = None
    error: msgspec.Raw = msgspec.Raw()


class _Kind(Struct, gc=False):
    type: Any = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode


class _Open:
    """A response asked for; ``meter`` reads its events."""

    __slots__ = ("is_created", "key", "meter", "model")

    def __init__(self, key: str, model: str | None) -> None:
        self.key = key
        self.model = model
        self.meter = ResponsesStreamMeter()
        self.is_created = False


class ResponsesSocketMeter:
    """See :class:`tollbook.dialects.base.SocketMeter`."""

    def __init__(self, model: str | None) -> None:
        self._asked = model
        self._open: deque[_Open] = deque()
        self._turns: list[SocketTurn] = []
        self._count = 0

    def from_client(self, message: bytes) -> None:
        """Begin a call with each ``response.create``."""
        try:
            read = _decode_message(message)
        except _BAD:
            return
        if read.type != "response.create":
            return
        if len(self._open) >= MAX_OPEN:
            self._end(self._open[0], is_cut=True)
        self._begin(short_text(read.model) or self._asked, text_chars(message))

    def from_provider(self, message: bytes) -> None:
        """Give an event to the response that it belongs to."""
        try:
            kind = _decode_kind(message).type
        except _BAD:
            mended = without_lone_surrogates(message)
            if mended is None:
                return
            message, kind = mended, None
        if kind == "error":
            self._refused(message)
            return
        if kind == "response.created":
            waiting = next((one for one in self._open if not one.is_created), None)
            if waiting is None:
                waiting = self._begin(self._asked, 0)  # its request was too large to be read
            waiting.is_created = True
        current = next((one for one in self._open if one.is_created), None)
        if current is None:
            return
        try:
            current.meter.read(message)
        except _BAD:
            return
        if current.meter.stream_ended:
            self._end(current)

    def turns(self) -> list[SocketTurn]:
        """Return what began or ended since the last time."""
        turns, self._turns = self._turns, []
        return turns

    def cut(self) -> list[SocketTurn]:
        """Close what is open, as far as it had come."""
        while self._open:
            self._end(self._open[0], is_cut=True)
        return self.turns()

    def _begin(self, model: str | None, chars: int) -> _Open:
        self._count += 1
        one = _Open(f"response {self._count}", model)
        self._open.append(one)
        self._turns.append(SocketTurn(one.key, OPERATION, model=model, input_chars=chars))
        return one

    def _refused(self, message: bytes) -> None:
        """End the response that an error is about: one not begun yet, else the one under way."""
        one = next((one for one in self._open if not one.is_created), None)
        if one is None:
            one = self._open[0] if self._open else None
        if one is None:
            return
        try:
            error = error_type_of(_decode_message(message).error)
        except _BAD:
            error = None
        one.meter.error_type = error or error_type_of(message) or "error"
        self._end(one)

    def _end(self, one: _Open, *, is_cut: bool = False) -> None:
        self._open.remove(one)
        metered = one.meter.result()
        if is_cut:
            status, is_billable = Status.CANCELLED, True
        else:
            status = Status.OK if metered.error_type is None else Status.ERROR
            is_billable = bool(metered.usage or metered.output_events) or status is Status.OK
        if not is_cut and metered.usage:
            metered = structs.replace(metered, stream_ended=True)
        self._turns.append(
            SocketTurn(
                one.key, OPERATION, metered, one.model, status=status, is_billable=is_billable
            )
        )

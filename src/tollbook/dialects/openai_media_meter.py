"""Meters of answers that hold images, speech or a transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, json_text, short_text
from tollbook.dialects.base import Metered
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.openai_fees import milliseconds
from tollbook.dialects.openai_paths import IMAGE, SPEECH
from tollbook.dialects.openai_shape import Seen, SeenBeside
from tollbook.dialects.plain_meter import PlainMeter, SilentMeter, UndeclaredMeter
from tollbook.dialects.stream_meter import StreamMeter

if TYPE_CHECKING:
    from tollbook.dialects.base import RequestFacts, ResponseMeter, Route

_ERROR_STATUS: Final = 400
_encode = msgspec.json.Encoder().encode


class _Body(Struct, gc=False):
    id: Any = None
    model: Any = None
    usage: Raw = Raw()
    error: Raw = Raw()
    data: Raw = Raw()
    duration: Any = None
    text: Any = None


class _Event(Struct, gc=False):
    type: str | None = None
    delta: str | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


_decode = msgspec.json.Decoder(_Body).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode


def media_meter(
    route: Route, facts: RequestFacts, status: int, *, is_stream: bool
) -> ResponseMeter:
    """Return a meter for an answer of one of the media endpoints."""
    is_error = status >= _ERROR_STATUS
    if is_stream:
        return MediaStreamMeter()
    if route.operation == SPEECH and not is_error:
        # Sound of any length: what is billed is in the request, its size in the frame.
        if not facts.is_stream:
            return SilentMeter()
        return UndeclaredMeter(SilentMeter(), MediaStreamMeter())
    plain = PlainMeter(read_image if route.operation == IMAGE else read_text, is_error=is_error)
    return UndeclaredMeter(plain, MediaStreamMeter()) if facts.is_stream else plain


def read_image(body: bytes) -> Metered:
    """Return what an answer with images says, and how many there are. Never raises."""
    read = _read(body)
    seen = _metered(read)
    try:
        images = len(_decode_list(read.data)) if read.data else 0
    except msgspec.DecodeError:
        images = 0
    return seen if not images else _with(seen, Seen(images=images))


def read_text(body: bytes) -> Metered:
    """Return what a transcript says: usage, or the length of the sound. Never raises."""
    read = _read(body)
    seen = _metered(read)
    if seen.error_type:
        return seen
    chars = len(read.text) if isinstance(read.text, str) else len(body)  # srt, vtt, plain text
    seen = msgspec.structs.replace(seen, output_chars=chars)
    length_ms = _length_ms(read.duration)
    return seen if seen.usage or not length_ms else _with(seen, Seen(audio_ms=length_ms))


class MediaStreamMeter(StreamMeter):
    """Reads events of images, speech and transcripts; usage comes in the last one."""

    __slots__ = ("_images",)
    text_mark = b'"delta":"'

    def __init__(self) -> None:
        super().__init__()
        self._images = 0

    def read(self, data: bytes) -> bool:
        """Read one event; usage is never alone in one."""
        event = _decode_event(data)
        kind = event.type or ""
        if event.delta is not None:
            self.add_content(len(event.delta))
        elif kind.startswith("speech.audio.delta") or kind.endswith(".partial_image"):
            self.has_content = True
        if is_given(event.error) or kind == "error":
            self.error_type = error_type_of(event.error or data) or "error"
        if kind.endswith((".done", ".completed")):
            self.has_content = self.stream_ended = True
            if kind.startswith("image"):
                self._images += 1
            usage = bytes(event.usage)
            if usage.startswith(b"{"):
                self.usage.add(usage)
                self.usage_complete = True
        return False

    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is no stream."""
        return read_image(body)

    def result(self) -> Metered:
        """Return what was seen so far."""
        seen = super().result()
        return _with(seen, Seen(images=self._images)) if self._images else seen


def _read(body: bytes) -> _Body:
    try:
        return _decode(json_text(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()


def _metered(read: _Body) -> Metered:
    usage = bytes(read.usage)
    has_usage = usage.startswith(b"{")
    return Metered(
        usage=(usage,) if has_usage else (),
        usage_complete=has_usage,
        provider_response_id=short_text(read.id),
        model_actual=short_text(read.model),
        error_type=(error_type_of(read.error) or "error") if is_given(read.error) else None,
    )


def _with(metered: Metered, seen: Seen) -> Metered:
    """Keep what was seen beside the usage; where there is none, it is all that can be known."""
    return msgspec.structs.replace(
        metered, usage=(*metered.usage, _encode(SeenBeside(seen))), usage_complete=True
    )


def _length_ms(duration: Any) -> int:
    """Return the milliseconds of ``duration``: seconds, as a number or as text."""
    try:
        return milliseconds(float(duration)) if isinstance(duration, str | int | float) else 0
    except ValueError:
        return 0

"""The meter of OpenAI's Realtime API: what each response and each transcription used.

Events are those of the API reference, in the names of both its generations
(``response.audio.delta`` became ``response.output_audio.delta``). The session's instructions, the
conversation and the audio sent make up the input of the next response; that is kept as a count
only, for an estimate of a response that never says its usage.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.call import Status
from tollbook.dialects.answer_json import short_text, text_chars
from tollbook.dialects.base import Metered, SocketTurn
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.estimate import CHARS_PER_TOKEN
from tollbook.dialects.realtime_usage import REALTIME, REALTIME_TRANSCRIPTION

MAX_OPEN: Final = 64
"""Responses at once; a session has one or a few. More are closed as they are."""
_SESSION: Final = frozenset(
    {"session.created", "session.updated", "transcription_session.created",
     "transcription_session.updated"}
)  # fmt: skip
_SPOKEN: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
_WRITTEN: Final = frozenset(
    {"response.output_text.delta", "response.text.delta", "response.output_audio_transcript.delta",
     "response.audio_transcript.delta", "response.function_call_arguments.delta"}
)  # fmt: skip
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_PCM16_BYTES_PER_S: Final = 48_000  # 24 kHz, 16 bit, mono
_G711_BYTES_PER_S: Final = 8_000
_OUTPUT_TOKENS_PER_S: Final = 20
_INPUT_TOKENS_PER_S: Final = 10


class _Event(Struct, gc=False):
    type: str | None = None
    response_id: str | None = None
    item_id: Any = None
    delta: Raw = Raw()
    audio: Raw = Raw()
    response: Raw = Raw()
    session: Raw = Raw()
    usage: Raw = Raw()


class _Response(Struct, gc=False):
    id: Any = None
    status: Any = None
    status_details: Any = None
    usage: Raw = Raw()
    service_tier: Any = None
    model: Any = None


class _Total(Struct, gc=False):
    total_tokens: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_response = msgspec.json.Decoder(_Response).decode
_decode_total = msgspec.json.Decoder(_Total).decode
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Open:
    """A response that has begun."""

    __slots__ = ("audio_bytes", "text_chars")

    def __init__(self) -> None:
        self.text_chars = 0
        self.audio_bytes = 0


class RealtimeMeter:
    """See :class:`tollbook.dialects.base.SocketMeter`.

    Args:
        model: what the address asked for; None where it names none (a transcription session).
    """

    def __init__(self, model: str | None) -> None:
        self._asked = model
        self._model: str | None = None
        self._transcriber: str | None = None
        self._open: dict[str, _Open] = {}
        self._turns: list[SocketTurn] = []
        self._context_tokens = 0
        self._new_chars = 0
        self._new_audio_bytes = 0
        self._input_bytes_per_s = self._output_bytes_per_s = _PCM16_BYTES_PER_S

    def from_client(self, message: bytes) -> None:
        """Count what is put into the conversation."""
        try:
            event = _decode_event(message)
        except _BAD:
            return
        if event.type == "input_audio_buffer.append":
            self._new_audio_bytes += _base64_bytes(event.audio)
        elif event.type in {"conversation.item.create", "session.update", "response.create"}:
            self._new_chars += text_chars(message)

    def from_provider(self, message: bytes) -> None:
        """Follow the responses."""
        try:
            event = _decode_event(message)
        except _BAD:
            return
        kind = event.type
        if kind in _SPOKEN:
            found = self._open.get(event.response_id or "")
            if found is not None:
                found.audio_bytes += _base64_bytes(event.delta)
        elif kind in _WRITTEN:
            found = self._open.get(event.response_id or "")
            if found is not None:
                found.text_chars += max(0, len(bytes(event.delta)) - 2)
        elif kind == "response.created":
            self._begin(_response(event.response))
        elif kind == "response.done":
            self._end(_response(event.response))
        elif kind == _TRANSCRIBED:
            self._transcribed(event)
        elif kind in _SESSION:
            self._read_session(bytes(event.session))

    def turns(self) -> list[SocketTurn]:
        """Return what began or ended since the last time."""
        turns, self._turns = self._turns, []
        return turns

    def cut(self) -> list[SocketTurn]:
        """Close what is open, as far as it had come."""
        for key in list(self._open):
            self._cut(key)
        return self.turns()

    def _begin(self, response: _Response) -> None:
        key = short_text(response.id)
        if key is None or key in self._open:
            return
        if len(self._open) >= MAX_OPEN:
            self._cut(next(iter(self._open)))
        self._open[key] = _Open()
        heard = self._new_audio_bytes * _INPUT_TOKENS_PER_S // self._input_bytes_per_s
        chars = (self._context_tokens + heard) * CHARS_PER_TOKEN + self._new_chars
        self._turns.append(
            SocketTurn(key, REALTIME, model=self._model or self._asked, input_chars=chars)
        )

    def _end(self, response: _Response) -> None:
        key = short_text(response.id)
        if key is None:
            return
        seen = self._open.pop(key, None) or _Open()
        usage = bytes(response.usage)
        is_reported = usage.startswith(b"{")
        if is_reported:
            self._context_tokens = _total(usage)
            self._new_chars = self._new_audio_bytes = 0
        error_type = None
        status = Status.OK
        if response.status == "failed":
            status = Status.ERROR
            details = response.status_details
            error = details.get("error") if isinstance(details, dict) else None
            error_type = error_type_of(msgspec.json.encode(error)) or "response_failed"
        elif response.status == "cancelled":
            status = Status.CANCELLED  # the caller spoke into it, or asked to; billed so far
        metered = self._metered(
            key, seen, usage=(usage,) if is_reported else (), error_type=error_type,
            model=short_text(response.model), tier=short_text(response.service_tier),
        )  # fmt: skip
        has_output = bool(metered.output_chars or metered.output_events)
        self._turns.append(
            SocketTurn(
                key, REALTIME, metered, self._model or self._asked, status=status,
                is_billable=is_reported or has_output or status is Status.OK,
            )
        )  # fmt: skip

    def _cut(self, key: str) -> None:
        metered = self._metered(key, self._open.pop(key))
        self._turns.append(
            SocketTurn(key, REALTIME, metered, self._model or self._asked, status=Status.CANCELLED)
        )

    def _metered(
        self,
        key: str,
        seen: _Open,
        *,
        usage: tuple[bytes, ...] = (),
        error_type: str | None = None,
        model: str | None = None,
        tier: str | None = None,
    ) -> Metered:
        return Metered(
            usage=usage,
            usage_complete=bool(usage),
            provider_response_id=key,
            model_actual=model or self._model or self._asked,
            service_tier=tier,
            error_type=error_type,
            output_chars=seen.text_chars,
            output_events=-(-seen.audio_bytes * _OUTPUT_TOKENS_PER_S // self._output_bytes_per_s),
            stream_ended=bool(usage),
        )

    def _transcribed(self, event: _Event) -> None:
        """Book a transcription of the caller's speech, which another model made."""
        usage = bytes(event.usage)
        key = short_text(event.item_id)
        if not usage.startswith(b"{") or key is None:
            return
        metered = Metered(
            usage=(usage,),
            usage_complete=True,
            provider_response_id=key,
            model_actual=self._transcriber,
            stream_ended=True,
        )
        self._turns.append(
            SocketTurn(f"{key} transcription", REALTIME_TRANSCRIPTION, metered, self._transcriber)
        )

    def _read_session(self, raw: bytes) -> None:
        try:
            session: Any = msgspec.json.decode(raw)
        except _BAD:
            return
        self._model = short_text(_at(session, "model")) or self._model
        asked = _at(session, "audio", "input", "transcription") or _at(
            session, "input_audio_transcription"
        )
        self._transcriber = short_text(_at(asked, "model")) or self._transcriber
        heard = _at(session, "audio", "input", "format") or _at(session, "input_audio_format")
        said = _at(session, "audio", "output", "format") or _at(session, "output_audio_format")
        self._input_bytes_per_s = _bytes_per_s(heard)
        self._output_bytes_per_s = _bytes_per_s(said)


def _response(raw: Raw) -> _Response:
    try:
        return _decode_response(raw)
    except _BAD:
        return _Response()


def _total(usage: bytes) -> int:
    try:
        total = _decode_total(usage).total_tokens
    except _BAD:
        return 0
    return total if isinstance(total, int) and 0 <= total < 10**9 else 0


def _base64_bytes(raw: Raw) -> int:
    """Return how many bytes a JSON string in base64 stands for (RFC 4648 section 4)."""
    return max(0, len(bytes(raw)) - 2) * 3 // 4


def _bytes_per_s(audio_format: object) -> int:
    name = _at(audio_format, "type") if isinstance(audio_format, dict) else audio_format
    is_telephone = isinstance(name, str) and name.startswith(("g711", "audio/pcmu", "audio/pcma"))
    return _G711_BYTES_PER_S if is_telephone else _PCM16_BYTES_PER_S


def _at(value: Any, *names: str) -> Any:
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value

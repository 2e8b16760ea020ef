"""The meter of Gemini's Live API: what each turn of a conversation used.

Messages are those of https://ai.google.dev/api/live. ``usageMetadata`` comes with a turn or shortly
after its end, and counts the whole context again with every turn, for that is what is billed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.call import Status
from tollbook.dialects.answer_json import short_text, text_chars
from tollbook.dialects.base import Metered, SocketTurn
from tollbook.dialects.gemini_plain import tier_in
from tollbook.dialects.realtime_usage import REALTIME

_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Setup(Struct, gc=False):
    model: Any = None


class _ClientMessage(Struct, gc=False):
    setup: _Setup | None = None


class _Content(Struct, gc=False):
    modelTurn: Raw = Raw()  # noqa: N815 -- this and the others: the API's names
    outputTranscription: Raw = Raw()  # noqa: N815
    turnComplete: bool | None = None  # noqa: N815
    interrupted: bool | None = None


class _ServerMessage(Struct, gc=False):
    serverContent: _Content | None = None  # noqa: N815
    toolCall: Raw = Raw()  # noqa: N815
    usageMetadata: Raw = Raw()  # noqa: N815


_decode_client = msgspec.json.Decoder(_ClientMessage).decode
_decode_server = msgspec.json.Decoder(_ServerMessage).decode


class LiveMeter:
    """See :class:`tollbook.dialects.base.SocketMeter`."""

    def __init__(self) -> None:
        self._model: str | None = None
        self._turns: list[SocketTurn] = []
        self._count = 0
        self._key: str | None = None  # of the turn that is open
        self._usage = b""
        self._output_chars = 0
        self._input_chars = 0
        self._is_complete = self._is_interrupted = False

    def from_client(self, message: bytes) -> None:
        """Read which model is asked, and count what is said in text."""
        try:
            read = _decode_client(message)
        except _BAD:
            return
        if read.setup is not None:
            name = short_text(read.setup.model)
            self._model = name.rpartition("/")[2] if name else None
        self._input_chars += text_chars(message)

    def from_provider(self, message: bytes) -> None:
        """Follow the turns."""
        try:
            read = _decode_server(message)
        except _BAD:
            return
        content = read.serverContent or _Content()
        usage = bytes(read.usageMetadata)
        if content.modelTurn or content.outputTranscription or read.toolCall:
            if self._is_complete:
                self._end()  # its usage never came
            self._begin()
            self._output_chars += text_chars(message)
        if usage.startswith(b"{"):
            self._begin()
            self._usage = usage
        if self._key is not None:
            self._is_complete |= content.turnComplete is True
            self._is_interrupted |= content.interrupted is True
            if self._is_complete and self._usage:
                self._end()

    def turns(self) -> list[SocketTurn]:
        """Return what began or ended since the last time."""
        turns, self._turns = self._turns, []
        return turns

    def cut(self) -> list[SocketTurn]:
        """Close the turn that is open, as far as it had come."""
        if self._key is not None:
            self._is_interrupted |= not self._is_complete
            self._end()
        return self.turns()

    def _begin(self) -> None:
        if self._key is None:
            self._count += 1
            self._key = f"turn-{self._count}"
            turn = SocketTurn(self._key, REALTIME, None, self._model, self._input_chars)
            self._turns.append(turn)

    def _end(self) -> None:
        """Book the turn: usage is final once the turn is complete."""
        assert self._key is not None
        usage = (self._usage,) if self._usage else ()
        metered = Metered(
            usage=usage,
            usage_complete=bool(usage) and self._is_complete,
            model_actual=self._model,
            service_tier=tier_in(self._usage) if usage else None,
            output_chars=self._output_chars,
            stream_ended=self._is_complete,
        )
        # A turn that the caller spoke into is billed as far as it came.
        status = Status.CANCELLED if self._is_interrupted else Status.OK
        self._turns.append(SocketTurn(self._key, REALTIME, metered, self._model, status=status))
        self._key, self._usage, self._output_chars = None, b"", 0
        self._is_complete = self._is_interrupted = False

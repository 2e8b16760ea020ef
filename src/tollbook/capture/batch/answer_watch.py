"""Answers that are shown again: the usage that an earlier call did not know yet is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.call import LateUsage
from tollbook.dialects.base import Metered
from tollbook.dialects.shown_answers import is_final, shown_answer_meter

if TYPE_CHECKING:
    from tollbook.call import CallOpened
    from tollbook.capture.gateway.turn import Turn
    from tollbook.dialects.base import ResponseMeter

_OK: Final = 200


class AnswerWatch:
    """Looks on at one answer that is shown again. Never raises on what the provider sends."""

    __slots__ = ("_meter", "_opened", "_turn")

    def __init__(self, turn: Turn, opened: CallOpened) -> None:
        self._turn, self._opened = turn, opened
        self._meter: ShownMeter | None = None

    def request_data(self, data: bytes) -> None:
        """Take bytes of the request's body: nothing is in it."""

    def request_end(self) -> None:
        """Take the end of the request."""

    def meter(self, status: int) -> ResponseMeter | None:
        """Return a meter for the response whose head has come, None where it shows nothing."""
        self._meter = ShownMeter(self._opened.path) if status == _OK else None
        return self._meter

    def response_complete(self, *, is_whole: bool) -> None:
        """Take the end of the response; half a document is none, however it was framed."""
        del is_whole
        if self._meter is None:
            return
        seen, opened = self._meter.shown(), self._opened
        if is_final(seen):
            self._turn.append(LateUsage(
                opened.call_id, clock.unix_ns(), opened.provider, seen.provider_response_id or "",
                seen.usage, seen.model_actual, seen.service_tier,
            ))  # fmt: skip


class ShownMeter:
    """Reads the answer that is shown; of the request itself it says that nothing is billed."""

    __slots__ = ("_meter", "has_content")

    def __init__(self, path: str) -> None:
        self.has_content = False
        self._meter = shown_answer_meter(path)

    def feed(self, chunk: bytes) -> bytes:
        """Pass the chunk."""
        return self._meter.feed(chunk)

    def flush(self) -> bytes:
        """Return what is still held back."""
        return self._meter.flush()

    def result(self) -> Metered:
        """Return that nothing was billed."""
        return Metered()

    def shown(self) -> Metered:
        """Return what the answer says."""
        return self._meter.result()

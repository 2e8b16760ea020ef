"""Keeping the usage of a Gemini stream: every chunk has the counts so far, so the last will do."""

from __future__ import annotations

from tollbook.dialects.usage_log import MAX_USAGE_BYTES, UsageLog


class LatestUsage(UsageLog):
    """The last usage object, and the last one that counts the output if that is another."""

    __slots__ = ("_kept", "_output_mark")

    def __init__(self, output_mark: bytes) -> None:
        super().__init__()
        self._output_mark = output_mark
        self._kept: list[bytes] = []

    def add(self, raw: bytes) -> None:
        """Let an object go over those before it; an absurdly large one is left out."""
        if len(raw) > MAX_USAGE_BYTES:
            return
        if self._output_mark in raw or not self._kept or self._output_mark not in self._kept[0]:
            self._kept = [raw]
        else:
            self._kept[1:] = [raw]

    def __bool__(self) -> bool:
        return bool(self._kept)

    def all(self) -> tuple[bytes, ...]:
        """Return what was kept, in order."""
        return tuple(self._kept)

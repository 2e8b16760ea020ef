"""Files of results, one JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.batch_base import MAX_ID_CHARS, ResultLine
from tollbook.dialects.batch_lines import LineSplitter, custom_id_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.dialects.batch_lines import Piece

_UNREADABLE: Final = "the line cannot be read"
_TRIED_MAX: Final = 100
"""A file whose first so many lines are no results is something else."""


class LineResults:
    """See ``ResultScanner``. A line that cannot be read is kept, as one of unknown cost.

    Args:
        read: turns a line into a result, None if it is none.
        is_known: the file is one of results; otherwise it must show one before anything counts.
    """

    def __init__(self, read: Callable[[bytes], ResultLine | None], *, is_known: bool) -> None:
        self._read = read
        self._is_known = is_known
        self._is_other = False
        self._splitter = LineSplitter()
        self._waiting: list[ResultLine] = []
        self.lines = 0

    def feed(self, data: bytes) -> Sequence[ResultLine]:
        """Take the next bytes; return the results that they complete."""
        return () if self._is_other else self._results(self._splitter.feed(data))

    def finish(self) -> Sequence[ResultLine]:
        """Return the result that the end of the file completes."""
        return () if self._is_other else self._results(self._splitter.finish())

    def _results(self, pieces: Sequence[Piece]) -> list[ResultLine]:
        found: list[ResultLine] = []
        for piece in pieces:
            self.lines += 1
            line = self._read(piece.data) if piece.is_whole else None
            if line is not None and not self._is_known:
                self._is_known = True
                found, self._waiting = [*self._waiting, *found], []
            if line is None:
                custom_id = custom_id_in(piece.data) or f"(line {self.lines})"
                line = ResultLine(custom_id, problem=_UNREADABLE)
            if self._is_known:
                found.append(line)
                continue
            self._waiting.append(line)
            if len(self._waiting) > _TRIED_MAX:
                self._is_other, self._waiting, self.lines = True, [], 0
                return []
        return found

    @property
    def has_results(self) -> bool:
        """Whether the file is one of results."""
        return self._is_known


def custom_id_of(value: object) -> str | None:
    """Return a custom id of allowed length, None for anything else."""
    if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable():
        return value
    return None
